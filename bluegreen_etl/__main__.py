"""`python -m bluegreen_etl` is `bluegreen`."""

import atexit
import gc

# What is imported stays until the end: looking through it for garbage takes a fifth of the time of a start, again and
# again while it grows, and as long once more at the exit.
gc.disable()

from bluegreen_etl.cli.root import main  # noqa: E402
from bluegreen_etl.workers import keep_memory  # noqa: E402

gc.freeze()
gc.enable()


def run() -> None:
    """Run the command line: the console script."""
    keep_memory()
    atexit.register(gc.freeze)
    main(prog_name="bluegreen")


if __name__ == "__main__":
    run()
