"""`run` around dbt: its models are built into the release. Skipped where dbt is not installed: it is 120 MB."""

import os
import shutil

import psycopg
import pytest
from psycopg.rows import TupleRow

from tests.support import Bluegreen, Live

DBT = shutil.which("dbt")
PROJECT = "name: league\nprofile: league\nmodel-paths: [models]\n"
PROFILES = """
league:
  target: release
  outputs:
    release:
      type: postgres
      host: "{{ env_var('PGHOST') }}"
      port: "{{ env_var('PGPORT', '5432') | as_number }}"
      user: "{{ env_var('PGUSER') }}"
      password: "{{ env_var('PGPASSWORD', '') }}"
      dbname: "{{ env_var('PGDATABASE') }}"
      schema: "{{ env_var('BLUEGREEN_SCHEMA') }}"
      threads: 2
"""


@pytest.mark.skipif(DBT is None, reason="dbt is not installed: pip install 'dbt-core<1.12' 'dbt-postgres<1.11'")
def test_dbt_builds_its_models_into_the_release(
    bluegreen: Bluegreen, live: Live, connection: psycopg.Connection[TupleRow]
) -> None:
    """dbt drops and renames tables as it works; readers of live see one promote, privileges included."""
    connection.execute("GRANT SELECT ON league.teams TO pg_monitor")
    bluegreen.write("dbt_project.yml", PROJECT)
    bluegreen.write("profiles.yml", PROFILES)
    bluegreen.write("models/teams.sql", "{{ config(materialized='table') }} select 1 as id, 'Ajax' as name")
    bluegreen.write("models/squads.sql", "select name, count(*) as players from {{ ref('teams') }} group by name")
    command = (
        "--structure",
        "command",
        "--promote",
        "--allow-drop",
        "--",
        str(DBT),
        "build",
        "--profiles-dir",
        ".",
        "--quiet",
    )
    bluegreen(
        "run", *command, PATH=os.environ["PATH"], DBT_SEND_ANONYMOUS_USAGE_STATS="false", HOME=str(bluegreen.directory)
    )
    assert connection.execute("SELECT * FROM league.squads").fetchall() == [("Ajax", 1)]
    allowed = "SELECT has_table_privilege('pg_monitor', 'league.teams', 'SELECT')"
    assert connection.execute(allowed).fetchone() == (True,)
