"""Open a data file as a stream of decompressed bytes; count and hash its bytes on disk."""

import bz2
import contextlib
import gzip
import hashlib
import importlib
import io
import lzma
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

from bluegreen_etl import errors
from bluegreen_etl.model import Compression, SourceFile
from bluegreen_etl.sources import first_bytes, places

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_DISK_CHUNK = 1 << 20
_WINDOW = 1 << 31  # of zstd: `--long` writes windows that the default refuses

# What the decompressors raise for a damaged archive; isal and Python 3.14's zstd have their own classes.
_DAMAGED: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, lzma.LZMAError)
for _module, _name in (("isal.igzip_lib", "error"), ("compression.zstd", "ZstdError")):
    with contextlib.suppress(ImportError):
        _DAMAGED = (*_DAMAGED, getattr(importlib.import_module(_module), _name))

_UTF8_BOM = b"\xef\xbb\xbf"
# Longer marks first: the mark of UTF-32 begins with that of UTF-16.
_WIDE_BOMS = {
    b"\xff\xfe\0\0": "UTF-32",
    b"\0\0\xfe\xff": "UTF-32",
    b"\xff\xfe": "UTF-16",
    b"\xfe\xff": "UTF-16",
}


class Digest(NamedTuple):
    """The SHA-256 of a file's bytes on disk in hexadecimal, and their number."""

    sha256: str
    size: int


def fingerprint(source: SourceFile) -> places.Fingerprint:
    """Return the current fingerprint of a source.

    Raises:
        BadSource: the file is missing or cannot be reached.
    """
    return places.of(source).fingerprint()


def finished_digest(digest: Digest | None) -> Digest:
    """Return the digest of a file; raise RuntimeError unless the file was read to its end."""
    if digest is None:
        raise RuntimeError("the digest is known when blocks() is exhausted")
    return digest


class Stream:
    """An open data file: read() returns its text, finish() the digest of its bytes on disk."""

    def __init__(
        self,
        source: SourceFile,
        disk: "_HashingFile",
        buffered: "io.BufferedReader[_HashingFile]",
        before: places.Fingerprint,
    ) -> None:
        self._source = source
        self._disk = disk
        self._buffered = buffered
        self._text = cast("BinaryIO", buffered)
        self._before = before

    def decompress(self) -> None:
        """Decompress what follows by the compression that the first bytes show.

        The suffix may be wrong: a server or a program may have compressed or decompressed the file.
        """
        with self._refusing_damage():
            first = self._buffered.peek(first_bytes.LONGEST)[: first_bytes.LONGEST]
        self._text = _decompressed(self._source, self._text, first_bytes.compression_of(first))

    def close(self) -> None:
        """Close the decompressor."""
        self._text.close()

    @property
    def consumed(self) -> int:
        """The number of bytes on disk that have been read so far."""
        return self._disk.count

    def read(self, size: int) -> bytes:
        """Return the next `size` bytes of text; fewer at the end.

        Raises:
            BadSource: reading failed, or the archive is damaged or truncated.
        """
        with self._refusing_damage():
            return self._text.read(size)

    def finish(self) -> Digest:
        """Return the digest of the file after its text was read to the end.

        Raises:
            BadSource: reading failed, or the file changed since it was opened.
        """
        # A decompressor may stop before the end of the file; the digest covers the whole file.
        with self._refusing_damage():
            while self._disk.read(_DISK_CHUNK):
                pass
        self._refuse_changed()
        return Digest(self._disk.digest.hexdigest(), self._disk.count)

    @contextlib.contextmanager
    def _refusing_damage(self) -> Iterator[None]:
        try:
            yield
        except _DAMAGED as error:
            self._refuse_changed()
            raise errors.BadSource(
                f"{self._source.path} cannot be read to its end: {error}",
                hint="The file is damaged or truncated. Write or download it again.",
            ) from error

    def _refuse_changed(self) -> None:
        size = self._before.size
        ended_early = self._disk.at_end and size is not None and self._disk.count != size
        if ended_early or fingerprint(self._source) != self._before:
            raise errors.BadSource(
                f"{self._source.path} changed while it was read",
                hint="Write files elsewhere and move them here when they are complete, then load again.",
            )


