"""Shows what commands return: as a table for people, or as one JSON object. The only writer of stdout."""

from bluegreen_etl.report.screen import Screen
from bluegreen_etl.report.text import show, text_of

__all__ = ["Screen", "show", "text_of"]
