"""The families of errors, each with its exit code: what a script would act on differently."""

from typing import ClassVar


class BluegreenError(Exception):
    """Refused or failed, and live did not change.

    Whatever has no better name. The message says what was found, the hint what to do.
    """

    exit_code: ClassVar[int] = 1
    unexpected: bool = False  # a bug, or an error of a library that no code translates
    results: object = ()  # what a report shows beside the error

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Take what was found, in lower case and without a full stop, and what to do about it, a sentence."""
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BluegreenError):
    """The command line asks for something that does not exist or does not fit together.

    Nothing was begun, mostly nothing was even connected to. `--help` says what a command takes; options
    that name a release, a table or a check want one that `bluegreen status` and `bluegreen check` show.
    """

    exit_code = 2


class BadSource(BluegreenError):
    """A data file is missing, empty, damaged, of unknown format, or not what it is said to be.

    Nearly all of it is found before anything is written. What the message names is the file as a whole;
    a value in it would be a `BadRow`.

    - Relative paths count from the working directory on the command line, from bluegreen.toml's own in
      that file.
    - A file's suffix says how it is written (`.csv`, `.json.gz`); `format` in the table's section
      overrules that, and so do `delimiter`, `quote`, `encoding` and the others.
    - A file that changed while it was read has to be written elsewhere and moved to its place.
    - Formats and storages that are extras say which package to install.
    """


class BadRow(BluegreenError):
    """A value in a data file was refused, by the server or while the file was decoded.

    The message gives the file, the line, element or row in it, the column, and the server's own words.
    The release has failed; live is untouched.

    - Mend the file at that place, or where it comes from.
    - A word that stands for nothing, such as `NA`: `null = "NA"` in the table's section, or `--null
      NA`.
    - Odd letters: `encoding = "WIN1252"`, or what the file is written in.
    - A type that was inferred and is too narrow, on a first load: `types = { born = "text" }`, or DDL
      of your own.
    - A column that is better loaded as text and made right afterwards is work for a `[transform]`.
    - Where a few rows may be missing: `--reject-limit 10`, or `reject_limit`, which keeps them in a file.
    """


class Refused(BluegreenError):
    """The world is not as the command needs it: nothing was begun, or all of it was taken back.

    The message says what stands against it, the hint what would let it pass. What can be overruled
    names the option.
    """


class NotPermitted(BluegreenError):
    """The role lacks a privilege.

    `bluegreen doctor` lists all that are missing, each with the statement that grants it; the page on
    privileges says why each is needed. Mostly it is CREATE on the database, or that schema and tables
    belong to another role.
    """


class ServerFailed(BluegreenError):
    """The server, or a program of its, refused a statement of bluegreen's own.

    None of the known causes: the message is the server's, with its SQLSTATE, and the server's log has
    the statement. Live is unchanged. `--debug` shows where it happened; if it happens again on a sane
    server, report it.
    """


class CommandFailed(BluegreenError):
    """A program of your own, such as the one that `run` wraps or a hook, ended with another code than 0.

    Its output stands above the error. After a `run` the release has failed, however often the program
    has committed, and live is untouched; after a hook `before_promote` the release stays ready, and
    `bluegreen promote` tries again.
    """


class InternalError(BluegreenError):
    """An exception that bluegreen does not expect: a bug, or an error of a library that it does not know.

    Live is unchanged: after a swap was sent, the same exception is an `OutcomeUnknown`. The details are in the file
    that the hint names, and `--debug` prints them; in Python they are the exception's `__cause__`. Report them.
    """


class Interrupted(BluegreenError):
    """Ctrl-C or a termination signal arrived, or a process of the command's own died.

    What was begun has been taken back and live is unchanged: an interrupt that arrives during the
    commit of a cut-over is held back until it is known what became of it. A process that was killed
    without Ctrl-C was mostly killed by the kernel for want of memory: `dmesg` says so, and `--jobs 1`
    needs less.
    """


class ChecksFailed(BluegreenError):
    """A check with severity error found offending rows, or could not be run.

    The release is not ready and live is unchanged. Its schema stays until the next load or prune, so
    that one can look: the table of results shows the first offending rows, `bluegreen check N` runs the
    checks again, and `--store-failures` keeps all offending rows.

    - The data are wrong: mend them and load again.
    - The check is too strict: change it, or let it warn with `severity`, `error_if`; `bluegreen check
      N` says whether it passes now, and the next load makes a ready release.
    - `no_empty_table` and `no_halved_table` come with every load: `allow_empty`, or `checks.off`.

    After a promote with `promote.verify` the message says which release is live: the one before again,
    as a rule.
    """

    exit_code = 3

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        """Take what every check found too, for a report."""
        super().__init__(message, hint=hint)
        self.results = results


class LockNotObtained(BluegreenError):
    """The locks that were needed were not obtained in the time allowed; safe to run again.

    Each try held nothing that it did not get at once or within half a second, so that no reader was
    kept for longer. The message names who was in the way: pid, role, application, age and statement.

    - A report or a dump is running: run again when it has ended, or give `--max-wait 600`.
    - A session that is `idle in transaction` has forgotten to commit: its owner has to end it.
    - Statements that may be sacrificed: `--cancel-blockers SECONDS` cancels them, never a session.
    - Readers that never leave a gap: `bluegreen promote --rehearse` says how it would go at another
      hour.
    """

    exit_code = 4


class Unfit(BluegreenError):
    """`bluegreen doctor` has found what would make a command fail.

    Each finding in the table has its own hint. Warnings alone do not lead here.
    """

    def __init__(self, message: str, *, hint: str | None = None, results: object = ()) -> None:
        """Take all that was found too, for a report."""
        super().__init__(message, hint=hint)
        self.results = results


class Conflict(BluegreenError):
    """Something else is under way, or has happened, between the look at the target and the work on it.

    Live is unchanged. Look with `bluegreen status`; running the same command again is safe.
    """

    exit_code = 5


class OutcomeUnknown(BluegreenError):
    """The connection was lost while committing and the server cannot be asked what became of it.

    The one error after which live may have changed. The swap was either committed as a whole or not at
    all, readers see one complete release in both cases.

    - When the server is back, `bluegreen status` says which release is live.
    - Where `promote.verify` names checks, and they could not be run to their end, the release is live:
      `bluegreen check live` runs them, `bluegreen rollback` goes back.
    - Do not blindly run the command again: if the swap was committed, a second `rollback` would go one
      further.
    """

    exit_code = 6
