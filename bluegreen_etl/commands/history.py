"""History: the events and cut-overs of a live schema."""

from bluegreen_etl import ledger, model
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.ledger import Event
from bluegreen_etl.releases import lookup
from bluegreen_etl.releases.context import Context


class History(model.Record, frozen=True, kw_only=True):
    """The events and cut-overs of a live schema, oldest first."""

    schema: str
    events: tuple[Event, ...]
    cutovers: tuple[model.Cutover, ...]


@guarded
def history(context: Context) -> History:
    """Return the events and cut-overs of a live schema."""
    with context.server.connect(f"history {context.schema}", to_read=True) as connection:
        lookup.require_releases(connection, context.schema, to="read")
        return History(
            schema=context.schema,
            events=tuple(ledger.events(connection, context.schema)),
            cutovers=tuple(ledger.cutovers(connection, context.schema)),
        )
