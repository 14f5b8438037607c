"""Data files, wherever they lie, become bytes for PostgreSQL's COPY; nothing here knows a database.

discover finds the files of each table, peek reads their first records, infer proposes column types,
and open_reader gives the blocks that COPY reads.
"""

from bluegreen_etl.sources.discovery import TableFiles, discover
from bluegreen_etl.sources.inference import InferredColumn, infer
from bluegreen_etl.sources.opening import conformity, open_batches, open_reader
from bluegreen_etl.sources.peeking import Kind, Peek, peek
from bluegreen_etl.sources.places import is_anchored

__all__ = [
    "InferredColumn",
    "Kind",
    "Peek",
    "TableFiles",
    "conformity",
    "discover",
    "infer",
    "is_anchored",
    "open_batches",
    "open_reader",
    "peek",
]
