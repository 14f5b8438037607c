"""Write results to stdout, as text for people or as JSON."""

import sys
from functools import singledispatch
from textwrap import shorten

import msgspec

from bluegreen_etl import model
from bluegreen_etl.commands import (
    backup,
    doctor,
    history,
    init,
    load,
    promote,
    protect,
    report,
    shared_release,
    status,
    watch,
)
from bluegreen_etl.commands.diff import Diff
from bluegreen_etl.releases import retention
from bluegreen_etl.releases.lifecycle import Loaded
from bluegreen_etl.releases.verify import Checked
from bluegreen_etl.report import diff, humanize, live_view, overview
from bluegreen_etl.wording import printable, printable_json


def show(outcome: object, *, as_json: bool) -> None:
    """Write a result to stdout."""
    if as_json:
        text = printable_json(msgspec.json.format(msgspec.json.encode(outcome)).decode())
    elif _is_script(outcome) and not sys.stdout.isatty():
        text = text_of(outcome)  # psql reads the script, so names stay as they are
    else:
        text = printable(text_of(outcome))
    # Escape characters that the encoding of stdout lacks: an error here would hide that the work is done.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding).rstrip("\n") + "\n")
    sys.stdout.flush()


def _is_script(outcome: object) -> bool:
    return isinstance(outcome, promote.Promoted) and outcome.script is not None


@singledispatch
def text_of(outcome: object) -> str:
    """Return a result as text for people."""
    raise TypeError(f"no table for {type(outcome).__name__}")


@text_of.register
def _(outcome: Loaded) -> str:
    rows = [
        (load.table, load.rows, load.rejected, load.files, humanize.size(load.bytes), humanize.seconds(load.seconds))
        for load in sorted(outcome.tables, key=lambda load: load.table)
    ]
    return humanize.table(("table", "rows", "rejected", "files", "size", "seconds"), rows, optional="rejected")


@text_of.register
def _(outcome: load.LoadPreview) -> str:
    files = [(file.table, file.path, file.format, file.compression, humanize.size(file.size)) for file in outcome.files]
    return humanize.table(("table", "file", "format", "compression", "size"), files)


@text_of.register
def _(outcome: Checked) -> str:
    return overview.checks(outcome.checks)


@text_of.register
def _(outcome: promote.Promoted) -> str:
    if outcome.rehearsal is not None:
        return _rehearsed(outcome.rehearsal)
    if outcome.cutover is None:
        return outcome.script or ""
    cutover = outcome.cutover
    row = (
        outcome.schema,
        cutover.to_number,
        cutover.from_number,
        humanize.milliseconds(cutover.held),
        cutover.tries,
        humanize.seconds(cutover.waited),
        ", ".join(map(str, outcome.pruned)),
    )
    heads = ("schema", "live", "before", "readers blocked", "tries", "waited for locks", "pruned")
    return humanize.table(heads, [row])


def _rehearsed(done: model.Rehearsal) -> str:
    row = (
        done.live_schema,
        done.to_number,
        humanize.milliseconds(done.held),
        done.tries,
        humanize.seconds(done.waited),
    )
    return humanize.table(("schema", "rehearsed", "readers blocked", "tries", "waited for locks"), [row])


@text_of.register
def _(outcome: promote.Released) -> str:
    return text_of(outcome.loaded) + "\n\n" + text_of(outcome.promoted)


@text_of.register
def _(outcome: status.State) -> str:
    rows = [
        (
            item.number,
            "stale" if item.dead else "open" if item.open_until else item.status,
            item.schema,
            item.rows,
            item.rejected,
            humanize.time(item.created_at),
            item.created_by,
            humanize.time(item.promoted_at),
            shorten(item.failure or "", 60, placeholder=" …"),
        )
        for item in outcome.releases
    ]
    heads = ("release", "status", "schema", "rows", "rejected", "begun", "by", "promoted", "failure")
    return f"{overview.head(outcome)}\n\n{humanize.table(heads, rows, optional='rejected')}"


@text_of.register
def _(outcome: report.Report) -> str:
    return overview.text_of(outcome)


@text_of.register
def _(outcome: shared_release.Opened) -> str:
    # Scripts read the number; the JSON has all other fields.
    return str(outcome.release)


@text_of.register
def _(outcome: shared_release.Copied) -> str:
    part = outcome.part
    what = "was there" if outcome.repeated else "copied"
    row = (
        outcome.release,
        part.table,
        part.key,
        what,
        part.rows,
        part.files,
        humanize.size(part.bytes),
        humanize.seconds(part.seconds),
    )
    return humanize.table(("release", "table", "part", "what", "rows", "files", "size", "seconds"), [row])


@text_of.register
def _(outcome: watch.Progress) -> str:
    return live_view.text_of(outcome)


@text_of.register
def _(outcome: history.History) -> str:
    cutovers = iter(outcome.cutovers)
    rows = []
    for event in outcome.events:
        # Each cut-over writes its event in its own transaction, so both are in the same order.
        cutover = (
            next(cutovers, None) if event.kind in {model.EventKind.PROMOTED, model.EventKind.ROLLED_BACK} else None
        )
        stall = humanize.milliseconds(cutover.held) if cutover else None
        rows.append((humanize.time(event.at), event.number, event.kind, event.by, event.detail, stall))
    return humanize.table(("when", "release", "what", "by", "detail", "readers blocked"), rows)


@text_of.register
def _(outcome: Diff) -> str:
    return diff.text_of(outcome)


@text_of.register
def _(outcome: retention.Pruned) -> str:
    rows: list[humanize.Row] = [(number, "dropped", None) for number in outcome.dropped]
    rows += [(number, "not dropped", reason) for number, reason in outcome.refused.items()]
    rows += [(number, "kept", None) for number in outcome.kept]
    return humanize.table(("release", "what", "why"), rows)


@text_of.register
def _(outcome: backup.BackedUp) -> str:
    row = (
        outcome.release,
        outcome.path,
        outcome.files,
        humanize.size(outcome.bytes),
        humanize.seconds(outcome.seconds),
    )
    dropped = [(None, path, None, None, "dropped") for path in outcome.dropped]
    return humanize.table(("release", "backup", "files", "size", "seconds"), [row, *dropped])


@text_of.register
def _(outcome: init.Begun) -> str:
    return humanize.table(("written",), [(file,) for file in outcome.files])


@text_of.register
def _(outcome: doctor.Diagnosis) -> str:
    # A finding is too long for a table: one per line, in the format of errors.
    lines = []
    for item in outcome.findings:
        lines.append(f"{item.grade:<5} {item.topic}: {item.found}")
        lines += [f"      HINT: {item.hint}"] if item.hint else []
    return "\n".join(lines)


@text_of.register
def _(outcome: protect.Protection) -> str:
    return humanize.table(("database", "protected"), [(outcome.database, "yes" if outcome.protected else "no")])
