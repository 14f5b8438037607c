"""How readers are blocked during a cut-over, as the settings say."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import uuid4

from bluegreen_etl import db, errors, pgbouncer
from bluegreen_etl.cutover import pgbouncer_pause, steps
from bluegreen_etl.cutover.locks import LONGEST_WAIT, Locks
from bluegreen_etl.cutover.plan import Plan, Terms, Try
from bluegreen_etl.cutover.strategy import Patience, Strategy
from bluegreen_etl.model import Via
from bluegreen_etl.releases.context import Context


def patience(context: Context) -> Patience:
    """Return how long to try, and when to cancel blockers."""
    settings = context.settings.promote
    return Patience(settings.max_wait, settings.cancel_blockers)


@contextmanager
def open_strategy(context: Context, connection: db.Connection, plan: Plan) -> Iterator[Strategy]:
    """Open the strategy that the settings name; it ends with the body.

    Args:
        connection: the session that has planned the cut-over.

    Raises:
        BluegreenError: as pgbouncer_pause.opened.
    """
    found = consoles(context, connection)
    say = context.watcher.say
    if found:
        wait = context.settings.promote.pgbouncer.pause_wait
        with pgbouncer_pause.opened(connection, plan, patience(context), say, consoles=found, wait=wait) as paused:
            yield paused
    else:
        yield Locks(plan, patience(context), say)


def consoles(context: Context, connection: db.Connection) -> list[pgbouncer.Console]:
    """Return the consoles of the poolers to pause; none if locks block readers.

    Raises:
        BadConfiguration: poolers are to be paused, and no console is named.
    """
    settings = context.settings.promote
    if settings.via is Via.LOCKS:
        return []
    if not settings.pgbouncer.consoles:
        raise errors.BadConfiguration(
            "promote.via is pgbouncer, and promote.pgbouncer.consoles names no console",
            hint="Name the admin console of every pooler under [promote.pgbouncer]: "
            '`consoles = ["host=… port=6432 dbname=pgbouncer user=…"]`.',
        )
    target, databases = connection.info.dbname, settings.pgbouncer.databases
    return [pgbouncer.Console(dsn=dsn, target=target, databases=databases) for dsn in settings.pgbouncer.consoles]


def script(plan: Plan, through: Sequence[pgbouncer.Console]) -> str:
    """Return the cut-over as a script for psql; comments around it say what to do on the consoles of poolers."""
    terms = Terms(timeout=LONGEST_WAIT, order=() if through else plan.locks)
    via = Via.PGBOUNCER if through else Via.LOCKS
    text = steps.script(plan, Try(token=uuid4(), number=1, waited=0, via=via, terms=terms))
    return _orders("PAUSE", "before", through) + text + _orders("RESUME", "after", through)


def _orders(order: str, when: str, through: Sequence[pgbouncer.Console]) -> str:
    """Return what to do on the consoles, as comments."""
    lines = [
        f'-- {when} that, on the admin console at {console.place}: {order} "{database}";\n'
        for console in through
        for database in console.databases or (console.target,)
    ]
    return "".join(lines)
