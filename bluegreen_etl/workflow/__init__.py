"""The commands, each as a table of contents: load, open, run, check, promote, rollback, status, prune …"""

from bluegreen_etl.workflow.backing import BackedUp, backup
from bluegreen_etl.workflow.comparing import Diff, diff
from bluegreen_etl.workflow.context import Context
from bluegreen_etl.workflow.diagnosing import Diagnosis, doctor
from bluegreen_etl.workflow.filling import release
from bluegreen_etl.workflow.loading import Checked, Loaded, load
from bluegreen_etl.workflow.looking import History, State, check, history, status
from bluegreen_etl.workflow.promoting import Promoted, Released, load_and_promote, promote, rollback
from bluegreen_etl.workflow.reporting import Report, report
from bluegreen_etl.workflow.restoring import restore, restore_and_promote
from bluegreen_etl.workflow.running import run, run_and_promote
from bluegreen_etl.workflow.shared import SharedRelease
from bluegreen_etl.workflow.sharing import Copied, Opened, abort, copy_part, finish, finish_and_promote, open_shared
from bluegreen_etl.workflow.starting import Begun, init
from bluegreen_etl.workflow.upkeep import Protection, Pruned, protect, prune
from bluegreen_etl.workflow.watching import Progress, watch

__all__ = [
    "BackedUp",
    "Begun",
    "Checked",
    "Context",
    "Copied",
    "Diagnosis",
    "Diff",
    "History",
    "Loaded",
    "Opened",
    "Progress",
    "Promoted",
    "Protection",
    "Pruned",
    "Released",
    "Report",
    "SharedRelease",
    "State",
    "abort",
    "backup",
    "check",
    "copy_part",
    "diff",
    "doctor",
    "finish",
    "finish_and_promote",
    "history",
    "init",
    "load",
    "load_and_promote",
    "open_shared",
    "promote",
    "protect",
    "prune",
    "release",
    "report",
    "restore",
    "restore_and_promote",
    "rollback",
    "run",
    "run_and_promote",
    "status",
    "watch",
]
