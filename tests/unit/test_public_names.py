"""The public names of the package."""

import pytest

import bluegreen_etl


@pytest.mark.parametrize("name", bluegreen_etl.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    """Names are imported on first use, from a table of modules that must be right."""
    assert getattr(bluegreen_etl, name) is not None
