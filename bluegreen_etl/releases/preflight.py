"""Refuse what cannot be loaded before anything is written."""

from collections.abc import Collection, Mapping, Sequence

from bluegreen_etl import catalog, citus, db, errors, ledger, names
from bluegreen_etl.config.table_checks import Relationships, TableChecks, Unique
from bluegreen_etl.model import Status, Table
from bluegreen_etl.releases.context import Context


def _refuse_to_carry_from_whole(context: Context, connection: db.Connection, live_oid: int | None, table: str) -> None:
    if citus.is_whole(connection, live_oid):
        raise errors.NotReplaceable(
            f"table {table} cannot be carried: {context.schema} is distributed as a whole, "
            "and Citus copies a table that leaves such a schema",
            hint="Name it under [carry] copy, which copies its rows into each release.",
        )


def refuse_subscribers(connection: db.Connection) -> None:
    """Refuse to publish the rows of a release under a schema that no subscriber has, which would stop them all."""
    found = catalog.all_tables_publications(connection)
    if found:
        raise errors.NotReplaceable(
            f"publication {', '.join(found)} is for all tables, and somebody subscribes in this database: subscribers "
            "would get the rows of the release under a schema that they do not have",
            hint="Publish tables or schemas by name: CREATE PUBLICATION … FOR TABLE, or FOR TABLES IN SCHEMA.",
        )


def _refuse_taken_names(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse a schema where the new release will lie, or where live will go when it steps back."""
    releases = ledger.releases(connection, context.schema)
    last = max((release.number for release in releases), default=0)
    numbers = [release.number for release in releases if release.status is Status.LIVE]
    if live_oid is not None and not numbers:
        numbers.append(last + 1)
    own = max([last, *numbers]) + 1
    if context.settings.checks.store_failures:
        failures_schema(context, names.shadow_schema(context.schema, own))
    for number in [*numbers, own]:
        shadow = names.shadow_schema(context.schema, number)
        if catalog.schema_oid(connection, shadow) is not None:
            raise errors.NameTaken(
                f"a schema {names.quoted(shadow)} exists already, and bluegreen has not made it",
                hint="Rename or drop that schema.",
            )


def failures_schema(context: Context, shadow_schema: str) -> str:
    """Return the name of the schema for the offending rows of a release.

    Raises:
        UsageError: it would be longer than a name may be.
    """
    name = names.failures_schema(shadow_schema)
    if name is None:
        raise errors.UsageError(
            f'schema name "{context.schema}" is too long to store failures: there is no room for '
            f'"{shadow_schema}_failures" in {names.MAX_BYTES} bytes',
            hint="Leave --store-failures out; the first offending rows are shown and in the ledger all the same.",
        )
    return name


def refuse_unknown_columns(context: Context, tables: Sequence[Table]) -> None:
    """Refuse declared checks of what the release will not have, unless a transform might make it.

    Raises:
        UsageError: there is no such table or column.
    """
    if context.settings.transform.files:
        return
    by_name = {table.name: {column.name for column in table.columns} for table in tables}
    for name, table in context.settings.tables.items():
        wanted = table.checks
        if wanted == TableChecks():
            continue
        place = f"[tables.{names.toml_key(name)}.checks]"
        if name not in by_name or table.temporary:
            raise errors.BadConfiguration(
                f"{place} is about a table that a release of {context.schema} does not have",
                hint=f"Its tables are {', '.join(by_name) or 'none'}.",
            )
        keys = [each.columns if isinstance(each, Unique) else each for each in wanted.unique]
        keys += [wanted.keys_against_live.columns] if wanted.keys_against_live else []
        listed = {*wanted.columns, *(column for key in keys for column in key)}
        strangers = listed - by_name[name]
        if strangers:
            raise errors.BadConfiguration(
                f"{place} is about column {min(strangers)}, which the table does not have",
                hint=f"Its columns are {', '.join(sorted(by_name[name]))}.",
            )
        for other in (each.relationships for each in wanted.columns.values() if each.relationships):
            _refuse_unknown_parent(context, place, other, by_name)


def _refuse_unknown_parent(
    context: Context, place: str, wanted: Relationships, by_name: Mapping[str, Collection[str]]
) -> None:
    if wanted.to not in by_name:
        raise errors.BadConfiguration(
            f"{place} is about table {wanted.to}, which a release of {context.schema} does not have",
            hint=f"Its tables are {', '.join(by_name) or 'none'}.",
        )
    if wanted.field not in by_name[wanted.to]:
        raise errors.BadConfiguration(
            f"{place} is about column {wanted.field} of {wanted.to}, which the table does not have",
            hint=f"Its columns are {', '.join(sorted(by_name[wanted.to]))}.",
        )
