"""Choose how a cut-over blocks readers: by locks or by pausing PgBouncer."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from bluegreen_etl import db, errors, pgbouncer
from bluegreen_etl.cutover import pgbouncer_pause, steps
from bluegreen_etl.cutover.locks import Locks
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.cutover.steps import LONGEST_WAIT
from bluegreen_etl.cutover.strategy import Patience, Strategy
from bluegreen_etl.model import Via
from bluegreen_etl.releases.context import Context


def choose_patience(context: Context) -> Patience:
    """Return how long a cut-over may be tried."""
    settings = context.settings.promote
    return Patience(settings.max_wait, settings.cancel_blockers)


@contextmanager
def open_strategy(context: Context, connection: db.Connection, planned: Plan) -> Iterator[Strategy]:
    """Open the strategy for the body.

    Args:
        connection: the session that planned the cut-over.

    Raises:
        BluegreenError: see pgbouncer_pause.opened.
    """
    found = find_consoles(context, connection)
    say = context.watcher.say
    if found:
        wait = context.settings.promote.pgbouncer.pause_wait
        with pgbouncer_pause.opened(
            connection, planned, choose_patience(context), say, consoles=found, wait=wait
        ) as paused:
            yield paused
    else:
        yield Locks(planned, choose_patience(context), say)


def find_consoles(context: Context, connection: db.Connection) -> list[pgbouncer.Console]:
    """Return the consoles of the poolers to pause; none if locks block the readers.

    Raises:
        BadConfiguration: promote.via is pgbouncer, and the settings name no console.
    """
    settings = context.settings.promote
    if settings.via is Via.LOCKS:
        return []
    if not settings.pgbouncer.consoles:
        raise errors.BadConfiguration(
            "promote.via is pgbouncer, and promote.pgbouncer.consoles names no console",
            hint='Name the admin console of every pooler: `consoles = ["host=… port=6432 dbname=pgbouncer user=…"]`.',
        )
    target, databases = connection.info.dbname, settings.pgbouncer.databases
    return [pgbouncer.Console(dsn=dsn, target=target, databases=databases) for dsn in settings.pgbouncer.consoles]


def render_script(planned: Plan, through: Sequence[pgbouncer.Console]) -> str:
    """Return the cut-over as a script for psql, with the commands for the consoles as comments around it."""
    terms = Terms(timeout=LONGEST_WAIT, order=() if through else planned.locks)
    via = Via.PGBOUNCER if through else Via.LOCKS
    text = steps.script(planned, Try(token=uuid4(), number=1, waited=0, via=via, terms=terms))
    return _console_commands("PAUSE", "before", through) + text + _console_commands("RESUME", "after", through)


def _console_commands(order: str, when: str, through: Sequence[pgbouncer.Console]) -> str:
    """Return comments with the commands that a person runs on the consoles."""
    lines = [
        f'-- {when} that, on the admin console at {console.place}: {order} "{database}";\n'
        for console in through
        for database in console.databases or (console.target,)
    ]
    return "".join(lines)
