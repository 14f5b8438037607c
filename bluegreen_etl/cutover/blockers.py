"""Who stands in the way of a cut-over: finds them and, where that is wanted, cancels what they run."""

from collections.abc import Callable, Iterable

import psycopg

from bluegreen_etl import activity, db, model, queries
from bluegreen_etl.cutover.plan import Plan


def find(connection: db.Connection, plan: Plan) -> list[model.Session]:
    """Return the sessions that hold what a cut-over has to lock, or are changing one of its two schemas."""
    schemas = [release.schema_oid for release in (plan.incoming, plan.outgoing) if release]
    parameters = {"relations": [relation.oid for relation in plan.locks], "schemas": schemas}
    return activity.sessions(connection, "cutover.blockers", parameters)


def cancel(
    connection: db.Connection, sessions: Iterable[model.Session], *, after: float, say: Callable[[str], None]
) -> None:
    """Cancel the running statement of each session whose transaction is `after` seconds old; no session is ended.

    A session that is idle in its transaction runs nothing that could be cancelled, and stays.
    """
    for session in sessions:
        try:
            row = connection.execute(queries.get("cutover.cancel"), {"pid": session.pid, "age": after}).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            say(f"not cancelled: {model.session_shown(session)}: {error.diag.message_primary}")
            continue
        if row:
            say(f"cancelled: {model.session_shown(session)}")
