"""The surroundings of a command: settings, server and watcher; and the guards that the commands share."""

import copy
import os
from functools import cached_property

from bluegreen_etl import catalog, config, db, errors, ledger, model, names


class Context:
    """The surroundings of one command.

    Args:
        resolved: the settings, with the target.
        watcher: receives messages and progress.
        force: go on although the database is protected or live has changed.
    """

    def __init__(self, resolved: config.Resolved, watcher: model.Watcher, *, force: bool = False) -> None:
        self.resolved = resolved
        self.settings = resolved.settings
        self.watcher = watcher
        self.force = force
        self._confirmed = False

    @cached_property
    def server(self) -> db.Server:
        """The server; the embedded one starts when it is first used."""
        return db.server(self.resolved, self.watcher.say)

    @property
    def schema(self) -> str:
        """The live schema's name.

        Raises:
            UsageError: the settings name no schema, or a reserved name.
        """
        if self.settings.schema is None:
            raise errors.UsageError(
                "no schema was named", hint='Give `--schema NAME`, or write `schema = "NAME"` into bluegreen.toml.'
            )
        names.check_live_schema(self.settings.schema)
        return self.settings.schema

    @property
    def may_change_protected(self) -> bool:
        """Whether `--force` or an earlier confirmation allows changes of a protected database."""
        return self.force or self._confirmed

    def confirmed(self) -> "Context":
        """Return these surroundings with the confirmation that changes of a protected database need."""
        other = copy.copy(self)
        other._confirmed = True  # noqa: SLF001 - a copy of its own
        return other


def confirm(context: Context, verb: str) -> Context:
    """Ask now for the confirmation that a later step of the command needs, and return a context that has it.

    Raises:
        Protected: the database is protected, and `verb` was not confirmed.
    """
    with context.server.connect(f"{verb} {context.schema}") as connection:
        return refuse_if_protected(context, connection, verb)


def refuse_if_protected(context: Context, connection: db.Connection, verb: str, *, what: str | None = None) -> Context:
    """Refuse to change a protected database without `--force` or a confirmation; return a context that has it.

    The mark is in the database's own ledger, so that it applies to every connection to this database.

    Args:
        what: the name that a person types to confirm; the schema's by default.

    Raises:
        Protected: the database is protected, `--force` is not given, and the name was not typed.
    """
    if context.settings.protected and ledger.exists(connection):
        ledger.protect(connection, protected=True)
    protected = context.settings.protected or ledger.is_protected(connection)
    if context.may_change_protected or not protected:
        return context
    what = what or context.schema
    question = f"Database {connection.info.dbname} is protected. Type {what} to {verb}"
    if not context.watcher.confirm(question, what):
        raise errors.Protected(
            f"database {connection.info.dbname} is protected: {verb} of {what} needs a confirmation",
            hint=f"Run it on a terminal and type `{what}`, or give `--force`.",
        )
    return context.confirmed()


def refuse_extensions(context: Context, connection: db.Connection, live_oid: int | None) -> None:
    """Refuse to replace a schema that holds an extension: an extension can be in one schema only.

    Raises:
        NotReplaceable: live holds an extension.
    """
    extensions = catalog.extensions(connection, live_oid) if live_oid else []
    if extensions:
        raise errors.NotReplaceable(
            f"extension {', '.join(extensions)} is installed in schema {context.schema}, "
            "and the new release would not have it",
            hint=f"Move it: `ALTER EXTENSION {names.quoted(extensions[0])} SET SCHEMA public;`",
        )


def find_live(context: Context, connection: db.Connection) -> tuple[model.Release | None, int | None]:
    """Return the release that is live according to the ledger, and the OID of the schema that has the live name."""
    return ledger.live_release(connection, context.schema), catalog.schema_oid(connection, context.schema)


def adopt(context: Context, connection: db.Connection, live_oid: int) -> model.Release:
    """Record a schema as live: a kept release that was renamed by hand, or a schema that the ledger does not know."""
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


def count_jobs(context: Context) -> int:
    """Return how many connections work at the same time."""
    return context.settings.load.jobs or min(os.cpu_count() or 1, MOST_JOBS)
