"""Servers that only speak PostgreSQL's protocol are recognised by the versions that they document."""

import pytest

from bluegreen_etl import server_support

POSTGRESQL = "PostgreSQL 15.18 (Debian 15.18-0+deb12u1) on x86_64-pc-linux-gnu, compiled by gcc (Debian) 12.2.0, 64-bit"
AURORA = "PostgreSQL 16.6 on x86_64-pc-linux-gnu, compiled by x86_64-pc-linux-gnu-gcc (GCC) 9.5.0, 64-bit"
COCKROACH = "CockroachDB CCL v24.1.0 (x86_64-pc-linux-gnu, built 2024/05/15 21:28:29, go1.22.2 X:nocoverageredesign)"
REDSHIFT = (
    "PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), "
    "Redshift 1.0.12103"
)
YUGABYTE = (
    "PostgreSQL 15.2-YB-2025.1.0.0-b0 on x86_64-pc-linux-gnu, compiled by clang version 17.0.6, 64-bit",
    "PostgreSQL 11.2-YB-2.20.1.3-b0 on x86_64-pc-linux-gnu, compiled by clang version 16.0.6, 64-bit",
)


def unasked(name: str) -> str | None:
    """Fail: Redshift and CockroachDB do not know the question."""
    raise AssertionError(name)


@pytest.mark.parametrize("version", [POSTGRESQL, AURORA], ids=["debian", "aurora"])
def test_postgresql_is_fit(version: str) -> None:
    """The compiler of the server does not matter."""
    assert server_support.unfit_engine(version, unasked) is None


@pytest.mark.parametrize(("version", "name"), [(COCKROACH, "CockroachDB"), (REDSHIFT, "Redshift")], ids=str)
def test_others_are_named(version: str, name: str) -> None:
    """With the reason, and without a second question."""
    reason = server_support.unfit_engine(version, unasked)
    assert reason is not None
    assert name in reason.message


@pytest.mark.parametrize("version", YUGABYTE, ids=["15", "11"])
def test_yugabyte_depends_on_its_setting(version: str) -> None:
    """Off by default, and unknown to older versions."""
    assert server_support.unfit_engine(version, {"yb_ddl_transaction_block_enabled": "on"}.get) is None
    for settings in ({}, {"yb_ddl_transaction_block_enabled": "off"}):
        assert server_support.unfit_engine(version, settings.get) is not None


def test_read_only_server_is_reported() -> None:
    """A standby is one by nature, others by a setting."""
    assert server_support.read_only(in_recovery=False, transaction_read_only=False) is None
    standby = server_support.read_only(in_recovery=True, transaction_read_only=True)
    setting = server_support.read_only(in_recovery=False, transaction_read_only=True)
    assert standby is not None
    assert setting is not None
    assert "standby" in standby.message
    assert "default_transaction_read_only" in setting.message
