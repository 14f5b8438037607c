"""Outcomes as text for people or as JSON, written to stdout."""

import sys
from collections.abc import Sequence
from functools import singledispatch
from textwrap import shorten

import msgspec
import tabulate

from bluegreen_etl import model, workflow
from bluegreen_etl.report import differences, forms


def show(outcome: object, *, as_json: bool) -> None:
    """Write an outcome to stdout."""
    text = msgspec.json.format(msgspec.json.encode(outcome)).decode() if as_json else text_of(outcome)
    # A terminal or a file of another encoding gets \\x… for what it lacks, not an error after the work is done.
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, "backslashreplace").decode(encoding).rstrip("\n") + "\n")
    sys.stdout.flush()


@singledispatch
def text_of(outcome: object) -> str:
    """Return an outcome as text for people."""
    raise TypeError(f"no table for {type(outcome).__name__}")


@text_of.register
def _(outcome: workflow.Loaded) -> str:
    if outcome.release is None:
        files = [
            (file.table, file.path, file.format, file.compression, forms.size(file.size)) for file in outcome.files
        ]
        return forms.table(("table", "file", "format", "compression", "size"), files)
    rows = [
        (load.table, load.rows, load.rejected, load.files, forms.size(load.bytes), forms.seconds(load.seconds))
        for load in sorted(outcome.tables, key=lambda load: load.table)
    ]
    return forms.table(*_with_rejected(("table", "rows", "rejected", "files", "size", "seconds"), rows))


@text_of.register
def _(outcome: workflow.Checked) -> str:
    rows = [
        (
            check.name,
            check.table,
            check.severity,
            check.status,
            check.failures,
            forms.seconds(check.seconds),
            check.message or model.rows_shown(check),
        )
        for check in outcome.checks
    ]
    return forms.table(("check", "table", "severity", "status", "failures", "seconds", "first offending rows"), rows)


@text_of.register
def _(outcome: workflow.Promoted) -> str:
    if outcome.rehearsal is not None:
        return _rehearsed(outcome.rehearsal)
    if outcome.cutover is None:
        return outcome.script or ""
    cutover = outcome.cutover
    row = (
        outcome.schema,
        cutover.to_number,
        cutover.from_number,
        forms.milliseconds(cutover.held),
        cutover.tries,
        forms.seconds(cutover.waited),
        ", ".join(map(str, outcome.pruned)),
    )
    heads = ("schema", "live", "before", "readers held", "tries", "waited for locks", "pruned")
    return forms.table(heads, [row])


def _rehearsed(done: model.Rehearsal) -> str:
    row = (done.live_schema, done.to_number, forms.milliseconds(done.held), done.tries, forms.seconds(done.waited))
    return forms.table(("schema", "rehearsed", "readers held", "tries", "waited for locks"), [row])


@text_of.register
def _(outcome: workflow.Released) -> str:
    return text_of(outcome.loaded) + "\n\n" + text_of(outcome.promoted)


@text_of.register
def _(outcome: workflow.State) -> str:
    head = [
        ("schema", outcome.schema),
        ("live release", outcome.live if outcome.live is not None else "none"),
        ("database", f"{outcome.database} on {outcome.server}{', protected' if outcome.protected else ''}"),
        ("connection", outcome.connection),
        ("environment", f"{outcome.environment}, by {outcome.environment_origin}" if outcome.environment else "none"),
    ]
    if outcome.drifted:
        head.append(("attention", "the live schema is not the one that the ledger says is live"))
    if outcome.unvalidated:
        keys = ", ".join(outcome.unvalidated)
        head.append(("attention", f"not validated, the next promote or rollback will try: foreign key {keys}"))
    head += [
        ("open for parts", f"release {item.number}, which has {item.parts}, until {forms.time(item.open_until)}")
        for item in outcome.releases
        if item.open_until
    ]
    rows = [
        (
            item.number,
            "dead" if item.dead else "open" if item.open_until else item.status,
            item.schema,
            item.rows,
            item.rejected,
            forms.time(item.created_at),
            item.created_by,
            forms.time(item.promoted_at),
            shorten(item.failure or "", 60, placeholder=" …"),
        )
        for item in outcome.releases
    ]
    heads = ("release", "status", "schema", "rows", "rejected", "begun", "by", "promoted", "failure")
    return tabulate.tabulate(head, tablefmt="plain") + "\n\n" + forms.table(*_with_rejected(heads, rows))


@text_of.register
def _(outcome: workflow.Opened) -> str:
    # For a script: everything else is in the JSON.
    return str(outcome.release)


@text_of.register
def _(outcome: workflow.Copied) -> str:
    part = outcome.part
    what = "was there" if outcome.repeated else "copied"
    row = (
        outcome.release,
        part.table,
        part.key,
        what,
        part.rows,
        part.files,
        forms.size(part.bytes),
        forms.seconds(part.seconds),
    )
    return forms.table(("release", "table", "part", "what", "rows", "files", "size", "seconds"), [row])


@text_of.register
def _(outcome: workflow.History) -> str:
    cutovers = iter(outcome.cutovers)
    rows = []
    for event in outcome.events:
        # Each cut-over writes its event in its own transaction, so that both come in the same order.
        cutover = next(cutovers, None) if event.kind in {"promoted", "rolled back to"} else None
        stall = forms.milliseconds(cutover.held) if cutover else None
        rows.append((forms.time(event.at), event.number, event.kind, event.by, event.detail, stall))
    return forms.table(("when", "release", "what", "by", "detail", "readers held"), rows)


@text_of.register
def _(outcome: workflow.Diff) -> str:
    return differences.text_of(outcome)


@text_of.register
def _(outcome: workflow.Pruned) -> str:
    rows: list[forms.Row] = [(number, "dropped", None) for number in outcome.dropped]
    rows += [(number, "not dropped", reason) for number, reason in outcome.refused.items()]
    rows += [(number, "kept", None) for number in outcome.kept]
    return forms.table(("release", "what", "why"), rows)


@text_of.register
def _(outcome: workflow.BackedUp) -> str:
    row = (outcome.release, outcome.path, outcome.files, forms.size(outcome.bytes), forms.seconds(outcome.seconds))
    dropped = [(None, path, None, None, "dropped") for path in outcome.dropped]
    return forms.table(("release", "backup", "files", "size", "seconds"), [row, *dropped])


@text_of.register
def _(outcome: workflow.Begun) -> str:
    return forms.table(("written",), [(file,) for file in outcome.files])


@text_of.register
def _(outcome: workflow.Diagnosis) -> str:
    # Too long for a table: a finding a line, as errors are told.
    lines = []
    for item in outcome.findings:
        lines.append(f"{item.grade:<5} {item.topic}: {item.found}")
        lines += [f"      HINT: {item.hint}"] if item.hint else []
    return "\n".join(lines)


@text_of.register
def _(outcome: workflow.Protection) -> str:
    return forms.table(("database", "protected"), [(outcome.database, "yes" if outcome.protected else "no")])


def _with_rejected(heads: Sequence[str], rows: Sequence[forms.Row]) -> tuple[Sequence[str], Sequence[forms.Row]]:
    """Leave out the column of rejected rows where there are none."""
    place = heads.index("rejected")
    if any(row[place] for row in rows):
        return heads, rows
    return [*heads[:place], *heads[place + 1 :]], [[*row[:place], *row[place + 1 :]] for row in rows]
