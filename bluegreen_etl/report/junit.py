"""Write check results as JUnit XML for CI systems: each check is a test case."""

import re
from pathlib import Path
from xml.etree import ElementTree

from bluegreen_etl import atomic_file, errors, model
from bluegreen_etl.commands import promote
from bluegreen_etl.commands.load import LoadPreview
from bluegreen_etl.model import CheckResult, CheckStatus
from bluegreen_etl.releases import lifecycle, verify
from bluegreen_etl.wording import counted, printable

# Characters that XML 1.0 cannot contain, not even as a reference.
_FORBIDDEN = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(file: Path, outcome: object) -> None:
    """Write the check results of a command; a command that failed before its checks is a test case with an error.

    Raises:
        OSError: the file cannot be written.
    """
    suite = ElementTree.Element("testsuite", name=f"bluegreen {_title(outcome)}")
    if isinstance(outcome, errors.BluegreenError):
        case = ElementTree.SubElement(suite, "testcase", classname="bluegreen", name="run")
        ElementTree.SubElement(case, "error", message=_clean(outcome.message))
    for result in _results(outcome):
        case = ElementTree.SubElement(suite, "testcase", classname=_clean(result.table or "checks"))
        case.attrib |= {"name": _clean(result.name), "time": f"{result.seconds:.3f}"}
        _describe(case, result)
    cases = list(suite)
    for kind, tag in (("tests", "."), ("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        suite.set(kind, str(sum(case.find(tag) is not None for case in cases)))
    suite.set("time", f"{sum(float(case.get('time', 0)) for case in cases):.3f}")
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    # The file has offending rows.
    atomic_file.write(file, f"<?xml version='1.0' encoding='utf-8'?>\n{text}", mode=0o600)


def _results(outcome: object) -> tuple[CheckResult, ...]:
    if isinstance(outcome, promote.Released):
        return outcome.loaded.checks
    return outcome.checks if isinstance(outcome, lifecycle.Loaded | verify.Checked) else ()


def _title(outcome: object) -> str:
    if isinstance(outcome, promote.Released):
        return _title(outcome.loaded)
    if isinstance(outcome, LoadPreview):
        return f"{outcome.schema} dry run"
    if isinstance(outcome, lifecycle.Loaded):
        return f"{outcome.schema} release {outcome.release.number}"
    return f"{outcome.schema} release {outcome.number}" if isinstance(outcome, verify.Checked) else "run"


def _describe(case: ElementTree.Element, result: CheckResult) -> None:
    """Add the result of a check to its test case; a warning is no failure, and its rows become output."""
    found = counted(result.failures, "offending row")
    if result.status is CheckStatus.FAILED:
        ElementTree.SubElement(case, "failure", message=found).text = _clean(model.rows_shown(result))
    elif result.status is CheckStatus.BROKEN:
        ElementTree.SubElement(case, "error", message=_clean(result.message or ""))
    elif result.status is CheckStatus.SKIPPED:
        ElementTree.SubElement(case, "skipped", message=_clean(result.message or ""))
    elif result.status is CheckStatus.WARNED:
        ElementTree.SubElement(case, "system-out").text = _clean(f"warning: {found}\n{model.rows_shown(result)}")


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", printable(text))
