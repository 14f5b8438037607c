"""Refuse what cannot be loaded before anything is written."""

from collections.abc import Collection, Mapping, Sequence

from bluegreen_etl import catalog, citus, db, errors, ledger, names
from bluegreen_etl.config.table_checks import Relationships, TableChecks, Unique
from bluegreen_etl.model import Status, Table
from bluegreen_etl.releases.context import Context


def refuse_to_carry_from_whole(context: Context, connection: db.Connection, live_oid: int | None, table: str) -> None:
    """Refuse to carry a table of a schema that Citus distributes as a whole.

    Raises:
        NotReplaceable: live is such a schema.
    """
    if citus.is_whole(connection, live_oid):
        raise errors.NotReplaceable(
            f"table {table} cannot be carried: {context.schema} is distributed as a whole, "
            "and Citus would copy a table that leaves such a schema",
            hint="Name it under `[carry] copy`, which copies its rows into each release.",
        )


def refuse_subscribers(connection: db.Connection) -> None:
    """Refuse a publication for all tables: it would publish rows under a shadow schema that no subscriber has.

    Raises:
        NotReplaceable: there is such a publication with a subscriber.
    """
    found = catalog.all_tables_publications(connection)
    if found:
        raise errors.NotReplaceable(
            f"publication {', '.join(found)} is for all tables and has a subscriber: subscribers "
            "would get the rows of the release under a schema that they do not have",
            hint="Publish tables or schemas by name: `CREATE PUBLICATION … FOR TABLE …` or `FOR TABLES IN SCHEMA …`.",
        )


def refuse_taken_names(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse a schema that has the name of the new release, or the name that live will get when it is replaced.

    Raises:
        NameTaken: there is such a schema.
    """
    releases = ledger.releases(connection, context.schema)
    last = max((release.number for release in releases), default=0)
    numbers = [release.number for release in releases if release.status is Status.LIVE]
    if live_oid is not None and not numbers:
        numbers.append(last + 1)
    own = max([last, *numbers]) + 1
    if context.settings.checks.store_failures:
        choose_failures_schema(context, names.shadow_schema(context.schema, own))
    for number in [*numbers, own]:
        shadow = names.shadow_schema(context.schema, number)
        if catalog.schema_oid(connection, shadow) is not None:
            raise errors.NameTaken(
                f"schema {names.quoted(shadow)} already exists, and bluegreen did not create it",
                hint=f"Rename the schema, or drop it: `DROP SCHEMA {names.quoted(shadow)} CASCADE;`",
            )


def choose_failures_schema(context: Context, shadow_schema: str) -> str:
    """Return the name of the schema for the offending rows of a release.

    Raises:
        UsageError: the name would be too long.
    """
    name = names.failures_schema(shadow_schema)
    if name is None:
        raise errors.UsageError(
            f'schema name "{context.schema}" is too long to store failures: there is no room for '
            f'"{shadow_schema}_failures" in {names.MAX_BYTES} bytes',
            hint="Leave `--store-failures` out; the ledger keeps the first offending rows anyway.",
        )
    return name


def refuse_unknown_columns(context: Context, tables: Sequence[Table]) -> None:
    """Refuse a declared check of a table or column that the release will not have, unless a transform may create it.

    Raises:
        BadConfiguration: there is no such table or column.
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
                f"{place} names a table that a release of {context.schema} does not have",
                hint=f"Use one of its tables: {', '.join(by_name) or 'none'}.",
            )
        keys = [each.columns if isinstance(each, Unique) else each for each in wanted.unique]
        keys += [wanted.keys_against_live.columns] if wanted.keys_against_live else []
        listed = {*wanted.columns, *(column for key in keys for column in key)}
        strangers = listed - by_name[name]
        if strangers:
            raise errors.BadConfiguration(
                f"{place} names column {min(strangers)}, which the table does not have",
                hint=f"Use one of its columns: {', '.join(sorted(by_name[name]))}.",
            )
        for other in (each.relationships for each in wanted.columns.values() if each.relationships):
            _refuse_unknown_parent(context, place, other, by_name)


def _refuse_unknown_parent(
    context: Context, place: str, wanted: Relationships, by_name: Mapping[str, Collection[str]]
) -> None:
    if wanted.to not in by_name:
        raise errors.BadConfiguration(
            f"{place} names table {wanted.to}, which a release of {context.schema} does not have",
            hint=f"Use one of its tables: {', '.join(by_name) or 'none'}.",
        )
    if wanted.field not in by_name[wanted.to]:
        raise errors.BadConfiguration(
            f"{place} names column {wanted.field} of {wanted.to}, which the table does not have",
            hint=f"Use one of its columns: {', '.join(sorted(by_name[wanted.to]))}.",
        )
