"""The records that travel between the modules: frozen, without behaviour that touches the world.

Durations are in seconds, sizes in bytes, times are timezone-aware; what is None is not known or has not happened.
"""

from bluegreen_etl.model.files import (
    STDIN,
    Block,
    Column,
    Compression,
    CopyOptions,
    ForeignKey,
    Format,
    Reader,
    SourceFile,
    SourceOptions,
    Table,
)
from bluegreen_etl.model.record import (
    Record,
    to_json,
)
from bluegreen_etl.model.release import (
    MOVES,
    Isolation,
    Origin,
    Release,
    Status,
    StructureFrom,
)
from bluegreen_etl.model.work import (
    CheckResult,
    CheckStatus,
    Cutover,
    Direction,
    Rehearsal,
    Session,
    Severity,
    TableLoad,
    Trial,
    Via,
    Watcher,
    rows_shown,
    session_shown,
    sessions_shown,
)

__all__ = [
    "MOVES",
    "STDIN",
    "Block",
    "CheckResult",
    "CheckStatus",
    "Column",
    "Compression",
    "CopyOptions",
    "Cutover",
    "Direction",
    "ForeignKey",
    "Format",
    "Isolation",
    "Origin",
    "Reader",
    "Record",
    "Rehearsal",
    "Release",
    "Session",
    "Severity",
    "SourceFile",
    "SourceOptions",
    "Status",
    "StructureFrom",
    "Table",
    "TableLoad",
    "Trial",
    "Via",
    "Watcher",
    "rows_shown",
    "session_shown",
    "sessions_shown",
    "to_json",
]
