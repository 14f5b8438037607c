"""A report as a page and as text: complete, in order, and nothing in it is taken for HTML."""

import re
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from bluegreen_etl import errors
from bluegreen_etl.model import Direction, Status
from bluegreen_etl.report import text as text_report
from bluegreen_etl.report.html import page, series
from tests.records import NOON
from tests.reports import EVIL
from tests.reports import report as made


def test_nothing_out_of_the_database_is_html() -> None:
    """Names, values, reasons and roles come out as they are, and not as templates either."""
    text = page.html(made(12, name=EVIL))
    assert re.findall(r"<(script|img)", text) == []
    assert "&lt;img src=x onerror=&#34;document.title=1&#34;&gt;{{ 7 * 7 }}" in text
    assert re.findall(r"(?:src|href)=\"(?!#|data:,)", text) == []
    assert "default-src 'none'" in text


@pytest.mark.parametrize(("releases", "says"), [(0, "No release is live yet"), (1, "is live since")])
def test_a_page_of_little_is_whole(releases: int, says: str) -> None:
    """An empty ledger, and one release that nothing came before."""
    text = page.html(made(releases))
    assert says in text
    assert text.rstrip().endswith("</html>")
    assert "What changed" not in text


def test_a_page_of_much_tells_of_the_newest() -> None:
    """And says how many it leaves out; every table is on it, a table that live lacks too."""
    full = made(200, 500)
    text = page.html(full)
    assert "These are the newest 30; 170 older releases are left out." in " ".join(text.split())
    assert "These are the newest 60; 112 older ones are left out." in " ".join(text.split())
    assert text.count('<details class="course">') == 500
    *others, last = full.figures
    fewer = msgspec.structs.replace(full, figures=(*others, msgspec.structs.replace(last, tables=last.tables[1:])))
    assert [course.table for course in series.courses(fewer) if course.now is None] == ["table_0"]


def test_the_time_line_has_every_promote_and_rollback() -> None:
    """A release that was live twice has two spans; the last one goes on until now."""
    told = made(4)
    at = NOON + timedelta(days=4, hours=2)
    back = msgspec.structs.replace(
        told.cutovers[-1], direction=Direction.ROLLBACK, to_number=2, from_number=4, committed_at=at
    )
    statuses = {1: Status.PRUNED, 2: Status.LIVE, 3: Status.PRUNED, 4: Status.PREVIOUS}
    releases = [msgspec.structs.replace(item, status=statuses[item.number]) for item in told.state.releases]
    state = msgspec.structs.replace(told.state, live=2, releases=tuple(releases))
    told = msgspec.structs.replace(told, cutovers=(*told.cutovers, back), state=state, before=4)
    lanes = {lane.release.number: lane for lane in series.lanes(told)}
    assert [len(lanes[number].spans) for number in (1, 2, 3, 4)] == [1, 2, 1, 1]
    assert [span.by for span in lanes[2].spans] == [Direction.PROMOTE, Direction.ROLLBACK]
    assert lanes[2].spans[-1].end is None
    assert lanes[2].spans[-1].left + lanes[2].spans[-1].width == pytest.approx(1.0)


def test_a_report_in_short_is_what_the_page_says() -> None:
    """Tables, changes from before to live, checks that did not pass, times, cut-overs, failures."""
    text = text_report.text_of(made(15))
    lines = [re.split(r" {2,}", line) for line in text.splitlines()]
    assert ["live release", "15"] in lines
    assert ["table_0", "15,000", "+2,000 (+15.4%)", "0 B", "0.00 s"] in lines
    assert ["players", "rows", "1,000", "1,500", "+500 (+50.0%)"] in lines
    assert "checks of release 15: 1 of 5 passed" in text
    assert ["copy", "105.00 s"] in lines
    assert [line[2] for line in lines if line[0] in {"7", "14"}] == ["copy", "copy"]
    assert text_report.text_of(made(0)).splitlines()[1].split() == ["live", "release", "none"]


def test_a_page_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """And what was there stays as it was."""
    (tmp_path / "report.html").mkdir()
    with pytest.raises(errors.Refused, match="could not write the report"):
        page.write(tmp_path / "report.html", made(1))
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
