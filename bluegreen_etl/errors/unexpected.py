"""Exceptions that nobody expected, as errors whose exit code is true.

A bug, or an exception of a library that no code translates, is an InternalError while live is unchanged. From the
moment the swap is sent until its outcome is known and every step after it has ended, it is an OutcomeUnknown.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import ParamSpec, TypeVar

from bluegreen_etl.errors.families import BluegreenError, InternalError, OutcomeUnknown

_Parameters = ParamSpec("_Parameters")
_Result = TypeVar("_Result")

_swap_sent: ContextVar[bool] = ContextVar("swap_sent", default=False)


def note_swap(*, sent: bool) -> None:
    """Record that the swap is about to be sent, or that the server has rolled it back."""
    _swap_sent.set(sent)


def explain(error: Exception) -> BluegreenError:
    """Return what an unexpected exception means for live."""
    text = str(error).strip().partition("\n")[0]
    what = f"unexpected {type(error).__name__}{': ' * bool(text)}{text}; this is a bug in bluegreen"
    explained = (
        OutcomeUnknown(
            f"{what}, and live may have changed",
            hint="Run `bluegreen status`: it shows which release is live. Report the bug.",
        )
        if _swap_sent.get()
        else InternalError(f"{what}, and live is unchanged", hint="Report the bug.")
    )
    explained.unexpected = True
    return explained


@contextmanager
def translated() -> Iterator[None]:
    """Raise unexpected exceptions of the body as what they mean for live.

    Raises:
        InternalError, OutcomeUnknown: see explain; the exception is their `__cause__`.
    """
    token = _swap_sent.set(False)
    try:
        yield
    except BluegreenError:
        raise
    except Exception as error:
        raise explain(error) from error
    finally:
        _swap_sent.reset(token)


def guarded(function: Callable[_Parameters, _Result]) -> Callable[_Parameters, _Result]:
    """Return the function with its unexpected exceptions translated."""

    @functools.wraps(function)
    def guarded_function(*arguments: _Parameters.args, **options: _Parameters.kwargs) -> _Result:
        with translated():
            return function(*arguments, **options)

    return guarded_function
