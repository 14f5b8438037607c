"""Run `bluegreen` as `python -m bluegreen_etl`."""

import os
import signal
from types import FrameType

_EARLY = b"bluegreen: error: interrupted: live is unchanged\n"


def run() -> None:
    """Run the command line; the entry point of the console script."""
    _handle_early_interrupts()
    _import_program()
    from bluegreen_etl.cli.root import main  # noqa: PLC0415 - an interrupt during the import is handled

    main(prog_name="bluegreen")


def _handle_early_interrupts() -> None:
    """End at once if an interrupt arrives before the command has its own handlers; no work has begun by then."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end_at_once)


def _end_at_once(_number: int, _frame: FrameType | None) -> None:
    os.write(2, _EARLY)
    os._exit(1)  # the exit code of errors.Interrupted


def _import_program() -> None:
    """Import what every command needs, without garbage collection.

    What is imported stays until the end: looking through it for garbage takes a fifth of the time of a start, again
    and again while it grows, and as long once more at the exit.
    """
    import atexit  # noqa: PLC0415 - see run
    import gc  # noqa: PLC0415 - see run

    gc.disable()
    from bluegreen_etl.workers import keep_memory  # noqa: PLC0415 - see run

    gc.freeze()
    gc.enable()
    keep_memory()
    atexit.register(gc.freeze)


if __name__ == "__main__":
    run()
