"""Write files that others read while they are replaced: a file appears as a whole or not at all."""

import os
import secrets
from pathlib import Path


def write(path: Path, text: str) -> None:
    """Replace a file with one that holds this text, with the mode that the umask gives to new files.

    Raises:
        OSError: the file cannot be written; the old one is still there.
    """
    unfinished = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}")
    try:
        with unfinished.open("x", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
