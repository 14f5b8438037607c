"""Convert exceptions that a library raises inside a call; exceptions of our own code pass unchanged."""

import contextlib
from collections.abc import Callable, Iterator

from bluegreen_etl import errors
from bluegreen_etl.sources.jsonfiles.value_converters import BadValue


@contextlib.contextmanager
def library_call(convert: Callable[[str], Exception] = BadValue) -> Iterator[None]:
    """Convert any exception of the library call inside; `convert` makes ours from a message on one line.

    No list of exception classes: pyarrow raises KeyError, ValueError, OverflowError and more for values.
    """
    try:
        yield
    except (BadValue, errors.BluegreenError, MemoryError):
        raise
    except Exception as error:
        raise convert(_text(error)) from error
    except BaseException as error:
        # What a panic in Rust becomes; pyo3 does not export the class.
        if type(error).__name__ != "PanicException":
            raise
        raise convert(_text(error)) from error


def _text(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
