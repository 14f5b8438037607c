"""Doctor: examine what load, promote and backup need, and report what would make them fail."""

import shutil
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

from bluegreen_etl import (
    catalog,
    citus,
    client_programs,
    db,
    errors,
    ledger,
    model,
    names,
    privileges,
    queries,
    sqlstates,
)
from bluegreen_etl.cutover import stored_oids
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Status
from bluegreen_etl.releases import context as context_stage
from bluegreen_etl.releases import lookup, plan, preflight, structure_refusals, verify
from bluegreen_etl.releases.context import Context, refuse_extensions
from bluegreen_etl.shadow import structure
from bluegreen_etl.wording import counted

OLDEST, NEWEST = 15, 18  # major versions of the server that the tests run on
SHOWN = (
    "statement_timeout",
    "lock_timeout",
    "idle_in_transaction_session_timeout",
    "idle_session_timeout",
    "transaction_timeout",
    "work_mem",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "synchronous_commit",
)
_TIMEOUTS = {name for name in SHOWN if name.endswith("_timeout")}


class Grade(StrEnum):
    """The severity of a finding."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"  # a command would fail because of it


class Finding(model.Record, frozen=True, kw_only=True):
    """One examined thing: what was found, and what to do about it."""

    topic: str
    grade: Grade
    found: str
    hint: str | None = None


class Diagnosis(model.Record, frozen=True, kw_only=True):
    """The findings of doctor."""

    schema: str
    database: str
    findings: tuple[Finding, ...]


@guarded
def doctor(context: Context) -> Diagnosis:
    """Examine server, role, schema and leftovers.

    Raises:
        Unfit: a finding would make a command fail; all findings are in `results`.
        ServerFailed: there is no connection.
    """
    with context.server.connect(f"doctor {context.schema}", to_read=True) as connection:
        look = _Subject(context, connection)
        findings: list[Finding] = []
        for examine in _EXAMINATIONS:
            # If the ledger cannot be read, each examination that needs it finds the same.
            known = {finding.found for finding in findings}
            findings += [finding for finding in _examined(examine, look) if finding.found not in known]
        diagnosis = Diagnosis(schema=context.schema, database=connection.info.dbname, findings=tuple(findings))
    bad = [finding for finding in findings if finding.grade is Grade.FAIL]
    if bad:
        topics = ", ".join(dict.fromkeys(finding.topic for finding in bad))
        raise errors.Unfit(
            f"{len(bad)} of {counted(len(findings), 'finding')} would make a command fail: {topics}",
            hint="Follow the hint of each finding.",
            results=diagnosis,
        )
    return diagnosis


class _Subject:
    """What the examinations examine."""

    def __init__(self, context: Context, connection: db.Connection) -> None:
        self.context = context
        self.connection = connection
        self.schema = context.schema
        self.live_oid = catalog.schema_oid(connection, context.schema)
        self.role = connection.info.user

    def row(self, name: str, **values: object) -> tuple[Any, ...]:
        """Return the only row of a query of the tool."""
        return self.connection.execute(queries.get(name), values).fetchone() or ()

    def column(self, name: str, **values: object) -> list[str]:
        """Return the first column of a query of the tool."""
        return [row[0] for row in self.connection.execute(queries.get(name), values)]


Examination = Callable[[_Subject], Iterator[Finding]]


def _examined(examine: Examination, look: _Subject) -> Iterator[Finding]:
    """Yield what an examination finds; an error is a finding too."""
    topic = examine.__name__.removeprefix("_").replace("_", " ")
    try:
        with sqlstates.translated():
            yield from examine(look)
    except errors.BluegreenError as error:
        yield Finding(topic=topic, grade=Grade.FAIL, found=error.message, hint=error.hint)


def _ok(topic: str, found: str) -> Finding:
    return Finding(topic=topic, grade=Grade.OK, found=found)


def _warn(topic: str, found: str, hint: str) -> Finding:
    return Finding(topic=topic, grade=Grade.WARN, found=found, hint=hint)


def _fail(topic: str, found: str, hint: str) -> Finding:
    return Finding(topic=topic, grade=Grade.FAIL, found=found, hint=hint)


def _server(look: _Subject) -> Iterator[Finding]:
    major = look.connection.info.server_version // 10000
    found = f"PostgreSQL {look.connection.info.parameter_status('server_version')}, by {look.context.server.origin}"
    if major < OLDEST:
        yield _fail("server", found, f"Use PostgreSQL {OLDEST} or newer.")
    elif major > NEWEST:
        yield _warn("server", found, f"bluegreen is tested up to PostgreSQL {NEWEST}; look for a newer version of it.")
    else:
        yield _ok("server", found)


def _client_programs(look: _Subject) -> Iterator[Finding]:
    major = look.connection.info.server_version // 10000
    for name, wanted_by in (("pg_dump", "load"), ("pg_restore", "restore")):
        program = client_programs.client_program(name, server_major=major, directory=look.context.settings.pg_bindir)
        yield _ok("client programs", f"{program} for {wanted_by}")


def _pooler(look: _Subject) -> Iterator[Finding]:
    row = look.connection.execute("SELECT pg_catalog.pg_backend_pid()").fetchone()
    # Every connection, this one included, refuses a pooler in transaction mode.
    none = row is not None and row[0] == look.connection.info.backend_pid
    yield _ok("pooler", "no pooler" if none else "a pooler in session mode")


def _privileges(look: _Subject) -> Iterator[Finding]:
    role = names.quoted(look.role)
    topic = "privileges"
    lacking = [
        *privileges.to_load(look.connection, look.live_oid),
        *privileges.to_recreate(look.connection, _find_dependents(look)),
    ]
    for item in lacking:
        yield _fail(topic, item.found, item.statement)
    if not catalog.may_create_database(look.connection):
        found = f"role {role} may not create databases, which run --isolate database needs"
        yield _warn(topic, found, f"ALTER ROLE {role} CREATEDB;")
    sees, cancels = look.row("doctor.sees_others")
    if not sees:
        found = f"role {role} cannot see which queries block it"
        yield _warn(topic, found, f"GRANT pg_read_all_stats TO {role};")
    if not (sees and cancels) and look.context.settings.promote.cancel_blockers is not None:
        found = f"role {role} may not cancel queries of other roles, which promote.cancel_blockers needs"
        yield _warn(topic, found, f"GRANT pg_read_all_stats, pg_signal_backend TO {role};")
    yield _ok(topic, f"examined as role {role}")


def _find_dependents(look: _Subject) -> list[catalog.Dependent]:
    """Return the objects outside that depend on live, except on its carried tables."""
    if look.live_oid is None:
        return []
    return catalog.outside_dependents(look.connection, look.live_oid, carried=_carried(look))


def _carried(look: _Subject) -> list[int]:
    """Return the OIDs of the tables of live that are carried."""
    plain = catalog.plain_tables(look.connection, look.live_oid) if look.live_oid is not None else {}
    return [plain[name] for name in look.context.settings.carry.tables if name in plain]


def _ledger(look: _Subject) -> Iterator[Finding]:
    if not ledger.exists(look.connection):
        yield _ok("ledger", "none yet: the first load creates it")
        return
    # In a transaction that is rolled back: an older ledger is not upgraded.
    with look.connection.transaction(force_rollback=True):
        ledger.ensure(look.connection)
    protected = ledger.is_protected(look.connection)
    yield _ok("ledger", "exists; the database is protected" if protected else "exists; the database is not protected")


def _live(look: _Subject) -> Iterator[Finding]:
    if look.live_oid is None:
        yield _ok("live", f"there is no schema {look.schema} yet")
        return
    refuse_extensions(look.context, look.connection, look.live_oid)
    preflight.refuse_subscribers(look.connection)
    wanted = look.context.settings.promote
    structure.refuse_foreign_partitions(look.connection, look.schema, look.live_oid)
    outside = structure_refusals.refuse_to_replace(
        look.connection, look.schema, look.live_oid, wanted, carried=look.context.settings.carry.tables
    )
    tables = counted(len(catalog.tables(look.connection, look.live_oid)), "table")
    yield _ok("live", f"{tables}; {counted(len(outside.statements), 'statement')} re-create or re-point its dependents")


def _outside(look: _Subject) -> Iterator[Finding]:
    """Examine what no dependency leads to, and what runs at the same time."""
    columns = stored_oids.find(look.connection, look.schema, look.live_oid) if look.live_oid is not None else []
    for column in columns:
        found = f"column {column} holds objects of live by OID: after a promote they are those of the old release"
        table, _, name = column.rpartition(".")
        yield _warn("outside", found, f"Store names instead: `ALTER TABLE {table} ALTER COLUMN {name} TYPE text;`.")
    triggers = catalog.event_triggers(look.connection)
    for trigger in triggers:
        yield _warn(
            "outside",
            f"event trigger {trigger.name} runs {trigger.function}() for every statement of a load and a promote",
            f"Make sure that it fails for none of them: names in {trigger.function} need a schema.",
        )
    if not columns and not triggers:
        yield _ok("outside", "no columns with OIDs of live, no event triggers")


def _replication(look: _Subject) -> Iterator[Finding]:
    recovery, level, synchronous, standbys, idle = look.row("doctor.replication")
    if recovery:
        yield _fail("replication", "the server is a standby: nothing can be written", "Connect to the primary.")
    for slot in idle:
        yield _warn(
            "replication",
            f"slot {slot} has no reader: the server keeps all WAL that a load writes",
            f"Start its reader again, or `SELECT pg_drop_replication_slot('{slot}');`",
        )
    if synchronous:
        yield _warn(
            "replication",
            f"commits wait for {synchronous}",
            'Write `[load.session] synchronous_commit = "local"` to load without waiting.',
        )
    yield _ok("replication", f"wal_level is {level}; {counted(standbys, 'standby')}")


def _citus(look: _Subject) -> Iterator[Finding]:
    if not citus.is_there(look.connection):
        return
    for doubt in citus.doubts(look.connection, look.schema):
        yield _fail("citus", doubt, "Restart the node: Citus recovers it within a minute.")
    version, nodes = look.row("citus.version")[0], citus.nodes(look.connection, look.schema)
    well = sum(node.failure is None for node in nodes)
    yield _ok("citus", f"Citus {version}; {well} of {len(nodes)} nodes answer; readers connect to the coordinator")


def _locks(look: _Subject) -> Iterator[Finding]:
    room, oids = catalog.lock_capacity(look.connection), [look.live_oid] if look.live_oid is not None else []
    # The cut-over locks live's relations, and pg_dump the tables that it reads; dropping a release needs most locks.
    held = sum(len(catalog.relations(look.connection, oid)) for oid in oids)
    needed = catalog.locks_to_drop(look.connection, oids)
    found = f"room for {counted(room, 'lock')}, about {needed} needed at a time"
    hint = "Raise `max_locks_per_transaction` and restart the server."
    if held <= room < needed:
        hint += " Until then releases are dropped table by table, and cannot be rolled back to after the first table."
    grade = Grade.FAIL if held > room else Grade.WARN if needed > room / 2 else Grade.OK
    yield Finding(topic="locks", grade=grade, found=found, hint=None if grade is Grade.OK else hint)
    jobs = context_stage.count_jobs(look.context)
    (free,) = look.row("doctor.free_connections")
    if free < jobs + 2:
        yield _fail(
            "locks",
            f"{counted(free, 'free connection')}, {jobs + 2} needed",
            "Lower `--jobs`, or raise `max_connections`.",
        )


def _disk(look: _Subject) -> Iterator[Finding]:
    [size] = look.row("doctor.schema_size", oid=look.live_oid) if look.live_oid is not None else [0]
    kept = look.context.settings.retention.keep
    wanted = f"live takes {size / 1e6:.0f} MB, each release about as much; {counted(kept, 'previous release')} kept"
    row = look.row("doctor.data_directory")
    place = Path(row[0]) if row and row[0] else None
    info = look.connection.info
    if place is None or not info.host.startswith(("/", "@")) or not place.is_dir():
        yield _ok("disk", f"{wanted}; free space on the server is unknown")
        return
    free = shutil.disk_usage(place).free
    found = f"{wanted}; {free / 1e6:.0f} MB are free"
    hint = "Run `bluegreen prune`, keep fewer releases, or free space: a load needs the size of live, and as much WAL."
    grade = Grade.FAIL if free < size else Grade.WARN if free < 2 * size else Grade.OK
    yield Finding(topic="disk", grade=grade, found=found, hint=None if grade is Grade.OK else hint)


def _session(look: _Subject) -> Iterator[Finding]:
    session = plan.choose_session_settings(look.context, look.connection)
    with look.context.server.connect(f"doctor {look.schema}", session, to_read=True) as own:
        rows = own.execute(queries.get("doctor.settings_in_force"), {"names": list({*SHOWN, *session})}).fetchall()
        idle = own.info.get_parameters().get("keepalives_idle")
    in_force = dict(rows)
    for name in sorted(_TIMEOUTS & in_force.keys()):
        if in_force[name] != "0":
            hint = f"Remove `{name}` from `[load.session]`: it would end a long load."
            yield _warn("session", f"{name} is {in_force[name]} while loading", hint)
    shown = ", ".join(f"{name} {in_force[name]}" for name in sorted(in_force))
    yield _ok("session", f"{shown}; TCP keepalive after {idle} s")


def _leftovers(look: _Subject) -> Iterator[Finding]:
    releases = ledger.releases(look.connection, look.schema)
    loading = db.is_locked(look.connection, lookup.LOAD_LOCK, look.schema)
    for release in releases:
        if release.open_until is not None:
            hint = f"Run `bluegreen finish {release.number}`, or `bluegreen abort {release.number}`."
            yield _warn("leftovers", f"release {release.number} is open for parts and blocks other loads", hint)
        if release.status is Status.FAILED or lookup.is_stale(release, loading=loading):
            what = "failed" if release.status is Status.FAILED else "stale"
            yield _warn("leftovers", f"release {release.number} is {what}", "Run `bluegreen prune`.")
    known = {release.shadow_schema for release in releases if release.status is not Status.PRUNED}
    for schema in look.column("doctor.strange_schemas", schema=look.schema):
        if schema not in known:
            hint = f"Run `DROP SCHEMA {names.quoted(schema)} CASCADE;` if it is no longer needed."
            yield _warn("leftovers", f"schema {schema} belongs to no release", hint)
    databases = [] if loading else look.column("session.scratch_databases")
    for database in databases:
        yield _warn("leftovers", f"scratch database {database} was left by a killed run", "Run `bluegreen prune`.")
    if not databases:
        yield _ok("leftovers", "examined releases, schemas and scratch databases")


def _checks(look: _Subject) -> Iterator[Finding]:
    found = verify.find_checks(look.context)
    if not found:
        yield _warn("checks", "no custom checks", 'Write SELECTs of offending rows, and `[checks] path = "checks"`.')
    else:
        yield _ok("checks", counted(len(found), "custom check"))


_EXAMINATIONS: tuple[Examination, ...] = (
    _server,
    _client_programs,
    _pooler,
    _privileges,
    _ledger,
    _live,
    _outside,
    _replication,
    _citus,
    _locks,
    _disk,
    _session,
    _checks,
    _leftovers,
)
