"""Checks of a release: finds them and runs them; each is a SELECT of offending rows.

A file is what dbt calls a singular test.
"""

from bluegreen_etl.checks.builtin import empty_tables, no_empty_table
from bluegreen_etl.checks.check import Check
from bluegreen_etl.checks.files import find
from bluegreen_etl.checks.running import Place, failed, run

__all__ = ["Check", "Place", "empty_tables", "failed", "find", "no_empty_table", "run"]
