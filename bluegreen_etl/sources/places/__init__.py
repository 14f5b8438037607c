"""Places of data files: local files, members of a zip, standard input, URLs.

`find` lists the files of a path, a directory, a glob or a URL; `of` returns the place of one file.
"""

from urllib.parse import unquote

from bluegreen_etl import errors
from bluegreen_etl.model import STDIN, SourceFile
from bluegreen_etl.sources.places import local, remote, stdin, zip_members
from bluegreen_etl.sources.places.interface import Fingerprint, Found, Place
from bluegreen_etl.sources.places.remote import take_redirects

__all__ = ["Fingerprint", "Found", "Place", "find", "find_skipped", "is_anchored", "of", "shown", "take_redirects"]


def of(source: SourceFile) -> Place:
    """Return the place of a source."""
    return _at(source.address or (source.path,))


def find(pattern: str) -> list[Found]:
    """Return the data files of a path, a directory, a glob or a URL; for a zip, the files in it.

    Raises:
        BadSource: there is no file, or the files cannot be listed.
    """
    if pattern == STDIN:
        return [stdin.find()]
    url = remote.split(pattern)
    if url and url.scheme == "file":
        return find(unquote(url.rest).removeprefix("localhost"))
    found = _find_at(url) if url else _find_here(pattern)
    if found is None:
        raise remote.missing(url) if url else _missing(pattern)
    return found


def find_skipped(pattern: str) -> list[str]:
    """Return the entries of a directory or a glob that cannot be read as files."""
    return [] if pattern == STDIN or remote.split(pattern) else local.find_skipped(pattern)


def is_anchored(pattern: str) -> bool:
    """Whether a pattern is independent of the working directory."""
    return pattern == STDIN or remote.split(pattern) is not None


def shown(pattern: str) -> str:
    """Return a path, a glob or a URL without secrets."""
    url = remote.split(pattern)
    return url.shown if url else stdin.PATH if pattern == STDIN else pattern


def _at(address: tuple[str, ...]) -> Place:
    first, *names = address
    url = remote.split(first)
    place: Place = (
        stdin.standard_input() if first == STDIN else remote.RemoteFile(url) if url else local.LocalFile(first)
    )
    for name in names:
        place = zip_members.Member(place, name)
    return place


def _find_here(pattern: str) -> list[Found] | None:
    """Return the matching files; None if nothing matches, not even an empty zip."""
    outer = local.find(pattern)
    found = [inner for each in outer for inner in _unpacked(each)]
    for path, rest in zip_members.splits(pattern):
        found += [inner for each in local.find(path) for inner in _matching(each, rest)]
    return found if found or outer else None


def _find_at(url: remote.URL) -> list[Found] | None:
    """Return the matching files; None as in `_find_here`."""
    # A path inside a zip is not requested as such: many servers answer any path.
    for path, rest in zip_members.splits(url.rest):
        return [inner for each in remote.find(url._replace(rest=path)) for inner in _matching(each, rest)] or None
    outer = remote.find(url)
    return [inner for each in outer for inner in _unpacked(each)] if outer else None


def _unpacked(outer: Found) -> list[Found]:
    return zip_members.unpacked(outer, _at(outer.address)) if outer.is_zip else [outer]


def _matching(outer: Found, pattern: str) -> list[Found]:
    # A directory may be named like a zip; its files were found by path already.
    return [] if outer.inside or not outer.is_zip else zip_members.matching(outer, _at(outer.address), pattern)


def _missing(pattern: str) -> errors.BadSource:
    for path, rest in zip_members.splits(pattern):
        for outer in local.find(path):
            if outer.named and (close := zip_members.closest(_at(outer.address), rest)):
                return errors.BadSource(f"{pattern} does not exist", hint=f"Did you mean {path}/{close}?")
    return local.missing(pattern)
