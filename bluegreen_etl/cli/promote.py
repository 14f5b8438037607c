"""`bluegreen promote` and `bluegreen rollback`: the cut-over, in both directions."""

from typing import Any

import click

from bluegreen_etl.cli.execute import execute
from bluegreen_etl.cli.options import (
    allow_drop,
    as_script,
    common,
    cutting_over,
    discard_writes,
    no_backup,
    no_backup_setting,
    on_orphans,
    promote_settings,
    rehearse,
    trial,
)
from bluegreen_etl.commands import promote, rollback


@click.command("promote")
@click.argument("release", required=False, type=int)
@as_script
@rehearse
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def promote_command(release: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Make a RELEASE live, at the same moment for every reader.

    Without RELEASE: the newest ready one. To undo a rollback, name the previous release.
    """
    execute(
        options,
        {**promote_settings(options), "load": no_backup_setting(options)},
        lambda context: promote.promote(context, number=release, trial=trial(options)),
    )


@click.command("rollback")
@click.option(
    "--to",
    "number",
    type=int,
    metavar="RELEASE",
    help="Previous release to return to.  [default: the one that live replaced]",
)
@as_script
@rehearse
@cutting_over
@discard_writes
@allow_drop
@on_orphans
@no_backup
@common
def rollback_command(number: int | None, **options: Any) -> None:  # noqa: ANN401 - see load
    """Return to the release that live replaced, at the same moment for every reader.

    The options are those of promote; a rollback never needs --allow-drop and --no-backup.
    """
    execute(
        options,
        {**promote_settings(options), "load": no_backup_setting(options)},
        lambda context: rollback.rollback(context, number=number, trial=trial(options)),
    )
