"""Run the project's own SQL files for a release, DDL and transforms, which may change nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bluegreen_etl import catalog, db, errors, names, queries, search_path

# EXECUTE in PL/pgSQL refuses COMMIT and ROLLBACK, so that a script cannot end the transaction around it.
_RUN = "DO $do$ BEGIN EXECUTE pg_catalog.current_setting('bluegreen.script'); END $do$"
_HINT = "The file must be plain SQL without transaction control or psql commands."
_HINTS = {
    "42P06": "The schema exists and is empty when the file runs: leave CREATE SCHEMA out, or add IF NOT EXISTS.",
}


def run(connection: db.Connection, file: Path) -> None:
    """Run one file within the current transaction.

    Raises:
        BadSource: the file cannot be read.
        Refused: a statement fails; names file and line.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise errors.BadSource(f"{file} cannot be read: {error}", hint="Check its path and encoding.") from error
    connection.execute("SELECT pg_catalog.set_config('bluegreen.script', %s, true)", (text,))
    try:
        with search_path.user_path(connection):
            connection.execute(_RUN)
    except psycopg.Error as error:
        if db.is_lock_error(error):
            raise
        position = int(error.diag.internal_position or 0)
        line = f", line {text.count(chr(10), 0, position) + 1}" if position else ""
        raise errors.BadScript(
            f"{file}{line}: {error.diag.message_primary}",
            hint=_HINTS.get(error.sqlstate or "") or error.diag.message_hint or _HINT,
        ) from error


@contextmanager
def leaving_others_alone(connection: db.Connection, schema: str) -> Iterator[None]:
    """Refuse changes that the body, scripts for `schema`, makes to relations outside it; the caller rolls back.

    Raises:
        Refused: an existing relation was dropped, replaced or altered, or rows were written outside.
    """
    existing = catalog.names_of_relations(connection)
    yield
    changed = catalog.changed_relations(connection, existing)
    if changed:
        listed = ", ".join(names.quoted(*existing[oid]) for oid in changed)
        raise errors.BadScript(
            f"a script drops or changes {listed}, outside of {schema}",
            hint="The server looks for an unqualified name in the whole search path: "
            "leave DROP out (the schema is empty), or qualify the name.",
        )
    written = connection.execute(queries.get("catalog.tables_written"), {"schema": schema}).fetchall()
    if written:
        listed = ", ".join(names.quoted(*table) for table in written)
        raise errors.BadScript(
            f"a script writes rows to {listed}, outside of {schema}",
            hint="Write to tables of the release only; unqualified names refer to them.",
        )
