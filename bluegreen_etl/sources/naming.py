"""Parse the name of a data file: its table, its format, its compression."""

from typing import NamedTuple

from bluegreen_etl.model import Compression, Format

_FORMATS = {
    "csv": Format.CSV,
    "tsv": Format.TSV,
    "json": Format.JSON,
    "ndjson": Format.NDJSON,
    "jsonl": Format.NDJSON,
    "parquet": Format.PARQUET,
}
_COMPRESSIONS = {
    "gz": Compression.GZIP,
    "zst": Compression.ZSTD,
    "bz2": Compression.BZIP2,
    "xz": Compression.XZ,
}
SUFFIXES = ".csv, .tsv, .json, .ndjson, .jsonl (each may be followed by .gz, .zst, .bz2 or .xz) or .parquet"


class Name(NamedTuple):
    """A parsed file name; `format` is None if no suffix names one."""

    table: str
    format: Format | None
    compression: Compression


def parse(name: str) -> Name:
    """Parse the name of a file: the table is the part before the first data suffix."""
    parts = name.split(".")
    for index in range(1, len(parts)):
        if parts[index].lower() not in _FORMATS:
            continue
        table = ".".join(parts[:index])
        packed = [part.lower() for part in parts[index + 1 :]]
        if not packed:
            return Name(table, _FORMATS[parts[index].lower()], Compression.NONE)
        if len(packed) == 1 and packed[0] in _COMPRESSIONS:
            return Name(table, _FORMATS[parts[index].lower()], _COMPRESSIONS[packed[0]])
        return Name(table, None, _COMPRESSIONS.get(packed[-1], Compression.NONE))
    compression = _COMPRESSIONS.get(parts[-1].lower(), Compression.NONE) if len(parts) > 1 else Compression.NONE
    bare = parts[:-1] if compression is not Compression.NONE else parts
    return Name(".".join(bare[:-1]) or bare[0], None, compression)
