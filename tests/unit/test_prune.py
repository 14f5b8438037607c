"""Which releases prune chooses; deciding is pure, so that no server is needed to try every case."""

from datetime import timedelta

import pytest

from bluegreen_etl.model import Release, Status
from bluegreen_etl.releases import retention
from tests.records import NOON, release


def chosen(releases: list[Release], *, keep: int = 1, min_age: float = 0, loading: bool = False) -> list[int]:
    """Return the numbers of the releases to be dropped, one hour after noon."""
    now = NOON + timedelta(hours=1)
    return [
        item.number
        for item in retention.select_superfluous(releases, keep=keep, min_age=min_age, now=now, loading=loading)
    ]


def test_failed_releases_go() -> None:
    """A failed release is of no use to anybody."""
    assert chosen([release(1, Status.FAILED), release(2, Status.LIVE)]) == [1]


def test_a_load_that_runs_is_left_alone() -> None:
    """A release in the state loading is dead only when nobody holds the load's lock."""
    releases = [release(1, Status.LIVE), release(2, Status.LOADING)]
    assert chosen(releases, loading=True) == []
    assert chosen(releases, loading=False) == [2]


def test_a_ready_release_goes_when_a_newer_one_is_live() -> None:
    """It was passed over; a ready release that is newer than live waits to be promoted."""
    assert chosen([release(1), release(2, Status.LIVE), release(3)]) == [1]


def test_a_ready_release_stays_where_nothing_is_live() -> None:
    """The first release may wait for days."""
    assert chosen([release(1), release(2)]) == []


@pytest.mark.parametrize(("keep", "gone"), [(0, [1, 2, 3]), (1, [2, 3]), (2, [3]), (3, []), (9, [])])
def test_the_releases_that_were_live_last_are_kept(keep: int, gone: list[int]) -> None:
    """After a rollback the newest number is not the one that was live most recently."""
    releases = [
        release(1, Status.PREVIOUS, retired=30),
        release(2, Status.PREVIOUS, retired=20),
        release(3, Status.PREVIOUS, retired=10),
        release(4, Status.LIVE),
    ]
    assert chosen(releases, keep=keep) == gone


@pytest.mark.parametrize(("min_age", "gone"), [(0, [1, 2]), (1800, [1, 2]), (1801, [1]), (3600, []), (1e300, [])])
def test_a_release_that_was_live_a_moment_ago_stays(min_age: float, gone: list[int]) -> None:
    """Somebody may be reading it, on a replica or in a long transaction; how many are kept does not matter."""
    releases = [
        release(1, Status.PREVIOUS, retired=10),
        release(2, Status.PREVIOUS, retired=30),
        release(3, Status.LIVE),
        release(4, Status.FAILED),
    ]
    assert chosen(releases, keep=0, min_age=min_age) == [*gone, 4]


def test_live_and_pruned_releases_are_never_chosen() -> None:
    """Whatever is kept."""
    assert chosen([release(1, Status.PRUNED), release(2, Status.LIVE)], keep=0) == []
