"""Rollback: the cut-over of promote with the two releases exchanged."""

from bluegreen_etl.commands import promote_select
from bluegreen_etl.commands.promote import Promoted, cut_over
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.model import Direction, Trial
from bluegreen_etl.releases import lookup
from bluegreen_etl.releases.context import Context


@guarded
def rollback(context: Context, *, number: int | None = None, trial: Trial | None = None) -> Promoted:
    """Make the previous release live again, or another kept one; a `trial` changes nothing.

    Raises:
        Refused: no such release is kept.
        Conflict, LockNotObtained, OutcomeUnknown: as promote.
    """
    with context.server.connect(f"rollback {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        incoming = promote_select.select_to_roll_back_to(connection, context.schema, number)
        return cut_over(context, connection, Direction.ROLLBACK, incoming, trial)
