"""`python -m bluegreen_etl` is `bluegreen`."""

from bluegreen_etl.cli import run

run()
