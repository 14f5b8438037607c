"""The measurement as a table."""

from collections.abc import Mapping
from typing import Any

import tabulate

# What is measured, its heading, and how many digits mean something.
COLUMNS = (
    ("wall", "wall s", 2),
    ("client", "client CPU s", 2),
    ("server", "server CPU s", 2),
    ("memory", "client MB", 0),
    ("worst", "worst reader ms", 0),
    ("errors", "errors", 0),
)


def table(document: Mapping[str, Any]) -> str:
    """Return the table of a measurement, with a line on what it was measured with."""
    machine = document["machine"]
    rounds = "1 round" if document["rounds"] == 1 else f"{document['rounds']} rounds"
    caption = f"{document['rows']:,} rows, {rounds}, {machine['cores']} cores, "
    caption += f"PostgreSQL {machine['postgres']}, Python {machine['python']}"
    if "idle_worst" in document:
        caption += f"; readers alone: {document['idle_worst']:.0f} ms at worst"
    mode = document["mode"]
    rows = [_long_row(entry, document) if mode == "long" else _row(entry, mode) for entry in document["results"]]
    return f"{caption}\n\n{tabulate.tabulate(rows, headers='keys', disable_numparse=True)}"


def _row(entry: Mapping[str, Any], mode: str) -> dict[str, str]:
    ratio = entry["ratio"]
    if not ratio:
        return {**_name(entry), "rows": "failed"}
    return {
        **_name(entry),
        "ratio": f"{ratio['median']:.2f}",
        "min–max": f"{ratio['min']:.2f}–{ratio['max']:.2f}",
        **({"copy": _copy_ratio(entry)} if mode == "load" else {}),
        **{title: f"{entry[name]['median']:.{digits}f}" for name, title, digits in COLUMNS if entry[name]},
        "rows": "exact" if entry["exact"] else "not exact",
    }


def _copy_ratio(entry: Mapping[str, Any]) -> str:
    return f"{entry['copy_ratio']['median']:.2f}" if entry["copy_ratio"] else ""


def _long_row(entry: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, str]:
    if entry["error"]:
        return {**_name(entry), "MB": "failed"}
    return {
        **_name(entry),
        "MB": f"{entry['memory']['median']:.0f}",
        f"MB, {document['times']} × the rows": f"{entry['memory_long']:.0f}",
        "growth": f"{entry['growth']:.2f}" if entry["growth"] else "",
    }


def _name(entry: Mapping[str, Any]) -> dict[str, str]:
    return {"way": entry["way"], "format": entry["format"], "jobs": str(entry["jobs"] or "")}
