"""The sections of bluegreen.toml, frozen; a misspelt key is an error."""

from typing import Annotated, Literal

import msgspec

from bluegreen_etl import model
from bluegreen_etl.declared import TableChecks

Seconds = Annotated[float, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Jobs = Annotated[int, msgspec.Meta(ge=1, le=64)]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of the sections: immutable, and a misspelt key is an error."""


class TableSettings(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[tables.NAME]`: which files fill a table and how they are written (see SourceOptions).

    `json_schema`: a file that each object of its JSON files has to conform to; `checks`: what is declared about its
    rows; `temporary`: it is there for transforms only, and dropped before the
    release is ready.
    """

    files: tuple[str, ...] = ()
    types: dict[str, str] = msgspec.field(default_factory=dict)
    json_schema: str | None = None
    allow_empty: bool = False
    checks: TableChecks = TableChecks()
    temporary: bool = False


class Sources(model.SourceOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[sources]`: where data files are, and how they are written where `[tables.NAME]` does not say."""

    paths: tuple[str, ...] = ()


class Load(Section, frozen=True, kw_only=True):
    """`[load]`: connections used, server settings for the sessions that load, whether promote backs live up first."""

    jobs: Jobs | None = None
    session: dict[str, str] = {}
    backup: Literal["none", "before-promote"] = "none"


class Carry(Section, frozen=True, kw_only=True):
    """`[carry]`: tables of live that no load replaces.

    `tables` stay the same tables through every promote and rollback; of those in `copy`, each load copies live's rows.
    """

    tables: tuple[str, ...] = ()
    copy: tuple[str, ...] = ()


class Backup(Section, frozen=True, kw_only=True):
    """`[backup]`: the directory for backups; those beyond `keep`, or older than `days`, go when a new one is made."""

    path: str | None = None
    keep: Annotated[int, msgspec.Meta(ge=1)] | None = None
    days: Annotated[float, msgspec.Meta(gt=0)] | None = None


class Structure(Section, frozen=True, kw_only=True):
    """`[structure]`: where the shadow's tables come from; None decides by what is there."""

    source: model.StructureFrom | None = msgspec.field(default=None, name="from")
    ddl: tuple[str, ...] = ()


class Transform(Section, frozen=True, kw_only=True):
    """`[transform]`: SQL files, or globs of them, that build tables from loaded ones, in this order."""

    files: tuple[str, ...] = ()


class Checks(Section, frozen=True, kw_only=True):
    """`[checks]`: a directory of *.sql files, each a SELECT of offending rows.

    `off` names checks that are not run; `store_failures`: all offending rows are written into tables.
    """

    path: str | None = None
    off: tuple[str, ...] = ()
    statement_timeout: Seconds = 600
    sample: Count = 5
    store_failures: bool = False


class Promote(Section, frozen=True, kw_only=True):
    """`[promote]`: how long the cut-over may try to get its locks, and wait for old snapshots, in seconds.

    `cancel_blockers`: cancel statements that have been in the way for so many seconds; None never does.
    `old_snapshots`: whether to wait for transactions that would find tables empty; `discard_writes`: go on although
    rows were written to live since the load began; `allow_drop`: go on although the release lacks objects of live;
    `on_orphans`: what becomes of rows outside, or in carried tables, that refer to what the release does not have;
    `verify`: tags of checks that live has to pass after a promote, or else the release before is made live again.
    """

    max_wait: Seconds = 30
    cancel_blockers: Seconds | None = None
    old_snapshots: Literal["wait", "ignore"] = "wait"
    discard_writes: bool = False
    allow_drop: bool = False
    on_orphans: Literal["refuse", "delete", "null"] = "refuse"
    verify: tuple[str, ...] = ()


class Retention(Section, frozen=True, kw_only=True):
    """`[retention]`: how many previous releases are kept."""

    keep: Count = 1


class Hooks(Section, frozen=True, kw_only=True):
    """`[hooks]`: shell commands that get the release as JSON on standard input; a failing `before_` one stops."""

    after_load: str | None = None
    after_failure: str | None = None
    before_promote: str | None = None
    after_promote: str | None = None


class Settings(Section, frozen=True, kw_only=True):
    """All settings of one command, merged; `directory` is what relative paths in bluegreen.toml start from."""

    schema: str | None = None
    dsn: str | None = None
    protected: bool = False
    pg_bindir: str | None = None
    sources: Sources = Sources()
    load: Load = Load()
    carry: Carry = Carry()
    structure: Structure = Structure()
    transform: Transform = Transform()
    checks: Checks = Checks()
    promote: Promote = Promote()
    retention: Retention = Retention()
    backup: Backup = Backup()
    hooks: Hooks = Hooks()
    tables: dict[str, TableSettings] = {}
