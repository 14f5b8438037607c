"""Stand-ins: in the place of each table that is carried, a release has a view of the one that is live.

So the release's own views, its checks and the programs that fill it find the rows there, and cannot write to them. The
cut-over puts the table itself into its place (bluegreen_etl/cutover/carried.py).
"""

from collections.abc import Sequence

import psycopg
from psycopg import sql

from bluegreen_etl import catalog, db, errors, followers, ledger, model

_AWAY = "bluegreen stand-in"


def put_in(connection: db.Connection, release: model.Release, carried: Sequence[str]) -> None:
    """Put a stand-in into the place of each carried table, and write into the ledger what the release thereby lacks.

    Raises:
        Refused: something of the release is built on such a table and cannot be built on a view.
    """
    if not carried:
        return
    with connection.transaction():
        oid = catalog.schema_oid(connection, release.shadow_schema) or 0
        own = {name: table for name, table in catalog.plain_tables(connection, oid).items() if name in carried}
        connection.execute(sql.SQL("SET LOCAL search_path = {}").format(sql.Identifier(release.shadow_schema)))
        # A clone of live has them as they are there.
        owed = [
            (release.shadow_schema, key)
            for schema, key in ledger.unvalidated(connection, release.live_schema)
            if schema == release.live_schema
        ]
        keys = [key for _, key in followers.keys(connection, schema=oid, into=own.values(), owed=owed).values()]
        connection.execute("SET LOCAL search_path = ''")
        ledger.carry(connection, release, carried, keys)
        for key in keys:
            connection.execute(sql.SQL(followers.drop(release.shadow_schema, key)))
        for name in carried:
            _put_in(connection, release, name, own.get(name))
        # Last, because they may refer to each other.
        for name in own:
            _drop_own(connection, release, name)


def _put_in(connection: db.Connection, release: model.Release, name: str, own: int | None) -> None:
    shadow, live = (sql.Identifier(schema, name) for schema in (release.shadow_schema, release.live_schema))
    again = []
    if own is not None:
        found = followers.find(connection, catalog.dependents_on(connection, own))
        again = [statement for follower in found.values() for statement in follower.statements]
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(shadow, sql.Identifier(_away(name))))
    # WITH makes a view that nobody can write through; what its readers may see is what they may see of the table.
    connection.execute(
        sql.SQL(
            "CREATE VIEW {0} WITH (security_invoker = true) AS "
            "WITH live AS NOT MATERIALIZED (SELECT * FROM {1}) SELECT * FROM live"
        ).format(shadow, live)
    )
    connection.execute(sql.SQL("GRANT SELECT ON {} TO PUBLIC").format(shadow))
    for statement in again:
        try:
            connection.execute(sql.SQL(statement))
        except psycopg.errors.ProgrammingError as error:
            raise errors.CannotFollow(
                f"carried table {name} is a view while its release is not live, and something needs the table: "
                f"{error.diag.message_primary}, in {' '.join(statement.split())[:_SHOWN]}",
                hint="Name all columns in GROUP BY, leave WITH CHECK OPTION out.",
            ) from error


_SHOWN = 100


def _drop_own(connection: db.Connection, release: model.Release, name: str) -> None:
    place = sql.Identifier(release.shadow_schema, _away(name))
    try:
        connection.execute(sql.SQL("DROP TABLE {}").format(place))
    except psycopg.errors.DependentObjectsStillExist as error:
        detail = (error.diag.message_detail or "").replace(_away(name), name)
        raise errors.CannotFollow(
            f"something is built on carried table {name} that cannot follow it: {'; '.join(detail.splitlines())}",
            hint="Views, functions with a parsed body and policies follow; materialized views and types do not.",
        ) from error


def _away(name: str) -> str:
    return f"{name[:40]} {_AWAY}"
