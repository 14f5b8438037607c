"""Check results for CI systems."""

from pathlib import Path
from xml.etree import ElementTree

from bluegreen_etl import errors
from bluegreen_etl.model import CheckStatus
from bluegreen_etl.releases import verify
from bluegreen_etl.report import junit
from tests.unit.test_report import result


def written(directory: Path, outcome: object) -> ElementTree.Element:
    """The suite that is written."""
    file = directory / "checks.xml"
    junit.write(file, outcome)
    [suite] = ElementTree.parse(file).getroot()
    return suite


def test_each_status_is_what_ci_systems_make_of_it(tmp_path: Path) -> None:
    """A failure, an error, a test that was skipped; a warning passes and says what it found."""
    checks = (
        result(),
        result(name="broken", status=CheckStatus.BROKEN, failures=0, sample=(), message="a.sql, line 1: no"),
        result(name="new", table=None, status=CheckStatus.SKIPPED, failures=0, sample=(), message="nothing is live"),
        result(name="few", status=CheckStatus.WARNED, failures=1, sample=(("1", None),)),
        result(name="none", status=CheckStatus.PASSED, failures=0, sample=()),
    )
    suite = written(tmp_path, verify.Checked(schema="league", number=2, checks=checks))
    assert suite.attrib == {
        "name": "bluegreen league release 2",
        "tests": "5",
        "failures": "1",
        "errors": "1",
        "skipped": "1",
        "time": "0.020",
    }
    assert [(case.get("classname"), case.get("name"), [child.tag for child in case]) for case in suite] == [
        ("players", "shirts", ["failure"]),
        ("players", "broken", ["error"]),
        ("checks", "new", ["skipped"]),
        ("players", "few", ["system-out"]),
        ("players", "none", []),
    ]
    assert suite.findtext("testcase/failure") == "id=007, shirt=1e5\nid=null, shirt=12,5"
    assert suite.findtext("testcase/system-out") == "warning: 1 offending row\nid=1, shirt=null"


def test_control_characters_are_escaped(tmp_path: Path) -> None:
    """Data may hold any character; XML has no place for some, and a terminal obeys others. Markup stays what it was."""
    odd = result(name="\x01\x1b\u202e\ufffe<b>", sample=(("\x01<b>&]]>", "x"),))
    suite = written(tmp_path, verify.Checked(schema="league", number=2, checks=(odd,)))
    assert [case.get("name") for case in suite] == ["\\x01\\x1b\\u202e\ufffd<b>"]
    assert suite.findtext("testcase/failure") == "id=\\x01<b>&]]>, shirt=x"


def test_command_that_failed_before_its_checks_is_an_error(tmp_path: Path) -> None:
    """No file, or the one of the run before, would look like success."""
    suite = written(tmp_path, errors.BadRow("players.csv, line 2: no"))
    assert (suite.get("errors"), suite.find("testcase/error").get("message")) == ("1", "players.csv, line 2: no")  # type: ignore[union-attr] # it is there
