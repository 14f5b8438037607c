"""Read the files in a zip: each of them is a data file."""

import contextlib
import difflib
import glob
import io
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import IO, TYPE_CHECKING

from bluegreen_etl import errors
from bluegreen_etl.model import Compression
from bluegreen_etl.sources import naming
from bluegreen_etl.sources.places.interface import ZIP, Fingerprint, Found, Place

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BUFFER = 1 << 16
_SEPARATORS = re.compile(r"[/\\]")  # backslashes are invalid, but some Windows programs write them
_ENCRYPTED = 1  # of ZipInfo.flag_bits
_INSIDE = re.compile(re.escape(ZIP) + "/", re.IGNORECASE)
# What zipfile raises for a damaged zip.
_DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError)


class Member:
    """A file in a zip, which may be in any place; implements places.Place."""

    def __init__(self, archive: Place, name: str) -> None:
        self.path = f"{archive.path}/{name}"
        self._archive = archive
        self._name = name

    def fingerprint(self) -> Fingerprint:
        """Return the fingerprint of the zip and the file's entry in it, after opening the file."""
        before = self._archive.fingerprint()
        with contextlib.closing(self._opened()) as file:
            info = file.info
        return Fingerprint(info.file_size, (before, info.CRC, info.header_offset))

    def open(self) -> io.RawIOBase:
        """Open the file; its checksum is verified at the end of the read."""
        return self._opened()

    def open_seekable(self) -> io.RawIOBase:
        """Open the file; seeking backwards decompresses it again from its start."""
        return self._opened()

    def _opened(self) -> "_Unpacked":
        with contextlib.ExitStack() as stack:
            archive = stack.enter_context(_opened(self._archive))
            try:
                info = archive.getinfo(self._name)
                if info.flag_bits & _ENCRYPTED:
                    raise errors.BadSource(
                        f"{self.path} is encrypted", hint="Unpack it with its password, and load the unpacked file."
                    )
                file = stack.enter_context(archive.open(info))
            except KeyError as error:
                raise errors.BadSource(
                    f"{self.path} does not exist", hint=f"List the zip: `unzip -l {self._archive.path}`."
                ) from error
            except (NotImplementedError, RuntimeError) as error:
                raise errors.BadSource(
                    f"{self.path} uses a compression that Python does not support: {error}",
                    hint="Unpack it, or write the zip with deflate.",
                ) from error
            except _DAMAGED as error:
                raise _damaged(self.path, error) from error
            return _Unpacked(info, file, stack.pop_all())


def unpacked(found: Found, archive: Place) -> list[Found]:
    """Return the files in a zip, in its order.

    A zip named like a data file that contains one file is treated as that file, compressed, as .gz is.

    Raises:
        BadSource: the file is not a zip.
    """
    names = _names(archive)
    own = found.name[: -len(ZIP)]
    alias = None
    if len(names) == 1 and naming.parse(own).format is not None:
        packed = naming.parse(names[0]).compression
        alias = own if packed is Compression.NONE else f"{own}.{packed}"
    return [_found(found, name, alias, inside=True) for name in names]


def matching(found: Found, archive: Place, pattern: str) -> list[Found]:
    """Return the files in a zip that match a path, a directory or a glob.

    Raises:
        BadSource: the file is not a zip.
    """
    names = _names(archive)
    if pattern in names:
        return [_found(found, pattern, named=True)]
    if glob.has_magic(pattern):
        return [_found(found, name) for name in names if _matches(name.split("/"), pattern.split("/"))]
    directory = pattern.rstrip("/") + "/"
    return [
        _found(found, name, inside=True) for name in names if pattern.strip("/") == "" or name.startswith(directory)
    ]


def closest(archive: Place, name: str) -> str | None:
    """Return the name in a zip that is most similar to `name`."""
    return next(iter(difflib.get_close_matches(name, _names(archive), n=1)), None)


def splits(path: str) -> Iterator[tuple[str, str]]:
    """Yield each split of a path into the path of a zip and a path in it."""
    for found in _INSIDE.finditer(path):
        yield path[: found.end() - 1], path[found.end() :]


class _Unpacked(io.RawIOBase):
    """The bytes of a member; closing them closes the zip."""

    def __init__(self, info: zipfile.ZipInfo, file: IO[bytes], resources: contextlib.ExitStack) -> None:
        super().__init__()
        self.info = info
        self._file = file
        self._resources = resources

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return self._file.seekable()

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        try:
            data = self._file.read(len(view))
        except zipfile.BadZipFile as error:
            raise OSError(str(error)) from error
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._resources.close()
        super().close()


@contextlib.contextmanager
def _opened(archive: Place) -> Iterator[zipfile.ZipFile]:
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(io.BufferedReader(archive.open_seekable(), _BUFFER))
        try:
            opened = stack.enter_context(zipfile.ZipFile(file))
        except (*_DAMAGED, OSError, ValueError) as error:
            raise _damaged(archive.path, error) from error
        yield opened


def _names(archive: Place) -> list[str]:
    """Return the files in a zip, without hidden ones and what macOS adds.

    Raises:
        BadSource: two have the same name, so that only one of them can be read.
    """
    with _opened(archive) as opened:
        names = Counter(info.filename for info in opened.infolist() if not info.is_dir())
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise errors.BadSource(
            f"{archive.path} has more than one file called {twice}", hint="Write the zip again, each file once."
        )
    return [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in _SEPARATORS.split(name))]


def _found(archive: Found, name: str, alias: str | None = None, *, named: bool = False, inside: bool = False) -> Found:
    own = alias or _SEPARATORS.split(name)[-1]
    return Found(f"{archive.path}/{name}", (*archive.address, name), own, (*archive.identity, name), named, inside)


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    """Whether the parts of a path match the parts of a glob; `**` matches any number of directories."""
    if not patterns:
        return not parts
    if patterns[0] == "**":
        return any(_matches(parts[skipped:], patterns[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _matches(parts[1:], patterns[1:])


def _damaged(path: str, error: Exception) -> errors.BadSource:
    return errors.BadSource(
        f"{path} cannot be read as a zip: {error}",
        hint="The file is damaged or truncated. Write or download it again.",
    )
