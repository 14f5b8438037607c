"""List the errors and their meanings: for `bluegreen explain` and docs/errors.md."""

import inspect
from collections.abc import Iterator

from bluegreen_etl.errors.families import BluegreenError, UsageError


def kinds(below: type[BluegreenError] = BluegreenError) -> Iterator[type[BluegreenError]]:
    """Yield every class, each followed by its subclasses."""
    yield below
    for kind in below.__subclasses__():
        yield from kinds(kind)


def find(name: str) -> type[BluegreenError]:
    """Return the class with this name; case does not matter.

    Raises:
        UsageError: no class has this name.
    """
    for kind in kinds():
        if kind.__name__.lower() == name.lower():
            return kind
    raise UsageError(f"no error is called {name}", hint="List all errors with `bluegreen explain`.")


def meaning(kind: type[BluegreenError]) -> str:
    """Return the docstring of a class, in Markdown; its first line is a sentence."""
    return inspect.cleandoc(kind.__doc__ or "")


def family(kind: type[BluegreenError]) -> type[BluegreenError] | None:
    """Return the parent class; None for a family."""
    [parent] = kind.__bases__
    return parent if parent not in {Exception, BluegreenError} else None
