"""The sessions that block a cut-over: find them, and cancel their statements if the settings say so."""

from collections.abc import Callable, Iterable

import psycopg

from bluegreen_etl import activity, db, model, queries
from bluegreen_etl.cutover.plan import Plan


def find(connection: db.Connection, plan: Plan) -> list[model.Session]:
    """Return the sessions that hold a lock which the cut-over needs, or are changing one of its two schemas."""
    schemas = [release.schema_oid for release in (plan.incoming, plan.outgoing) if release]
    parameters = {"relations": [relation.oid for relation in plan.locks], "schemas": schemas}
    return activity.sessions(connection, "cutover.blockers", parameters)


def find_prepared(connection: db.Connection, plan: Plan) -> list[str]:
    """Return the prepared transactions that hold a lock which the cut-over needs, one sentence part each."""
    parameters = {"relations": [relation.oid for relation in plan.locks]}
    rows = connection.execute(queries.get("cutover.prepared_blockers"), parameters).fetchall()
    return [f"prepared transaction {gid} ({owner}, prepared {age:.1f} s ago)" for gid, owner, age in rows]


def show_blockers(connection: db.Connection, plan: Plan) -> str:
    """Return the names of the sessions and prepared transactions that block a cut-over."""
    sessions, prepared = find(connection, plan), find_prepared(connection, plan)
    return "; ".join([*([model.sessions_shown(sessions)] if sessions or not prepared else []), *prepared])


def show_lock_holders(connection: db.Connection, kind: str, live_schema: str) -> str:
    """Return the names of the sessions that hold an advisory lock of db.try_lock."""
    parameters = {"key": db.lock_key(kind, live_schema)}
    return model.sessions_shown(activity.sessions(connection, "session.lock_holders", parameters))


def cancel_autovacuum(connection: db.Connection, plan: Plan, *, say: Callable[[str], None]) -> bool:
    """Cancel autovacuum of the relations to lock, unless it prevents wraparound; return whether the role may."""
    parameters = {"relations": [relation.oid for relation in plan.locks]}
    try:
        rows = connection.execute(queries.get("cutover.cancel_autovacuum"), parameters).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        say(f"autovacuum not cancelled: {error.diag.message_primary}")
        return False
    for pid, query in rows:
        say(f"cancelled, as it blocks the swap: pid {pid}, {query}")
    return True


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
