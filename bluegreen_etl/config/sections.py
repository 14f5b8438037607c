"""The sections of bluegreen.toml, frozen; a misspelt key is an error.

Each docstring and each description is what docs/settings.md says, in Markdown.
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
# As a text, a number may come from a variable.
Share = Count | Annotated[str, Meta(pattern=r"^\d{1,10}((\.\d{1,10})? ?%)?$")]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: immutable, and a misspelt key is an error."""


class TableSettings(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One table: which files fill it, how they are written, what is declared about its rows."""

    files: Annotated[
        tuple[str, ...],
        Meta(
            description="the files that fill it: paths, globs, URLs, `data.zip/players-*.csv`, `-`; "
            "default: those called like it"
        ),
    ] = ()
    types: Annotated[
        dict[str, str],
        Meta(description='types of columns, where the structure comes from the files: `{ born = "text" }`'),
    ] = msgspec.field(default_factory=dict)
    json_schema: Annotated[
        str | None, Meta(description="a JSON Schema that every object of its JSON files conforms to")
    ] = None
    allow_empty: Annotated[bool, Meta(description="it may have no row, or far fewer than live's")] = False
    checks: TableChecks = TableChecks()
    temporary: Annotated[
        bool, Meta(description="it is there for transforms only, and dropped before the release is ready")
    ] = False
    reject_limit: Annotated[
        Share | None, Meta(description="how many of its rows, or which share, may be broken; default: `[load]`'s")
    ] = None


class Sources(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where data files are, and how they are written where `[tables.NAME]` does not say."""

    paths: Annotated[
        tuple[str, ...],
        Meta(description="files, directories, globs, zips, URLs; DATA on the command line stands in their place"),
    ] = ()


class Load(Section, frozen=True, kw_only=True):
    """How a load goes about it."""

    jobs: Annotated[
        Jobs | None, Meta(description="connections that copy, build and check; default: cores, at most 8")
    ] = None
    reject_limit: Annotated[
        Share,
        Meta(
            description='how many rows of each table\'s files, or which share of them (`"1 %"`), may be '
            "[broken](configuration.md#broken-rows) and left out; default: none"
        ),
    ] = 0
    open_for: Annotated[
        float,
        Meta(
            gt=0,
            le=MOST_SECONDS,
            description="seconds after which a release that was opened for parts, and not finished, is dead",
        ),
    ] = 86400
    session: Annotated[
        dict[str, str],
        Meta(description='settings of the server for the sessions that load: `{ maintenance_work_mem = "1GB" }`'),
    ] = {}
    backup: Annotated[
        Literal["none", "before-promote"],
        Meta(description="whether what is live is backed up before each promote; a failed backup stops it"),
    ] = "none"


class Carry(Section, frozen=True, kw_only=True):
    """Tables of live that no load replaces."""

    tables: Annotated[
        tuple[str, ...], Meta(description="they stay the same tables through every promote and rollback")
    ] = ()
    copy: Annotated[
        tuple[str, ...], Meta(description="each release gets its own, with live's rows copied by the load")
    ] = ()


class Backup(Section, frozen=True, kw_only=True):
    """Backups, and which of them go when a new one is made; the newest never."""

    path: Annotated[str | None, Meta(description="the directory that they are made in")] = None
    keep: Annotated[Number | None, Meta(description="how many stay; default: all")] = None
    days: Annotated[Days | None, Meta(description="how long they stay; default: for ever")] = None


class Structure(Section, frozen=True, kw_only=True):
    """Where a release's tables come from."""

    source: Annotated[
        model.StructureFrom | None,
        Meta(
            description="default: `ddl` if files are named, else `live` if it is there, else `files`"
            "; `command` is for `run`, `backup` what `restore` does"
        ),
    ] = msgspec.field(default=None, name="from")
    ddl: Annotated[
        tuple[str, ...],
        Meta(description="SQL files, run in this order; names are bare, or qualified with the live schema's"),
    ] = ()


class Distribute(Section, frozen=True, kw_only=True):
    """How Citus spreads those of a release's tables that live does not have; the others are spread as live's are."""

    schema: Annotated[
        bool, Meta(description="on a first load, the whole schema lies on one node: `citus_schema_distribute`")
    ] = False
    reference: Annotated[tuple[str, ...], Meta(description="tables that each node has all rows of")] = ()
    hash: Annotated[
        dict[str, str],
        Meta(description='by table, the column that decides which node a row lies on: `{ players = "team_id" }`'),
    ] = {}
    shards: Annotated[
        Number | None,
        Meta(description="how many shards they get; default: as Citus is set"),
    ] = None


class Transform(Section, frozen=True, kw_only=True):
    """SQL of the project's own that builds tables of a release from loaded ones."""

    files: Annotated[
        tuple[str, ...], Meta(description="files or globs, run in this order after COPY; those of a glob by name")
    ] = ()


class Checks(Section, frozen=True, kw_only=True):
    """Checks in files, and how all of them run."""

    path: Annotated[str | None, Meta(description="a directory of `*.sql` files, each a SELECT of offending rows")] = (
        None
    )
    off: Annotated[tuple[str, ...], Meta(description="names of checks that are not run")] = ()
    statement_timeout: Annotated[Timeout, Meta(description="seconds that each may take")] = 600
    sample: Annotated[Count, Meta(description="offending rows shown and kept in the ledger")] = 5
    store_failures: Annotated[
        bool, Meta(description="all offending rows are written into tables of `SCHEMA__rN_failures`")
    ] = False
    role: Annotated[str | None, Meta(description="role that runs the project's checks, by `SET LOCAL ROLE`")] = None


class PgBouncer(Section, frozen=True, kw_only=True):
    """The poolers that are paused for a cut-over with `promote.via = "pgbouncer"`: all that readers come through."""

    consoles: Annotated[
        tuple[str, ...],
        Meta(description="the admin console of each: a connection string with database `pgbouncer` and an admin user"),
    ] = ()
    databases: Annotated[
        tuple[str, ...],
        Meta(description="their databases to pause; default: those that lead to a database called like the target's"),
    ] = ()
    pause_wait: Annotated[
        Annotated[float, Meta(gt=0, le=MOST_SECONDS)],
        Meta(description="seconds that one PAUSE may wait for running transactions, while new ones queue"),
    ] = 0.5


class Promote(Section, frozen=True, kw_only=True):
    """The cut-over, of a promote and of a rollback."""

    max_wait: Annotated[
        Seconds,
        Meta(description="seconds that it may try to get its locks, and wait for transactions older than the load"),
    ] = 30
    via: Annotated[
        model.Via,
        Meta(description="how readers are held off: by `locks`, or by `pgbouncer`, which is paused: docs/scaling.md"),
    ] = model.Via.LOCKS
    pgbouncer: PgBouncer = PgBouncer()
    wait_replicas: Annotated[
        Seconds | None,
        Meta(description="seconds to wait until replicas have the release, before hooks and prune; default: none"),
    ] = None
    cancel_blockers: Annotated[
        Seconds | None,
        Meta(description="cancel statements, never sessions, that have been in the way for so long; default: never"),
    ] = None
    old_snapshots: Annotated[
        Literal["wait", "ignore"],
        Meta(description="`ignore`: a transaction older than the load may find tables empty"),
    ] = "wait"
    discard_writes: Annotated[
        bool, Meta(description="rows that were written to live since the load began stay behind")
    ] = False
    allow_drop: Annotated[
        bool, Meta(description="a release that lacks tables, columns or other objects of live is promoted all the same")
    ] = False
    on_orphans: Annotated[
        Literal["refuse", "delete", "null"],
        Meta(description="what becomes of rows outside, or in carried tables, that refer to what the release lacks"),
    ] = "refuse"
    materialized_views: Annotated[
        Literal["rebuild", "refuse"],
        Meta(description="those of other schemas that read from live: `rebuild` makes them anew before the swap"),
    ] = "rebuild"
    publications: Annotated[
        Literal["refuse", "follow"],
        Meta(description="what becomes of those of live's tables: `follow` takes their lists along"),
    ] = "refuse"
    verify: Annotated[
        tuple[str, ...],
        Meta(
            description="tags of checks that live has to pass after a promote, or else the release before is live again"
        ),
    ] = ()


class Retention(Section, frozen=True, kw_only=True):
    """What stays of former releases."""

    keep: Annotated[Count, Meta(description="how many previous releases stay")] = 1
    min_age: Annotated[
        Seconds,
        Meta(description="seconds for which one stays in any case once it is not live; replicas' longest query"),
    ] = 0


class Hooks(Section, frozen=True, kw_only=True):
    """Shell commands, run beside bluegreen.toml, that read the release as JSON on standard input."""

    after_load: Annotated[str | None, Meta(description="a release is ready")] = None
    after_failure: Annotated[str | None, Meta(description="a load has failed; `reason` says why")] = None
    before_promote: Annotated[str | None, Meta(description="another exit code than 0 stops the promote")] = None
    after_promote: Annotated[str | None, Meta(description="a release is live")] = None


class Settings(Section, frozen=True, kw_only=True):
    """On top of the file, above all sections."""

    schema: Annotated[str | None, Meta(description="the live schema's name")] = None
    dsn: Annotated[str | None, Meta(description="connection string or URL, as psql takes it")] = None
    protected: Annotated[
        bool,
        Meta(description="mark the database: promote, rollback, restore and prune want a confirmation or `--force`"),
    ] = False
    pg_bindir: Annotated[
        str | None, Meta(description="where pg_dump and pg_restore are; found by itself otherwise")
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
