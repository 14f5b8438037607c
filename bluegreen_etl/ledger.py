"""Read and write the ledger, the schema `bluegreen` in the target database: SQL only, no policy."""

import importlib.metadata
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Literal, TypeVar

import msgspec
from psycopg import sql
from psycopg.types.json import Jsonb

from bluegreen_etl import activity, db, errors, model, names, privileges, queries
from bluegreen_etl.model import MOVES, Cutover, Origin, Release, Status
from bluegreen_etl.wording import printable

_Value = TypeVar("_Value")
_WITH_UNVALIDATED = 6  # the version that has unvalidated_key: `status` reads older ones too


class Event(model.Record, frozen=True, kw_only=True):
    """An entry of the history of a live schema."""

    at: datetime
    number: int | None
    kind: str
    by: str
    detail: str | None


def exists(connection: db.Connection) -> bool:
    """Return whether this database has a ledger.

    Raises:
        NotPermitted: it has one, and the role may not read it.
    """
    return _permitted(connection, "read")


def ensure(connection: db.Connection, *, to: Literal["read", "write"] = "write") -> None:
    """Create the ledger, or migrate it forward to this version of the tool; `to` is the access that the command needs.

    Raises:
        Refused: a newer version of the tool has written the ledger, or the ledger is damaged.
        NotPermitted: the role lacks access, or the ledger would run code of a role that it does not trust.
    """
    if _permitted(connection, to) and to == "write":
        _refuse_foreign_code(connection)
    versions = [name for name in queries.blocks("ledger") if name.startswith("version_")]
    current = _version(connection) if exists(connection) else 0
    if current > len(versions):
        raise errors.Refused(
            f"the ledger in this database has version {current}, this bluegreen knows up to {len(versions)}",
            hint="Upgrade bluegreen-etl.",
        )
    if current < len(versions):
        _permitted(connection, "write")
    for number in range(current + 1, len(versions) + 1):
        _migrate(connection, number)


def _permitted(connection: db.Connection, what: Literal["read", "write"]) -> bool:
    """Return whether there is a ledger; raise NotPermitted if the role lacks access to it."""
    row = connection.execute(queries.get("ledger_queries.exists")).fetchone()
    if row is None:
        return False
    oid, owner, readable, writable = row
    if not (readable if what == "read" else writable):
        role = connection.info.user
        raise errors.NotPermitted(
            f"role {role} may not {what} the ledger, the schema bluegreen, which belongs to role {owner}",
            hint=privileges.statements(privileges.of_schema(connection, oid)),
        )
    if what == "write":
        _refuse_foreign_code(connection)
    return True


def _refuse_foreign_code(connection: db.Connection) -> None:
    """Refuse a ledger in which another role's code would run with the rights of this one.

    Raises:
        NotPermitted: another role owns it, or it has triggers, rules, policies or views.
    """
    found = queries.records(connection, privileges.Lacking, "ledger_queries.foreign_code")
    if found:
        more = f", and {len(found) - 1} more" if found[1:] else ""
        raise errors.NotPermitted(
            f"the ledger may run code of another role as {connection.info.user}: {found[0].found}{more}",
            hint=" ".join(dict.fromkeys(each.statement for each in found)),
        )


def _migrate(connection: db.Connection, number: int) -> None:
    with connection.transaction():
        # Two first commands at once: the second waits here and then finds the work done.
        connection.execute(queries.get("ledger_queries.lock"))
        if exists(connection) and _version(connection) >= number:
            return
        db.run_script(connection, queries.blocks("ledger")[f"version_{number}"])
        connection.execute(queries.get("ledger_queries.set_version"), {"version": number})


def releases(connection: db.Connection, live_schema: str) -> list[Release]:
    """Return the releases of a live schema by number; none if there is no ledger."""
    if not exists(connection):
        return []
    return queries.records(connection, Release, "ledger_queries.releases", {"schema": live_schema})


