"""Prune: drop stale, failed and superseded releases, and previous releases beyond those kept."""

from bluegreen_etl.cutover import swap
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.releases.context import Context, refuse_if_protected
from bluegreen_etl.releases.lookup import require_releases
from bluegreen_etl.releases.retention import Pruned, drop_beyond


@guarded
def prune(context: Context, *, keep: int | None) -> Pruned:
    """Drop the releases that are not needed.

    Args:
        keep: how many previous releases stay; None means the setting. Younger ones than retention.min_age stay too.
    """
    with context.server.connect(f"prune {context.schema}") as connection:
        refuse_if_protected(context, connection, "prune")
        require_releases(connection, context.schema)
        swap.hold(connection, context.schema)
        return drop_beyond(context, connection, context.settings.retention.keep if keep is None else keep)
