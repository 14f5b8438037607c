"""Every error with what it means: for `bluegreen explain` and docs/errors.md."""

import inspect
from collections.abc import Iterator

from bluegreen_etl.errors.families import BluegreenError, UsageError


def kinds(below: type[BluegreenError] = BluegreenError) -> Iterator[type[BluegreenError]]:
    """Yield every class, each followed by those that are a kind of it."""
    yield below
    for kind in below.__subclasses__():
        yield from kinds(kind)


def find(name: str) -> type[BluegreenError]:
    """Return the class of this name, however it is capitalized.

    Raises:
        UsageError: there is none.
    """
    for kind in kinds():
        if kind.__name__.lower() == name.lower():
            return kind
    raise UsageError(f"no error is called {name}", hint="`bluegreen explain` lists all.")


def meaning(kind: type[BluegreenError]) -> str:
    """Return what a class says of itself, in Markdown; its first line is a sentence."""
    return inspect.cleandoc(kind.__doc__ or "")


def family(kind: type[BluegreenError]) -> type[BluegreenError] | None:
    """Return the class that this one is a kind of; None for a family."""
    [parent] = kind.__bases__
    return parent if parent not in {Exception, BluegreenError} else None
