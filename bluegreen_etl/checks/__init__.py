"""Checks of a release: finds them and runs them; each is a SELECT of offending rows.

A file is what dbt calls a singular test, a declared check what it calls a generic one.
"""

from bluegreen_etl.checks.builtin import NAMES, no_empty_table, no_halved_table
from bluegreen_etl.checks.check import Check
from bluegreen_etl.checks.declared import from_settings
from bluegreen_etl.checks.files import find
from bluegreen_etl.checks.running import Place, failed, refuse_malformed, run

__all__ = [
    "NAMES",
    "Check",
    "Place",
    "failed",
    "find",
    "from_settings",
    "no_empty_table",
    "no_halved_table",
    "refuse_malformed",
    "run",
]
