"""Writes files that others read while they are replaced: a file appears whole or not at all."""

import os
import tempfile
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace a file by another one with this text.

    Raises:
        OSError: it cannot be written; what was there is there still.
    """
    handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:100]}-")
    os.close(handle)
    try:
        Path(unfinished).write_text(text, encoding="utf-8")
        Path(unfinished).chmod(0o644)  # whoever reads it is often another user
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise
