"""`bluegreen backup` and `bluegreen restore`: write a release into files, load it from them."""

from typing import Any

import click

from bluegreen_etl.cli.execute import execute
from bluegreen_etl.cli.options import (
    allow_drop,
    checks_directory,
    common,
    cutting_over,
    no_backup,
    no_backup_setting,
    on_orphans,
    promote_settings,
)
from bluegreen_etl.commands import backup, restore


@click.command("backup")
@click.argument("release", required=False)
@click.option("--to", metavar="DIR", help="Write the backup into a new directory below DIR.  [default: backup.path]")
@click.option("--verify", is_flag=True, help="Restore the backup into a scratch database to prove that it is complete.")
@common
def backup_command(release: str | None, to: str | None, *, verify: bool, **options: Any) -> None:  # noqa: ANN401 - see run
    """Write a RELEASE, or the live one, into files with pg_dump, and record the digest of each file.

    Afterwards drops the backups beyond backup.keep, or older than backup.days.
    """
    execute(options, {}, lambda context: backup.backup(context, which=release, to=to, verify=verify))


@click.command("restore")
@click.argument("directory", metavar="DIR")
@click.option("--promote", is_flag=True, help="Make the release live when it is ready.")
@click.option("--jobs", "-j", type=click.IntRange(1, 64), help="Connections that copy and build.")
@checks_directory
@cutting_over
@allow_drop
@on_orphans
@no_backup
@common
def restore_command(directory: str, **options: Any) -> None:  # noqa: ANN401 - see run
    """Load a backup into a new release, which is checked and promoted like any other.

    First compares the files with their digests.
    """
    flags = {
        "load": {"jobs": options["jobs"], **no_backup_setting(options)},
        "checks": {"path": options["checks"]},
        **promote_settings(options),
    }
    work = restore.restore_and_promote if options["promote"] else restore.restore
    execute(options, flags, lambda context: work(context, directory))
