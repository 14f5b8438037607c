"""Where data files may lie: files of this machine, members of a zip, standard input.

find lists what a path, a directory or a glob means, and of gives the place of one file to whoever opens it.
"""

from bluegreen_etl import errors
from bluegreen_etl.model import STDIN, SourceFile
from bluegreen_etl.sources.places import local, members, stdin
from bluegreen_etl.sources.places.place import Fingerprint, Found, Place

__all__ = ["Fingerprint", "Found", "Place", "find", "of"]


def of(source: SourceFile) -> Place:
    """Return the place where a source lies."""
    return _at(source.address or (source.path,))


def find(pattern: str) -> list[Found]:
    """Return the data files that a path, a directory or a glob means, a zip standing for what is in it.

    Raises:
        BadSource: there are none, or they cannot be listed.
    """
    if pattern == STDIN:
        return [stdin.find()]
    outer = local.find(pattern)
    found = [inner for each in outer for inner in _unpacked(each)]
    for path, rest in members.splits(pattern):
        found += [inner for each in local.find(path) for inner in _matching(each, rest)]
    if not found and not outer:
        raise _missing(pattern)
    return found


def _at(address: tuple[str, ...]) -> Place:
    first, *names = address
    place: Place = stdin.standard_input() if first == STDIN else local.LocalFile(first)
    for name in names:
        place = members.Member(place, name)
    return place


def _unpacked(outer: Found) -> list[Found]:
    return members.unpacked(outer, _at(outer.address)) if outer.is_zip else [outer]


def _matching(outer: Found, pattern: str) -> list[Found]:
    # A directory may be called like a zip; what lies in it has been found by its path already.
    return [] if outer.inside or not outer.is_zip else members.matching(outer, _at(outer.address), pattern)


def _missing(pattern: str) -> errors.BadSource:
    for path, rest in members.splits(pattern):
        for outer in local.find(path):
            if outer.named and (close := members.closest(_at(outer.address), rest)):
                return errors.BadSource(f"{pattern} does not exist", hint=f"Did you mean {path}/{close}?")
    return local.missing(pattern)
