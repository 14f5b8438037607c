"""Where data files may lie: for now, on this machine.

find lists what a path, a directory or a glob means, and of gives the place of one file to whoever opens it.
"""

from bluegreen_etl.model import SourceFile
from bluegreen_etl.sources.places import local
from bluegreen_etl.sources.places.place import Fingerprint, Found, Place

__all__ = ["Fingerprint", "Found", "Place", "find", "of"]


def of(source: SourceFile) -> Place:
    """Return the place where a source lies."""
    return local.LocalFile(source.path)


def find(pattern: str) -> list[Found]:
    """Return the data files that a path, a directory or a glob means.

    Raises:
        BadSource: there are none, or they cannot be listed.
    """
    found = local.find(pattern)
    if not found:
        raise local.missing(pattern)
    return found
