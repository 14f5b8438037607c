"""Foreign keys that a swap makes again: rows that would refer to nothing, and the look at all rows after it.

They come back NOT VALID, so that nobody waits for that look, and stand in the ledger until it has been had: what fails
is tried again after the next cut-over, and `status` tells of it.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import psycopg
from psycopg import sql

from bluegreen_etl import db, errors, ledger, model, names
from bluegreen_etl.cutover import recreate
from bluegreen_etl.model import ForeignKey

OnOrphans = Literal["refuse", "delete", "null"]


class Reference(model.Record, frozen=True, kw_only=True):
    """A foreign key that the swap makes again; the schemas that hold its rows and those that they refer to.

    `child_schema` before the swap, `schema` after it, `parent_schema` before it (after it is the live one).
    """

    key: ForeignKey
    schema: str
    child_schema: str
    parent_schema: str


def refuse_orphans(
    connection: db.Connection, references: Sequence[Reference], live_schema: str, on_orphans: OnOrphans
) -> None:
    """Count the rows that refer to what will not be there after the swap.

    Raises:
        Orphans: there are some that are to be refused, or cannot be set to null, or the release lacks a table.
    """
    for reference in references:
        count = _count(connection, reference) if reference.key.validated else 0
        if count:
            _refuse(reference, count, live_schema, on_orphans)


def _count(connection: db.Connection, reference: Reference) -> int:
    key = reference.key
    statement = recreate.count_orphans(key, reference.child_schema, reference.parent_schema)
    try:
        row = connection.execute(statement).fetchone()
    except (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn) as error:
        raise errors.Orphans(
            f"the release does not have {key.parent} ({', '.join(key.parent_columns)}), "
            f"which foreign key {key.name} of {names.quoted(reference.child_schema, key.table)} refers to",
            hint="Load a release that has it, or drop the foreign key first.",
        ) from error
    return row[0] if row else 0


def _refuse(reference: Reference, count: int, live_schema: str, on_orphans: OnOrphans) -> None:
    key = reference.key
    lacking = "live" if reference.parent_schema == live_schema else "the release"
    what = (
        f"{count} rows of {names.quoted(reference.child_schema, key.table)} refer to rows of {key.parent} that "
        f"{lacking} does not have (foreign key {key.name})"
    )
    if on_orphans == "refuse":
        hint = 'Load a release that fits, mend those rows first, or say [promote] on_orphans = "delete" or "null".'
        raise errors.Orphans(what, hint=hint)
    if on_orphans == "null" and not key.nullable:
        raise errors.Orphans(
            f"{what}, and a column of it is NOT NULL", hint='Mend those rows, or say [promote] on_orphans = "delete".'
        )


def settle(connection: db.Connection, live_schema: str, on_orphans: OnOrphans, say: Callable[[str], None]) -> None:
    """Validate what cut-overs have made again. They are done: what goes wrong here is told, and tried again later.

    Rows that refer to nothing are treated now, and not when they were counted: some may have come since.
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
                say(f"{place} is not validated, the next promote or rollback will try: {error.diag.message_primary}")
        ledger.forget_validated(connection, live_schema)
    except psycopg.Error as error:
        say(f"foreign keys are not validated, the next promote or rollback will do it: {error}")


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
        say(f"{count} rows of {names.quoted(schema, key.table)} referred to no row of {key.parent} any more: {done}")
