"""Recognise the compression and the format of a file by its first bytes."""

import re

from bluegreen_etl import errors
from bluegreen_etl.model import Compression

LONGEST = 10
_COMPRESSIONS = {
    Compression.GZIP: re.compile(rb"\x1f\x8b"),
    Compression.ZSTD: re.compile(rb"\x28\xb5\x2f\xfd"),
    Compression.BZIP2: re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
    Compression.XZ: re.compile(rb"\xfd7zXZ\0"),
}
_ZIP = b"PK\x03\x04"
_PARQUET = b"PAR1"
_OLD_EXCEL = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"


def compression_of(first: bytes) -> Compression:
    """Return the compression of a file that begins with `first`."""
    matches = (compression for compression, magic in _COMPRESSIONS.items() if magic.match(first))
    return next(matches, Compression.NONE)


def refuse_other_formats(first: bytes, path: str) -> None:
    """Refuse a file that begins with `first` and is not text.

    Raises:
        BadSource: the file is a zip, a workbook or Parquet.
    """
    if first.startswith(_ZIP):
        raise errors.BadSource(
            f"{path} is a zip or an Excel workbook, not text",
            hint="Rename a zip to end in .zip; save a workbook as CSV.",
        )
    if first.startswith(_OLD_EXCEL):
        raise errors.BadSource(f"{path} is an Excel workbook, not text", hint="Save the workbook as CSV.")
    if first.startswith(_PARQUET):
        raise errors.BadSource(
            f"{path} is Parquet, not text", hint='Rename the file to end in .parquet, or set `format = "parquet"`.'
        )