def live_release(connection: db.Connection, live_schema: str) -> Release | None:
    """Return the release that is live by the ledger."""
    return next((r for r in releases(connection, live_schema) if r.status is Status.LIVE), None)


def find(connection: db.Connection, live_schema: str, number: int) -> Release:
    """Return one release.

    Raises:
        Refused: there is none of this number.
    """
    for release in releases(connection, live_schema):
        if release.number == number:
            return release
    raise errors.NoRelease(
        f"schema {live_schema} has no release {number}",
        hint=f"Look with `bluegreen status --schema {live_schema}`.",
    )


def open_release(connection: db.Connection, live_schema: str, *, base_oid: int | None) -> Release:
    """Insert the next release with status loading."""
    return _insert(connection, live_schema, status=Status.LOADING, origin=Origin.LOADED, base_oid=base_oid)


def adopt(connection: db.Connection, live_schema: str, *, schema_oid: int) -> Release:
    """Insert the current live schema, which the tool has not created, as a release."""
    release = _insert(connection, live_schema, status=Status.LIVE, origin=Origin.ADOPTED, schema_oid=schema_oid)
    note(connection, release, model.EventKind.ADOPTED, "the schema that was live before the first release")
    return release


def _insert(
    connection: db.Connection,
    live_schema: str,
    *,
    status: Status,
    origin: Origin,
    schema_oid: int | None = None,
    base_oid: int | None = None,
) -> Release:
    values = {
        "schema": live_schema,
        "status": status,
        "origin": origin,
        "schema_oid": schema_oid,
        "base_oid": base_oid,
        "tool_version": importlib.metadata.version("bluegreen-etl"),
    }
    return find(connection, live_schema, queries.value(connection, int, "ledger_queries.insert_release", values) or 0)


def open_for_parts(
    connection: db.Connection, release: Release, deferred: Iterable[model.Record], *, seconds: float
) -> Release:
    """Leave the release open for parts for `seconds`, and store the deferred entries for its end."""
    kept = Jsonb(msgspec.to_builtins(list(deferred)))
    connection.execute(
        queries.get("ledger_queries.open_for_parts"), {"id": release.id, "seconds": seconds, "deferred": kept}
    )
    note(connection, release, model.EventKind.OPENED)
    return find(connection, release.live_schema, release.number)


def keep_open(connection: db.Connection, release: Release) -> bool:
    """Keep the release open until the transaction ends; False if it is not open any more."""
    return bool(connection.execute(queries.get("ledger_queries.keep_open"), {"id": release.id}).rowcount)


def close(connection: db.Connection, release: Release) -> list[dict[str, Any]] | None:
    """Close the release for parts, inside a transaction; return the deferred entries, None if it is not open any more.

    Raises:
        LockNotAvailable: a part is being loaded.
    """
    found = queries.column(connection, list[dict[str, Any]], "ledger_queries.deferred_entries", {"id": release.id})
    if not found:
        return None
    connection.execute(queries.get("ledger_queries.close"), {"id": release.id})
    return found[0]


def take_part(connection: db.Connection, release: Release, table: str, key: str) -> bool:
    """Begin a part inside the transaction that loads its rows; False if it is loaded already.

    Waits for another session that loads the same part, to see whether it commits.
    """
    values = {"id": release.id, "table": table, "key": key}
    return bool(connection.execute(queries.get("ledger_queries.begin_part"), values).rowcount)


def fill_part(connection: db.Connection, release: Release, part: model.Part) -> None:
    """Record what a part has loaded, inside the same transaction."""
    connection.execute(queries.get("ledger_queries.fill_part"), {"id": release.id, **msgspec.structs.asdict(part)})


def parts(connection: db.Connection, release: Release) -> list[model.Part]:
    """Return the parts that are loaded into the release."""
    return queries.records(connection, model.Part, "ledger_queries.parts", {"id": release.id})


