"""The sessions that block a cut-over: find them, and cancel their statements if the settings say so."""

from collections.abc import Callable, Iterable

import psycopg

from bluegreen_etl import db, ledger, model, queries
from bluegreen_etl.cutover.plan import Plan


def find(connection: db.Connection, plan: Plan) -> list[model.Session]:
    """Return the sessions that hold a lock which the cut-over needs, or are changing one of its two schemas."""
    schemas = [release.schema_oid for release in (plan.incoming, plan.outgoing) if release]
    parameters = {"relations": [relation.oid for relation in plan.locks], "schemas": schemas}
    return ledger.sessions(connection.execute(queries.get("cutover.blockers"), parameters).fetchall())


def cancel(
    connection: db.Connection, sessions: Iterable[model.Session], *, after: float, say: Callable[[str], None]
) -> None:
    """Cancel the running statement of each session whose transaction is `after` seconds old.

    No session is terminated. A session that is idle in transaction has no statement to cancel.
    """
    for session in sessions:
        try:
            row = connection.execute(queries.get("cutover.cancel"), {"pid": session.pid, "age": after}).fetchone()
        except psycopg.errors.InsufficientPrivilege as error:
            say(f"not cancelled: {model.session_shown(session)}: {error.diag.message_primary}")
            continue
        if row:
            say(f"cancelled: {model.session_shown(session)}")
