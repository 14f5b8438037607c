"""The HTML report, opened in a real browser as people open it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from bluegreen_etl.report.html import page
from tests import browser as browsers
from tests.reports import EVIL, report
from tests.support import TEAMS, Bluegreen, Live

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for all pages."""
    with browsers.running() as opened:
        yield opened


def look(browser: Browser, file: Path, *, phone: bool, dark: bool) -> Page:
    """Open a file; it must fetch nothing, say nothing, ask nothing, and fit the window."""
    opened = browser.new_page(viewport=PHONE if phone else DESK, color_scheme="dark" if dark else "light")  # type: ignore[arg-type]
    noticed: list[str] = []
    opened.on("console", lambda message: noticed.append(message.text))
    opened.on("pageerror", lambda error: noticed.append(str(error)))
    opened.on("dialog", lambda dialog: noticed.append(dialog.message))
    opened.on("request", lambda request: noticed.append(request.url))
    opened.goto(file.as_uri())
    assert noticed == [file.as_uri()]
    assert opened.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    assert opened.locator("script, img, iframe, object, embed, link[rel=stylesheet]").count() == 0
    return opened


@pytest.mark.parametrize(
    ("releases", "phone", "dark"),
    [(0, True, True), (1, False, True), (12, True, False), (12, False, True)],
    ids=["none", "one", "phone", "dark"],
)
def test_a_page_is_for_everyone(browser: Browser, tmp_path: Path, releases: int, phone: bool, dark: bool) -> None:
    """No rule of accessibility is broken, contrast included, in light and in dark, whatever names and values are."""
    file = tmp_path / "report.html"
    page.write(file, report(releases, 4, name=EVIL))
    opened = look(browser, file, phone=phone, dark=dark)
    opened.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
    found = Axe().run(opened).response["violations"]
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    assert opened.title() == f"{EVIL}: releases"
    assert opened.locator("svg:not(:has(> title))").count() == 0
    opened.close()


def test_the_story_of_a_schema_can_be_read_from_its_page(
    bluegreen: Bluegreen, live: Live, browser: Browser, tmp_path: Path
) -> None:
    """What was live when, what changed, a check's rows, a failed load; by keyboard alone; on paper all of it."""
    bluegreen.write("checks/unborn.sql", "-- severity: warn\nSELECT id, name FROM players WHERE born IS NULL")
    bluegreen.write_league()
    bluegreen("load", "data", "--checks", "checks", "--promote")
    bluegreen.write_league(teams=TEAMS + "3,<b>Bold</b>\n")
    bluegreen("load", "data", "--checks", "checks", "--promote")
    bluegreen.write_league(teams="id,name\nx,Ajax\n")
    bluegreen("load", "data", code=1)
    done = bluegreen("report", "--rows", "--html", "report.html")
    assert done.stdout == ""
    opened = look(browser, tmp_path / "report.html", phone=False, dark=False)
    assert "Release 3 is live since" in opened.locator("header").inner_text()
    assert "The newest load failed: release 4" in opened.locator("header").inner_text()
    lanes = [lane.get_attribute("aria-label") or "" for lane in opened.locator(".lane").all()]
    assert [" ".join(lane.split()[:2]) for lane in lanes] == ["never live", "live from", "live from", "live from"]
    assert opened.locator("section[aria-labelledby=changes] tbody tr").all_inner_texts() == [
        "teams\trows\t2\t3\t+1 (+50.0%)"
    ]
    assert "unborn warned" in opened.locator("section[aria-labelledby=checks] h3").first.inner_text()
    assert "Zoë" in opened.locator("section[aria-labelledby=checks] table").inner_text()
    assert "in stage copy" in opened.locator("section[aria-labelledby=failures]").inner_text()
    opened.keyboard.press("Tab")
    assert opened.locator(":focus").inner_text() == "Skip to the content"
    opened.locator("details.course summary").first.focus()
    opened.keyboard.press("Enter")
    assert opened.locator("details.course").first.locator("tbody tr").first.inner_text().split("\t")[:2] == ["3", "3"]
    assert opened.pdf().startswith(b"%PDF")
    opened.close()