def find_part(connection: db.Connection, release: Release, table: str, key: str) -> model.Part | None:
    """Return one part; None if it is not loaded."""
    values = {"id": release.id, "table": table, "key": key}
    return next(iter(queries.records(connection, model.Part, "ledger_queries.part", values)), None)


def parts_under_way(connection: db.Connection, release: Release) -> list[model.Session]:
    """Return the sessions that load parts into the release."""
    application = names.program(release.live_schema, release.number)
    return activity.sessions(connection, "session.sessions_of_program", {"application": application})


def set_structure(
    connection: db.Connection, release: Release, *, schema_oid: int, structure: model.StructureFrom
) -> Release:
    """Record the schema of the release, and the origin of its structure."""
    values = {"id": release.id, "schema_oid": schema_oid, "structure": structure}
    connection.execute(queries.get("ledger_queries.set_structure"), values)
    return find(connection, release.live_schema, release.number)


def set_loaded(connection: db.Connection, release: Release) -> None:
    """Record the end of the load: older snapshots do not see rows that are not frozen."""
    connection.execute(queries.get("ledger_queries.set_loaded_xid"), {"id": release.id})


def advance(connection: db.Connection, release: Release, to: Status, failure: str | None = None) -> Release:
    """Move a release to another status.

    Raises:
        Conflict: the move is not legal, or somebody else has moved the release meanwhile.
    """
    values = {"id": release.id, "from": release.status, "to": to, "failure": failure and printable(failure)}
    legal = to in MOVES[release.status]
    if not legal or not connection.execute(queries.get("ledger_queries.advance_release"), values).fetchone():
        raise errors.Conflict(
            f"release {release.number} of {release.live_schema} is not {release.status} any more, "
            f"or cannot become {to}",
            hint="Look with `bluegreen status`.",
        )
    return find(connection, release.live_schema, release.number)


def note(connection: db.Connection, release: Release, kind: model.EventKind, detail: str | None = None) -> None:
    """Write an event into the history."""
    values = {
        "schema": release.live_schema,
        "number": release.number,
        "kind": kind,
        "detail": detail and printable(detail),
    }
    connection.execute(queries.get("ledger_queries.insert_event"), values)


def record_sources(connection: db.Connection, release: Release, sources: Iterable[model.SourceFile]) -> None:
    """Record the files that filled the release."""
    rows = [{**msgspec.structs.asdict(source), "id": release.id} for source in sources]
    if rows:
        connection.cursor().executemany(queries.get("ledger_queries.insert_source"), rows)


def record_tables(connection: db.Connection, release: Release, loads: Iterable[model.TableLoad]) -> None:
    """Record the load of each table."""
    rows = [{**msgspec.structs.asdict(load), "id": release.id} for load in loads]
    if rows:
        connection.cursor().executemany(queries.get("ledger_queries.insert_loaded_table"), rows)


def record_checks(connection: db.Connection, release: Release, results: Iterable[model.CheckResult]) -> None:
    """Record check results with their first offending rows."""
    rows = [
        {
            **msgspec.structs.asdict(result),
            "id": release.id,
            "message": result.message and printable(result.message),
            "columns": list(result.columns),
            "sample": Jsonb([list(row) for row in result.sample]),
        }
        for result in results
    ]
    if rows:
        connection.cursor().executemany(queries.get("ledger_queries.insert_check_result"), rows)


def carry(connection: db.Connection, release: Release, tables: Iterable[str], keys: Iterable[model.ForeignKey]) -> None:
    """Record the carried tables of the release, and its own foreign keys into them."""
    for statement in carry_statements(release, tables, keys):
        connection.execute(statement)


