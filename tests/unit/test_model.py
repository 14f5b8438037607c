"""Records: immutable, ready for JSON, and the legal moves of a release."""

import pytest

from bluegreen_etl import model
from bluegreen_etl.model import MOVES, Status
from tests.records import release


def test_every_status_has_its_moves() -> None:
    """No status is forgotten, and a pruned release is the end."""
    assert set(MOVES) == set(Status)
    assert MOVES[Status.PRUNED] == frozenset()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Status.LOADING, {Status.READY, Status.FAILED}),
        (Status.READY, {Status.LIVE, Status.FAILED, Status.PRUNED}),
        (Status.LIVE, {Status.PREVIOUS}),
        (Status.PREVIOUS, {Status.LIVE, Status.FAILED, Status.PRUNED}),
        (Status.FAILED, {Status.PRUNED}),
    ],
)
def test_a_release_moves_only_as_designed(before: Status, after: set[Status]) -> None:
    """A live release cannot be dropped, and nothing that failed goes live."""
    assert MOVES[before] == after


def test_every_status_can_be_reached_and_left() -> None:
    """A release starts as loading and can always end as pruned."""
    reached, edge = {Status.LOADING}, {Status.LOADING}
    while edge:
        edge = {after for before in edge for after in MOVES[before]} - reached
        reached |= edge
    assert reached == set(Status)
    assert [s for s in Status if s is not Status.PRUNED and not MOVES[s]] == []


def test_a_release_knows_its_shadow_schema() -> None:
    """A release always goes back to its own name."""
    assert release(3).shadow_schema == "league__r3"


def test_a_record_cannot_be_changed() -> None:
    """What travels between modules stays as it was made."""
    with pytest.raises(AttributeError):
        release(1).number = 2  # type: ignore[misc] # that is what is tested


def test_records_become_compact_json() -> None:
    """Enumerations are their text, tuples are lists."""
    source = model.SourceFile(
        path="a.csv", table="a", format=model.Format.CSV, compression=model.Compression.NONE, size=3
    )
    assert model.to_json({"files": (source,)}).startswith(
        '{"files":[{"path":"a.csv","table":"a","format":"csv","compression":"none","size":3,'
    )
