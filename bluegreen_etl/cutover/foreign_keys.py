"""Foreign keys that a swap re-creates: their orphans before it, and their validation after it.

The swap adds them NOT VALID, so that nobody waits for the validation. The ledger keeps them until they are validated:
a failed validation is repeated after the next cut-over, and `status` shows it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, ledger, model, names, queries
from bluegreen_etl.cutover import recreate
from bluegreen_etl.model import ForeignKey

OnOrphans = Literal["refuse", "delete", "null"]


class Reference(model.Record, frozen=True, kw_only=True):
    """A foreign key that the swap re-creates, and the schemas of its tables.

    Args:
        schema: of the referring table after the swap.
        child_schema: of the referring table before the swap.
        parent_schema: of the referenced table before the swap (after it: the live schema).
    """

    key: ForeignKey
    schema: str
    child_schema: str
    parent_schema: str


def refuse_orphans(
    connection: db.Connection, references: Sequence[Reference], live_schema: str, on_orphans: OnOrphans
) -> None:
    """Refuse orphans that the swap would create, as `on_orphans` says.

    Raises:
        Orphans: there are some, or some that cannot be set to null, or the release lacks the referenced table.
    """
    for reference in references:
        count = _count(connection, reference) if reference.key.validated else 0
        if count:
            _refuse(reference, count, live_schema, on_orphans)


def _count(connection: db.Connection, reference: Reference) -> int:
    key = reference.key
    statement = recreate.count_orphans(key, reference.child_schema, reference.parent_schema)
    try:
        return queries.value(connection, int, statement) or 0
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise errors.Orphans(
            f"the release does not have {key.parent} ({', '.join(key.parent_columns)}), "
            f"which foreign key {key.name} of {names.quoted(reference.child_schema, key.table)} refers to",
            hint="Load a release that has it, or drop the foreign key.",
        ) from error


def _refuse(reference: Reference, count: int, live_schema: str, on_orphans: OnOrphans) -> None:
    key = reference.key
    lacking = "live" if reference.parent_schema == live_schema else "the release"
    what = (
        f"{count} rows of {names.quoted(reference.child_schema, key.table)} refer to rows of {key.parent} that "
        f"{lacking} does not have (foreign key {key.name})"
    )
    if on_orphans == "refuse":
        hint = (
            'Fix those rows, load a release with their keys, or set `on_orphans = "delete"` (or `"null"`) in [promote].'
        )
        raise errors.Orphans(what, hint=hint)
    if on_orphans == "null" and not key.nullable:
        raise errors.Orphans(
            f"{what}, and a column of it is NOT NULL",
            hint='Fix those rows, or set `on_orphans = "delete"` under [promote].',
        )


def settle(connection: db.Connection, live_schema: str, on_orphans: OnOrphans, say: Callable[[str], None]) -> None:
    """Validate the foreign keys that cut-overs have re-created. Only report errors: the cut-overs are complete.

    Orphans are deleted or set to null now, not when they were counted: there may be more since.
    """
    try:
        for schema, key in ledger.unvalidated(connection, live_schema):
            place = f"foreign key {key.name} of {names.quoted(schema, key.table)}"
            try:
                _treat(connection, key, schema, live_schema, on_orphans, say)
                connection.execute(sql.SQL(recreate.validate(schema, key)))
            except psycopg.errors.Error as error:
                if connection.closed:
                    raise
                say(f"{place} not validated, the next promote or rollback will retry: {error.diag.message_primary}")
        ledger.forget_validated(connection, live_schema)
    except psycopg.Error as error:
        say(f"foreign keys not validated, the next promote or rollback will retry: {error}")


def _treat(
    connection: db.Connection,
    key: ForeignKey,
    schema: str,
    live_schema: str,
    on_orphans: OnOrphans,
    say: Callable[[str], None],
) -> None:
    if on_orphans == "delete":
        treatment, done = recreate.delete_orphans, "deleted"
    elif on_orphans == "null" and key.nullable:
        treatment, done = recreate.null_orphans, "set to null"
    else:
        return
    count = connection.execute(treatment(key, schema, live_schema)).rowcount
    if count:
        say(f"{count} orphans in {names.quoted(schema, key.table)} {done}: their row in {key.parent} is gone")
