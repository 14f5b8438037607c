"""Write files that others read while they are replaced: a file appears as a whole or not at all."""

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL


def write(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Replace a file with one that holds this text; its mode is `mode` without the bits of the umask.

    Raises:
        OSError: the file cannot be written, or the path is a symbolic link or no regular file; what is there stays.
    """
    with contextlib.suppress(FileNotFoundError):
        found = path.lstat().st_mode
        if not stat.S_ISREG(found):
            reason = "is a symbolic link" if stat.S_ISLNK(found) else "is not a regular file"
            raise OSError(errno.EINVAL, reason, str(path))
    unfinished = path.with_name(f".{path.name[:100]}-{secrets.token_hex(8)}")
    try:
        with os.fdopen(os.open(unfinished, _CREATE, mode), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
