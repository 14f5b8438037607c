"""The commands, each as a table of contents: load, run, check, diff, promote, rollback, status, history, prune."""

from bluegreen_etl.workflow.backing import BackedUp, backup
from bluegreen_etl.workflow.comparing import Diff, diff
from bluegreen_etl.workflow.context import Context
from bluegreen_etl.workflow.diagnosing import Diagnosis, doctor
from bluegreen_etl.workflow.filling import release
from bluegreen_etl.workflow.loading import Checked, Loaded, load
from bluegreen_etl.workflow.looking import History, State, check, history, status
from bluegreen_etl.workflow.promoting import Promoted, Released, load_and_promote, promote, rollback
from bluegreen_etl.workflow.restoring import restore, restore_and_promote
from bluegreen_etl.workflow.running import run, run_and_promote
from bluegreen_etl.workflow.starting import Begun, init
from bluegreen_etl.workflow.upkeep import Protection, Pruned, protect, prune

__all__ = [
    "BackedUp",
    "Begun",
    "Checked",
    "Context",
    "Diagnosis",
    "Diff",
    "History",
    "Loaded",
    "Promoted",
    "Protection",
    "Pruned",
    "Released",
    "State",
    "backup",
    "check",
    "diff",
    "doctor",
    "history",
    "init",
    "load",
    "load_and_promote",
    "promote",
    "protect",
    "prune",
    "release",
    "restore",
    "restore_and_promote",
    "rollback",
    "run",
    "run_and_promote",
    "status",
]
