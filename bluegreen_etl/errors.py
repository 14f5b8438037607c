"""What can go wrong: one class per cause that a reader would act on differently.

A message says what was found, in lower case and without a full stop; the hint is a sentence saying what to do.
The exit code belongs to the class; the README lists them.
"""

from typing import ClassVar


class BluegreenError(Exception):
    """Refused or failed, and live did not change.

    Args:
        message: what was found.
        hint: what to do about it, a sentence.
    """

    exit_code: ClassVar[int] = 1
    results: object = ()  # what a report shows beside the error

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BluegreenError):
    """The command line or the configuration asks for something that does not exist or does not fit together."""

    exit_code = 2


class BadSource(BluegreenError):
    """A data file is missing, empty, unreadable, of unknown format, or matches no table."""


class BadRow(BluegreenError):
    """A value in a data file was refused, by the server or while the file was decoded."""


class Refused(BluegreenError):
    """The world is not as the command needs it: nothing was begun."""


class NotPermitted(BluegreenError):
    """The role lacks a privilege, or the database is protected."""


class ServerFailed(BluegreenError):
    """The server is gone, cannot be reached, is out of space, or refused a statement of the tool's own."""


class CommandFailed(BluegreenError):
    """A program of the user's own, such as the one that `run` wraps, ended with another code than 0."""


class Interrupted(BluegreenError):
    """Ctrl-C or a termination signal arrived; what was begun has been taken back."""


class ChecksFailed(BluegreenError):
    """A check with severity error found offending rows: the release is not ready.

    Args:
        results: what every check found, for a report.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        super().__init__(message, hint=hint)
        self.results = results


class LockNotObtained(BluegreenError):
    """The locks of the cut-over were not obtained in the time allowed; safe to run again."""

    exit_code = 4


class Unfit(BluegreenError):
    """Doctor has found what would make a command fail.

    Args:
        results: all that it has found, for a report.
    """

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        super().__init__(message, hint=hint)
        self.results = results


class Conflict(BluegreenError):
    """Live is not what the load saw, or another run holds the target."""

    exit_code = 5


class OutcomeUnknown(BluegreenError):
    """The connection was lost while committing and the server cannot be asked what became of it."""

    exit_code = 6
