"""Foreign keys of a release that reference tables outside its schema: each statement is its own transaction.

Adding such a key blocks writers of the referenced table, dropping it blocks readers too, until the transaction ends.
Therefore a clone is created without these keys, they are added last, and no other statement shares their transaction:
a client that freezes holds no lock.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from psycopg import sql

from bluegreen_etl import catalog, config, db, errors, model, queries
from bluegreen_etl.activity import LastingHolders
from bluegreen_etl.model import StructureFrom
from bluegreen_etl.shadow import dump

_LOCK_WAIT = "50ms"  # requests queue behind one that waits
_PAUSE = 0.25  # seconds between attempts
_PATIENCE = 0.5  # seconds; a transaction that holds a lock for longer is not waited for


class Drop(NamedTuple):
    """The statement that drops a key, and the OIDs of the tables that it locks exclusively."""

    statement: sql.Composed
    tables: list[int]


def split(entries: Iterable[dump.Entry], schema: str) -> tuple[list[dump.Entry], list[dump.Entry]]:
    """Split the dump of a schema into all other entries, and the keys to outside tables with their comments."""
    inside: list[dump.Entry] = []
    outside: list[dump.Entry] = []
    last = inside
    for entry in entries:
        # pg_dump writes a comment right after the object.
        is_comment = entry.type == "COMMENT" and entry.name.startswith("CONSTRAINT ")
        if not is_comment:
            last = outside if entry.referenced_schema not in {None, schema} else inside
        last.append(entry)
    return inside, outside


def read_from_live(connection: db.Connection, release: model.Release, settings: config.Settings) -> list[dump.Entry]:
    """Return the keys to outside tables that a clone of live lacks, for the release's tables."""
    if release.structure is not StructureFrom.LIVE or release.base_oid is None:
        return []
    if not _find(connection, release.base_oid):
        return []
    _, outside = split(dump.read(connection, release.live_schema, settings), release.live_schema)
    return [entry.on_table_in(release.shadow_schema) for entry in outside]


def add(connection: db.Connection, release: model.Release, settings: config.Settings) -> None:
    """Add to a clone, while it is empty, the keys to outside tables that live has."""
    for entry in read_from_live(connection, release, settings):
        for statement in entry.statements:
            run_alone(connection, statement)


def drop(connection: db.Connection, release: model.Release) -> None:
    """Drop the release's keys to outside tables, so that its schema can be dropped without a lock on these."""
    for each in drop_statements(connection, release, catalog.require_schema_oid(connection, release.shadow_schema)):
        run_alone(connection, each.statement, exclusive_on=each.tables)


def drop_statements(connection: db.Connection, release: model.Release, oid: int) -> list[Drop]:
    """Return the statements that drop the keys to outside tables of the release in the schema `oid`."""
    return [
        Drop(
            sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(
                sql.Identifier(release.shadow_schema, table), sql.Identifier(name)
            ),
            tables,
        )
        for table, name, tables in _find(connection, oid)
    ]


def refuse_missing(connection: db.Connection, entries: Sequence[dump.Entry]) -> None:
    """Refuse keys whose outside tables do not exist.

    Raises:
        Refused: names the key and the table.
    """
    for entry in entries:
        wanted = entry.referenced_table
        if wanted is None:
            continue
        if not queries.value(connection, bool, "session.relation_exists", {"name": wanted}):
            raise errors.Refused(
                f"foreign key {entry.name} of the backup cannot be created: table {wanted} does not exist",
                hint="Create first what the backup needs outside its schema: roles, extensions, tables, functions.",
            )


def run_alone(
    connection: db.Connection,
    statement: str | sql.Composable,
    *,
    exclusive_on: Sequence[int] = (),
    max_wait: float = db.OUTSIDE_WAIT,
) -> None:
    """Run one statement as a transaction of its own; retry while an outside table is locked.

    The statement is a message of its own: the server ends it even if this process freezes.

    Args:
        exclusive_on: OIDs of the tables whose readers wait too; a transaction that reads one for long is not waited
            for.

    Raises:
        psycopg.Error, LockNotObtained: the lock could not be taken within `max_wait` seconds.
    """
    holders = LastingHolders(exclusive_on, _PATIENCE)

    def attempt(_number: int) -> None:
        if exclusive_on and holders.found(connection):
            raise errors.LockNotObtained(
                "a table that a foreign key refers to is in use", hint="Run it again when the session has ended."
            )
        db.run_script(connection, statement)

    before = db.setting(connection, "lock_timeout")
    set_wait = queries.get("session.set_lock_timeout")
    connection.execute(set_wait, {"timeout": _LOCK_WAIT})
    try:
        db.retry(
            attempt,
            max_wait=max_wait,
            pause=lambda _number: _PAUSE,
            on_retry=lambda _number, _error: None,
        )
    finally:
        if not connection.closed:
            connection.execute(set_wait, {"timeout": before})


def _find(connection: db.Connection, oid: int) -> list[tuple[str, str, list[int]]]:
    """Return table, name and both tables' OIDs of the foreign keys of a schema that refer to tables outside it."""
    rows = connection.execute(queries.get("catalog.outside_keys"), {"oid": oid}).fetchall()
    return [(table, name, tables) for table, name, tables in rows]