@contextlib.contextmanager
def open_stream(source: SourceFile, before: places.Fingerprint | None = None) -> Iterator[Stream]:
    """Open a data file for reading; `before` is its fingerprint from when its columns were read.

    Raises:
        BadSource: the file cannot be opened, or no decoder for its compression is installed.
    """
    with contextlib.ExitStack() as stack:
        place = places.of(source)
        before = before or place.fingerprint()
        disk = _HashingFile(stack.enter_context(place.open()))
        buffered = io.BufferedReader(disk, _DISK_CHUNK)
        stream = Stream(source, disk, buffered, before)
        stack.callback(stream.close)
        stream.decompress()
        yield stream


def without_bom(start: bytes, path: str) -> bytes:
    """Return the first bytes of a file without UTF-8 byte order marks.

    Raises:
        BadSource: the file is UTF-16 or UTF-32, which COPY cannot read.
    """
    first_bytes.refuse_other_formats(start, path)
    for mark, encoding in _WIDE_BOMS.items():
        if start.startswith(mark):
            raise errors.BadSource(
                f"{path} is encoded in {encoding}, which PostgreSQL cannot read",
                hint=f"Convert it to UTF-8: `iconv -f {encoding} -t UTF-8 {path} > FILE`.",
            )
    # Some programs write the mark twice.
    return start.removeprefix(_UTF8_BOM).removeprefix(_UTF8_BOM)


class _HashingFile(io.RawIOBase):
    """Count and hash the bytes that are read from disk."""

    def __init__(self, file: io.RawIOBase) -> None:
        super().__init__()
        self._file = file
        self.digest = hashlib.sha256()
        self.count = 0
        self.at_end = False

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        size: int = self._file.readinto(view) or 0
        self.digest.update(view[:size])
        self.count += size
        self.at_end = not size
        return size


class _ZstandardFile(io.RawIOBase):
    """Decompress a .zst file with the package zstandard, and refuse a truncated file, which its own reader accepts."""

    def __init__(self, module: ModuleType, file: BinaryIO) -> None:
        super().__init__()
        self._module = module
        self._file = file
        self._frame = module.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        self._inside = True
        self._packed = b""
        self._text = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        view = memoryview(buffer)
        while not self._text and self._fill():
            pass
        size = min(len(view), len(self._text))
        view[:size] = self._text[:size]
        self._text = self._text[size:]
        return size

    def _fill(self) -> bool:
        """Decompress the next piece; return False at the end of the file."""
        packed = self._packed or self._file.read(_DISK_CHUNK // 8)
        if not packed:
            if self._inside:
                raise EOFError("compressed file ended before the end-of-stream marker was reached")
            return False
        if not self._inside:
            self._frame = self._module.ZstdDecompressor(max_window_size=_WINDOW).decompressobj()
        try:
            self._text = self._frame.decompress(packed)
        except self._module.ZstdError as error:
            raise OSError(str(error)) from error
        self._inside = not self._frame.eof
        self._packed = self._frame.unused_data if self._frame.eof else b""
        return True


def _decompressed(source: SourceFile, file: BinaryIO, compression: Compression) -> BinaryIO:
    match compression:
        case Compression.NONE:
            return file
        case Compression.GZIP:
            return _ungzip(file)
        case Compression.BZIP2:
            return cast("BinaryIO", bz2.BZ2File(file))
        case Compression.XZ:
            return cast("BinaryIO", lzma.LZMAFile(file))
        case Compression.ZSTD:
            return _unzstd(source.path, file)


def _ungzip(file: BinaryIO) -> BinaryIO:
    """Open a .gz file with the package isal if it is installed: it takes a third of the standard library's time."""
    with contextlib.suppress(ImportError):
        return cast("BinaryIO", importlib.import_module("isal.igzip").IGzipFile(fileobj=file, mode="rb"))
    return cast("BinaryIO", gzip.GzipFile(fileobj=file))


def _unzstd(path: str, file: BinaryIO) -> BinaryIO:
    """Open a .zst file with the standard library (Python 3.14) or the package zstandard."""
    with contextlib.suppress(ImportError):
        return cast("BinaryIO", importlib.import_module("compression.zstd").ZstdFile(file))
    try:
        module = importlib.import_module("zstandard")
    except ImportError as error:
        raise errors.BadSource(
            f"{path} is compressed with zstd: no decoder is installed",
            hint="Run `pip install zstandard`, or use Python 3.14.",
        ) from error
    return cast("BinaryIO", io.BufferedReader(_ZstandardFile(module, file), _DISK_CHUNK))
