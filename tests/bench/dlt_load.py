"""Loads one file into bench.t by dlt: `dlt_load.py FILE FORMAT URL`.

Files are read as Arrow tables where dlt can, and written as CSV for COPY: its fastest way into PostgreSQL.
"""

import importlib
import sys
from pathlib import Path
from typing import Any


def main(file: Path, form: str, url: str) -> None:
    """Load the file; by module name, because dlt is no dependency."""
    dlt: Any = importlib.import_module("dlt")
    files: Any = importlib.import_module("dlt.sources.filesystem")
    readers = {
        "ndjson": lambda: files.read_jsonl(),
        "parquet": lambda: files.read_parquet(use_pyarrow=True),
    }
    reader = readers.get(form, lambda: files.read_csv_duckdb(use_pyarrow=True))()
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.postgres(url),
        dataset_name="bench",
    )
    source = files.filesystem(bucket_url=file.parent.as_uri(), file_glob=file.name) | reader
    pipeline.run(source.with_name("t"), write_disposition="replace", loader_file_format="csv")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
