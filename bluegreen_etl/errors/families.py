"""The families of errors, each with its exit code: the differences that matter to a script."""

from typing import ClassVar


class BluegreenError(Exception):
    """The command was refused or has failed; live is unchanged.

    The base of all errors. The message says what happened, the hint what to do.
    """

    exit_code: ClassVar[int] = 1
    unexpected: bool = False  # a bug, or an error of a library that no code translates
    results: object = ()  # the results that a report shows with the error

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Set the message, in lower case and without a full stop, and the hint, a sentence."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BluegreenError):
    """The command line asks for something that does not exist or does not fit together.

    Nothing was started; mostly there was no connection yet. `--help` lists the options of a command.
    `bluegreen status` lists the releases, `bluegreen check` the checks.
    """

    exit_code = 2


class BadSource(BluegreenError):
    """A data file is missing, empty, damaged, of unknown format, or not what it is said to be.

    Nearly all such errors are found before anything is written. The message names the file as a whole;
    a bad value in a file is a `BadRow`.

    - Relative paths start at the working directory on the command line, and at the directory of
      bluegreen.toml in that file.
    - The suffix of a file decides its format (`.csv`, `.json.gz`); `format` in the table's section
      overrides it, as do `delimiter`, `quote`, `encoding` and the others.
    - If a file changed during the load: write it to another place, then move it.
    - If a format or storage needs an extra, the message names the package to install.
    """


class BadRow(BluegreenError):
    """The server refused a value in a data file, or the file cannot be decoded.

    The message names the file, the line, element or row, and the column, and quotes the server. The
    release has failed; live is unchanged.

    - Fix the file at that place, or at its source.
    - A word that means null, such as `NA`: set `null = "NA"` in the table's section, or `--null NA`.
    - Wrong letters: set the file's encoding, such as `encoding = "WIN1252"`.
    - An inferred type that is too narrow, on a first load: set `types = { born = "text" }`, or write
      your own DDL.
    - A column that needs cleaning: load it as text and convert it in a `[transform]`.
    - If a few rows may be missing: `--reject-limit 10` or `reject_limit` leaves bad rows out and keeps
      them in a file.
    """


class Refused(BluegreenError):
    """A condition of the command is not met: nothing was started, or everything was undone.

    The message names the condition, the hint says how to meet it. If an option overrides the condition,
    the hint names the option.
    """


class NotPermitted(BluegreenError):
    """The role lacks a privilege.

    `bluegreen doctor` lists all missing privileges, each with the statement that grants it; the page on
    privileges explains them. The usual causes: no CREATE on the database, or another role owns the
    schema or its tables.
    """


class ServerFailed(BluegreenError):
    """The server, or one of its client programs, refused a statement of bluegreen.

    The cause is none of the known ones: the message quotes the server, with its SQLSTATE, and the
    server's log has the statement. Live is unchanged. `--debug` shows the place in the code. If a
    healthy server refuses the statement again, report it.
    """


class CommandFailed(BluegreenError):
    """A program of yours, run by `run` or as a hook, ended with an exit code other than 0.

    The output of the program is above the error. After `run` the release has failed, even if the
    program has committed, and bluegreen has looked at live: it is unchanged. After the hook
    `before_promote` the release stays ready; `bluegreen promote` retries.
    """


class InternalError(BluegreenError):
    """An unexpected exception: a bug, or an unknown error of a library.

    Live is unchanged: after a swap was sent, the same exception is an `OutcomeUnknown`. The details are in the file
    that the hint names, and `--debug` prints them; in Python they are the exception's `__cause__`. Report them.
    """


class Interrupted(BluegreenError):
    """Ctrl-C or a termination signal arrived, or a process of the command died.

    The work was undone and live is unchanged: an interrupt during the commit of a cut-over waits until
    its outcome is known. If a process was killed without Ctrl-C, mostly the kernel ran out of memory:
    `dmesg` shows it, and `--jobs 1` needs less memory.
    """


class ChecksFailed(BluegreenError):
    """A check with severity error found offending rows, or could not be run.

    The release is not ready and live is unchanged. Its schema stays until the next load or prune, so
    you can inspect it: the table of results shows the first offending rows, `bluegreen check N` runs
    the checks again, and `--store-failures` stores all offending rows.

    - The data are wrong: fix them and load again.
    - The check is too strict: change it, or make it a warning with `severity` or `error_if`. `bluegreen
      check N` shows whether it passes now; the next load creates a ready release.
    - `no_empty_table` and `no_halved_table` run on every load: use `allow_empty` or `checks.off`.

    After a promote with `promote.verify` the message names the live release: normally the previous one
    again.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        """Set the results of all checks too, for a report."""
        super().__init__(message, hint=hint)
        self.results = results


class LockNotObtained(BluegreenError):
    """A lock was not obtained in the time allowed; safe to run again.

    Each attempt waited at most half a second for a lock, so no reader waited longer. The message names
    the blockers: pid, role, application, age and statement.

    - A report or a dump is running: run the command again later, or give `--max-wait 600`.
    - A session is `idle in transaction`: its owner has to end the transaction.
    - The blocking statements are expendable: `--cancel-blockers SECONDS` cancels them, and never ends a
      session.
    - Readers leave no gap: try another hour; `bluegreen promote --rehearse` tests it.
    """

    exit_code = 4


class Unfit(BluegreenError):
    """`bluegreen doctor` has found a problem that makes a command fail.

    Each finding in the table has its own hint. Warnings alone are no error.
    """

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        """Set all findings too, for a report."""
        super().__init__(message, hint=hint)
        self.results = results


class Conflict(BluegreenError):
    """Another command is running, or has changed the target since this command read it.

    Live is unchanged. Inspect it with `bluegreen status`; it is safe to run the same command again.
    """

    exit_code = 5


class OutcomeUnknown(BluegreenError):
    """The connection was lost during the commit, and the server cannot report the outcome.

    Only after this error may live have changed. The swap was committed as a whole or not at all:
    readers see one complete release in both cases.

    - When the server is back, `bluegreen status` shows which release is live.
    - If the checks of `promote.verify` did not finish, the release is live: `bluegreen check live` runs
      them, `bluegreen rollback` returns to the previous release.
    - Look at the status before you run the command again: if the swap was committed, a second
      `rollback` goes back one release more.
    """

    exit_code = 6
