"""Rollback: the cut-over of promote, with the two releases exchanged."""

from bluegreen_etl.commands import promote_select
from bluegreen_etl.commands.promote import Promoted, cut_over
from bluegreen_etl.model import Direction, Trial
from bluegreen_etl.releases import lookup
from bluegreen_etl.releases.context import Context


def rollback(context: Context, *, number: int | None = None, trial: Trial | None = None) -> Promoted:
    """Make the release live again that the live one replaced, or another kept one; a `trial` changes nothing.

    Raises:
        Refused: there is nothing to go back to.
        Conflict, LockNotObtained, OutcomeUnknown: as promote.
    """
    with context.server.connect(f"rollback {context.schema}") as connection:
        lookup.require_releases(connection, context.schema)
        incoming = promote_select.to_go_back_to(connection, context.schema, number)
        return cut_over(context, connection, Direction.ROLLBACK, incoming, trial)
