"""The sections of bluegreen.toml, frozen; a misspelt key is an error.

docs/settings.md shows each docstring and each description, in Markdown.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from bluegreen_etl import model
from bluegreen_etl.config.table_checks import TableChecks

# The bounds keep sums and dates computable, and what the server takes as an int of milliseconds in its range.
MOST_SECONDS = 1e9  # 31 years
Seconds = Annotated[float, Meta(ge=0, le=MOST_SECONDS)]
Timeout = Annotated[float, Meta(ge=0, le=2_147_483)]
Days = Annotated[float, Meta(gt=0, le=36_500)]
Number = Annotated[int, Meta(ge=1, le=2_147_483_647)]
Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
Jobs = Annotated[int, Meta(ge=1, le=64)]
# The text may be a plain number, because a variable is always a text.
Share = Count | Annotated[str, Meta(pattern=r"^\d{1,10}((\.\d{1,10})? ?%)?$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all sections: immutable; a misspelt key is an error."""


class TableSettings(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table: its files, their dialect, and the checks of its rows."""

    files: Annotated[
        tuple[str, ...],
        Meta(
            description="the files that fill the table: paths, globs, URLs, `data.zip/players-*.csv`, `-`; "
            "default: the files named like the table"
        ),
    ] = ()
    types: Annotated[
        dict[str, str],
        Meta(description='types of columns, if the structure comes from the files: `{ born = "text" }`'),
    ] = msgspec.field(default_factory=dict)
    json_schema: Annotated[str | None, Meta(description="a JSON Schema for every object of the JSON files")] = None
    allow_empty: Annotated[bool, Meta(description="the table may be empty, or have far fewer rows than live")] = False
    missing_columns: Annotated[
        Literal["refuse", "default"],
        Meta(
            description="what to do if a file with a header lacks a column without a default that has values in live: "
            "refuse the file, or load NULL"
        ),
    ] = "refuse"
    checks: TableChecks = TableChecks()
    temporary: Annotated[
        bool, Meta(description="the table is only for transforms, and dropped before the release is ready")
    ] = False
    reject_limit: Annotated[
        Share | None, Meta(description="number or share of bad rows to leave out; default: as in `[load]`")
    ] = None


class Sources(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where data files are, and their default dialect; `[tables.NAME]` overrides it."""

    paths: Annotated[
        tuple[str, ...],
        Meta(description="files, directories, globs, zips, URLs; DATA on the command line overrides them"),
    ] = ()


class Load(Section, frozen=True, kw_only=True):
    """How a load works."""

    jobs: Annotated[
        Jobs | None, Meta(description="connections that copy, build and check; default: cores, at most 8")
    ] = None
    reject_limit: Annotated[
        Share,
        Meta(
            description="number of [bad rows](configuration.md#broken-rows) to leave out of each table, or their share "
            '(`"1 %"`); default: none'
        ),
    ] = 0
    open_for: Annotated[
        float,
        Meta(
            gt=0,
            le=MOST_SECONDS,
            description="seconds after which a release that was opened for parts, but not finished, is stale",
        ),
    ] = 86400
    session: Annotated[
        dict[str, str],
        Meta(description='server settings for the sessions of a load: `{ maintenance_work_mem = "1GB" }`'),
    ] = {}
    backup: Annotated[
        Literal["none", "before-promote"],
        Meta(description="whether to back up the live release before each promote; a failed backup stops the promote"),
    ] = "none"


class Carry(Section, frozen=True, kw_only=True):
    """Tables of live that no load replaces."""

    tables: Annotated[
        tuple[str, ...], Meta(description="tables that stay the same through every promote and rollback")
    ] = ()
    copy: Annotated[tuple[str, ...], Meta(description="tables whose rows each load copies from live")] = ()


class Backup(Section, frozen=True, kw_only=True):
    """Backups, and how many are kept when a new one is made; the newest is always kept."""

    path: Annotated[str | None, Meta(description="directory of the backups")] = None
    keep: Annotated[Number | None, Meta(description="number of backups to keep; default: all")] = None
    days: Annotated[Days | None, Meta(description="days to keep a backup; default: forever")] = None


class Structure(Section, frozen=True, kw_only=True):
    """Where a release's tables come from."""

    source: Annotated[
        model.StructureFrom | None,
        Meta(
            description="default: `ddl` if files are named, else `live` if it exists, else `files`"
            "; `command` is for `run`, `backup` for `restore`"
        ),
    ] = msgspec.field(default=None, name="from")
    ddl: Annotated[
        tuple[str, ...],
        Meta(description="SQL files, run in this order; names are unqualified, or qualified with the live schema"),
    ] = ()
    functions_that_name_live: Annotated[
        Literal["refuse", "warn"],
        Meta(
            description="functions of live whose text names the live schema, and that constraints, generated columns, "
            "indexes or materialized views call: they read the old release while the new one is built"
        ),
    ] = "refuse"


class Distribute(Section, frozen=True, kw_only=True):
    """How Citus distributes tables that live does not have; other tables are distributed as in live."""

    schema: Annotated[
        bool, Meta(description="on a first load, place the whole schema on one node: `citus_schema_distribute`")
    ] = False
    reference: Annotated[tuple[str, ...], Meta(description="tables of which each node has all rows")] = ()
    hash: Annotated[
        dict[str, str],
        Meta(description='by table, the column that decides the node of a row: `{ players = "team_id" }`'),
    ] = {}
    shards: Annotated[
        Number | None,
        Meta(description="number of shards; default: the setting of Citus"),
    ] = None


class Transform(Section, frozen=True, kw_only=True):
    """SQL of the project that builds tables of a release from loaded tables."""

    files: Annotated[
        tuple[str, ...],
        Meta(
            description="files or globs, run in this order after COPY; the files of a glob in the order of their names"
        ),
    ] = ()


class Checks(Section, frozen=True, kw_only=True):
    """Checks in files, and the settings of all checks."""

    path: Annotated[str | None, Meta(description="directory of `*.sql` files, each a SELECT of offending rows")] = None
    off: Annotated[tuple[str, ...], Meta(description="names of checks to skip")] = ()
    statement_timeout: Annotated[Timeout, Meta(description="timeout of each check in seconds")] = 600
    sample: Annotated[Count, Meta(description="number of offending rows to show and keep in the ledger")] = 5
    store_failures: Annotated[bool, Meta(description="store all offending rows in tables of `SCHEMA__rN_failures`")] = (
        False
    )
    role: Annotated[str | None, Meta(description="role that runs the project's checks, with `SET LOCAL ROLE`")] = None


class PgBouncer(Section, frozen=True, kw_only=True):
    """The poolers to pause for a cut-over with `promote.via = "pgbouncer"`: all poolers that readers use."""

    consoles: Annotated[
        tuple[str, ...],
        Meta(description="the admin console of each: a connection string with database `pgbouncer` and an admin user"),
    ] = ()
    databases: Annotated[
        tuple[str, ...],
        Meta(description="their databases to pause; default: those whose target database has the same name"),
    ] = ()
    pause_wait: Annotated[
        Annotated[float, Meta(gt=0, le=MOST_SECONDS)],
        Meta(description="seconds that each PAUSE may wait for running transactions, while new ones queue"),
    ] = 0.5


class Promote(Section, frozen=True, kw_only=True):
    """The cut-over of a promote or a rollback."""

    max_wait: Annotated[
        Seconds,
        Meta(description="seconds to wait for locks, and for transactions older than the load"),
    ] = 30
    via: Annotated[
        model.Via,
        Meta(description="how to block readers: with `locks`, or by pausing `pgbouncer`: docs/scaling.md"),
    ] = model.Via.LOCKS
    pgbouncer: PgBouncer = PgBouncer()
    wait_replicas: Annotated[
        Seconds | None,
        Meta(description="seconds to wait for replicas to have the release, before hooks and prune; default: no wait"),
    ] = None
    cancel_blockers: Annotated[
        Seconds | None,
        Meta(
            description="cancel statements, never sessions, that block the cut-over for so many seconds; default: never"
        ),
    ] = None
    old_snapshots: Annotated[
        Literal["wait", "ignore"],
        Meta(description="`ignore`: a transaction older than the load may find tables empty"),
    ] = "wait"
    discard_writes: Annotated[
        bool,
        Meta(
            description="promote even if rows were written to live since the load began; they stay in the old release"
        ),
    ] = False
    allow_drop: Annotated[
        bool, Meta(description="promote even if the release lacks tables, columns or other objects of live")
    ] = False
    on_orphans: Annotated[
        Literal["refuse", "delete", "null"],
        Meta(description="what to do with orphans: rows outside, or in carried tables, whose key the release lacks"),
    ] = "refuse"
    materialized_views: Annotated[
        Literal["rebuild", "refuse"],
        Meta(description="those of other schemas that read from live: `rebuild` builds new ones before the swap"),
    ] = "rebuild"
    publications: Annotated[
        Literal["refuse", "follow"],
        Meta(description="those that list tables of live: `follow` re-points them to the new release"),
    ] = "refuse"
    verify: Annotated[
        tuple[str, ...],
        Meta(
            description="tags of checks that live has to pass after a promote; if one fails, the promote is rolled back"
        ),
    ] = ()


class Retention(Section, frozen=True, kw_only=True):
    """How many former releases are kept."""

    keep: Annotated[Count, Meta(description="number of previous releases to keep")] = 1
    min_age: Annotated[
        Seconds,
        Meta(description="seconds to keep a release after it was live; at least the longest query on replicas"),
    ] = 0


class Hooks(Section, frozen=True, kw_only=True):
    """Shell commands, run in the directory of bluegreen.toml; they read the release as JSON on standard input."""

    after_load: Annotated[str | None, Meta(description="runs when a release is ready")] = None
    after_failure: Annotated[str | None, Meta(description="runs when a load has failed; `reason` holds the cause")] = (
        None
    )
    before_promote: Annotated[
        str | None, Meta(description="runs before a promote; an exit code other than 0 stops it")
    ] = None
    after_promote: Annotated[str | None, Meta(description="runs when a release is live")] = None


class Settings(Section, frozen=True, kw_only=True):
    """Keys at the top of the file, above all sections."""

    schema: Annotated[str | None, Meta(description="name of the live schema")] = None
    dsn: Annotated[
        str | None, Meta(description="connection string or URL, as for psql; `embedded`: the embedded server")
    ] = None
    protected: Annotated[
        bool,
        Meta(description="mark the database: promote, rollback, restore and prune need a confirmation or `--force`"),
    ] = False
    pg_bindir: Annotated[
        str | None, Meta(description="directory of pg_dump and pg_restore; default: found automatically")
    ] = None
    sources: Sources = Sources()
    load: Load = Load()
    carry: Carry = Carry()
    structure: Structure = Structure()
    distribute: Distribute = Distribute()
    transform: Transform = Transform()
    checks: Checks = Checks()
    promote: Promote = Promote()
    retention: Retention = Retention()
    backup: Backup = Backup()
    hooks: Hooks = Hooks()
    tables: dict[str, TableSettings] = {}
