"""What every command works with: settings, the server, who is told; and the guards that all share."""

import os
from functools import cached_property

from bluegreen_etl import catalog, config, db, errors, ledger, model, names


class Context:
    """One command's surroundings.

    Args:
        resolved: the settings, with the target.
        watcher: who is told how the work goes.
        force: the user has said that protection and a conflict are to be overruled.
    """

    def __init__(self, resolved: config.Resolved, watcher: model.Watcher, *, force: bool = False) -> None:
        self.resolved = resolved
        self.settings = resolved.settings
        self.watcher = watcher
        self.force = force
        self.confirmed = False  # somebody has typed the name in answer to a question about protection

    @cached_property
    def server(self) -> db.Server:
        """The server, which the embedded one becomes only when somebody needs it."""
        return db.server(self.resolved, self.watcher.say)

    @property
    def schema(self) -> str:
        """The live schema's name.

        Raises:
            UsageError: none was named, or it cannot be one.
        """
        if self.settings.schema is None:
            raise errors.UsageError(
                "no schema was named", hint='Give --schema NAME, or write schema = "name" into bluegreen.toml.'
            )
        names.check_live_schema(self.settings.schema)
        return self.settings.schema


def refuse_if_protected(context: Context, connection: db.Connection, verb: str, *, what: str | None = None) -> None:
    """Let nobody change what is live in a protected database without saying so.

    `what` is the name to be typed: the schema's where none is given.

    The mark is in the database's own ledger, so that it holds whichever way the database was reached.

    Raises:
        NotPermitted: protected, and neither --force given nor the name typed.
    """
    if context.settings.protected and ledger.exists(connection):
        ledger.protect(connection, protected=True)
    if context.force or context.confirmed or not (context.settings.protected or ledger.is_protected(connection)):
        return
    what = what or context.schema
    question = f"Database {connection.info.dbname} is protected. Type {what} to {verb}"
    if not context.watcher.confirm(question, what):
        raise errors.Protected(
            f"database {connection.info.dbname} is protected: {verb} of {what} needs a confirmation",
            hint=f"Run it on a terminal and type {what}, or give --force.",
        )
    context.confirmed = True


def refuse_extensions(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse where an extension is installed in live: it can be in one schema only.

    Raises:
        Refused: there is one.
    """
    extensions = catalog.extensions(connection, live_oid) if live_oid else []
    if extensions:
        raise errors.NotReplaceable(
            f"extension {', '.join(extensions)} is installed in schema {context.schema} and would leave with it",
            hint=f"Move it: ALTER EXTENSION {names.quoted(extensions[0])} SET SCHEMA public;",
        )


def current_live(context: Context, connection: db.Connection) -> tuple[model.Release | None, int | None]:
    """Return the release that the ledger says is live, and the OID of the schema that is."""
    return ledger.live_release(connection, context.schema), catalog.schema_oid(connection, context.schema)


def adopt(context: Context, connection: db.Connection, live_oid: int) -> model.Release:
    """Tell the ledger that this schema is live: a kept release that was renamed by hand, or one it does not know."""
    for release in ledger.releases(connection, context.schema):
        if release.schema_oid == live_oid and model.Status.LIVE in model.MOVES[release.status]:
            ledger.note(
                connection,
                release,
                model.EventKind.ADOPTED,
                f"it was renamed to {names.quoted(context.schema)} by hand",
            )
            return ledger.advance(connection, release, model.Status.LIVE)
    return ledger.adopt(connection, context.schema, schema_oid=live_oid)


MOST_JOBS = 8


def connections(context: Context) -> int:
    """Return how many connections work at the same time."""
    return context.settings.load.jobs or min(os.cpu_count() or 1, MOST_JOBS)