def carry_statements(
    release: Release, tables: Iterable[str], keys: Iterable[model.ForeignKey]
) -> Iterator[sql.Composed]:
    """Yield the statements that record the carried tables of a release, and its foreign keys into them."""
    place = sql.Literal(release.id)
    yield queries.get("cutover.carry", id=place, tables=sql.Literal(list(tables)))
    yield queries.get("ledger_queries.delete_carried_keys", id=place)
    for key in keys:
        values = {"table": key.table, "name": key.name, "key": model.to_json(key)}
        yield queries.get(
            "ledger_queries.insert_carried_key",
            id=place,
            **{name: sql.Literal(value) for name, value in values.items()},
        )


def carried_tables(connection: db.Connection, release: Release) -> list[str]:
    """Return the carried tables of the release."""
    return queries.column(connection, str, "ledger_queries.carried_tables", {"id": release.id})


def carried_keys(connection: db.Connection, release: Release) -> list[model.ForeignKey]:
    """Return the foreign keys into carried tables that the release's tables have while it is live."""
    return queries.column(connection, model.ForeignKey, "ledger_queries.carried_keys", {"id": release.id})


def unvalidated(connection: db.Connection, live_schema: str) -> list[tuple[str, model.ForeignKey]]:
    """Return the foreign keys that cut-overs have re-created and that are not validated yet, each with its schema."""
    if not exists(connection) or _version(connection) < _WITH_UNVALIDATED:
        return []
    rows = connection.execute(queries.get("ledger_queries.unvalidated"), {"schema": live_schema}).fetchall()
    return [(row[0], queries.from_ledger(row[1], model.ForeignKey)) for row in rows]


def keep_unvalidated(live_schema: str, schema: str, key: model.ForeignKey) -> sql.Composed:
    """Return the statement that records a foreign key to validate; `schema` is its schema after the cut-over."""
    values = {"live": live_schema, "schema": schema, "table": key.table, "name": key.name, "key": model.to_json(key)}
    return queries.get(
        "ledger_queries.insert_unvalidated", **{name: sql.Literal(value) for name, value in values.items()}
    )


def forget_validated(connection: db.Connection, live_schema: str) -> None:
    """Delete the records of foreign keys that are validated or dropped by now."""
    connection.execute(queries.get("ledger_queries.delete_validated"), {"schema": live_schema})


def old_snapshots(connection: db.Connection, release: Release) -> list[model.Session]:
    """Return the sessions whose snapshot is so old that tables of the release would be empty for them."""
    return activity.sessions(connection, "cutover.old_snapshots", {"id": release.id})


def replaced_by(connection: db.Connection, release: Release) -> Release | None:
    """Return the release that `release` replaced when it was last promoted."""
    found = queries.value(connection, int, "ledger_queries.replaced_by", {"id": release.id})
    return next((r for r in releases(connection, release.live_schema) if r.id == found), None)


def cutovers(connection: db.Connection, live_schema: str) -> list[Cutover]:
    """Return the cut-overs of a live schema, oldest first."""
    return queries.records(connection, Cutover, "ledger_queries.cutovers", {"schema": live_schema})


def events(connection: db.Connection, live_schema: str) -> list[Event]:
    """Return the history of a live schema, oldest first."""
    return queries.records(connection, Event, "ledger_queries.events", {"schema": live_schema})


def is_protected(connection: db.Connection) -> bool:
    """Return whether this database is marked as protected."""
    return exists(connection) and _only_row(queries.value(connection, bool, "ledger_queries.is_protected"))


def protect(connection: db.Connection, *, protected: bool) -> None:
    """Mark this database as protected, or remove the mark.

    Raises:
        NotPermitted: the role may not write the ledger.
    """
    _permitted(connection, "write")
    connection.execute(queries.get("ledger_queries.protect"), {"protected": protected})


def _version(connection: db.Connection) -> int:
    return _only_row(queries.value(connection, int, "ledger_queries.version"))


def _only_row(value: _Value | None) -> _Value:
    """Return a value of the ledger's own row."""
    if value is None:
        raise queries.damaged("bluegreen.ledger has no row with its version")
    return value
