"""Say that an event trigger has failed if the error of a statement comes from its function."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg

from bluegreen_etl import catalog, db, errors, sqlstates
from bluegreen_etl.catalog import EventTrigger


@contextmanager
def named_in_errors(connection: db.Connection) -> Iterator[None]:
    """Run the body; if it fails inside an event trigger, raise an error that names the trigger.

    Raises:
        Refused: an event trigger has failed.
    """
    triggers = catalog.event_triggers(connection)
    try:
        yield
    except (psycopg.Error, errors.BluegreenError) as error:
        cause = error if isinstance(error, psycopg.Error) else error.__cause__
        failed = _find(triggers, cause) if isinstance(cause, psycopg.Error) else None
        if failed is None:
            raise
        known = error if isinstance(error, errors.BluegreenError) else sqlstates.explain(error)
        raise errors.Refused(
            f"event trigger {failed.name} has failed (function {failed.function}): {known.message}",
            hint=f"Fix its function: names in it need a schema, or `ALTER FUNCTION {failed.function} SET search_path`. "
            f"Or run `ALTER EVENT TRIGGER {failed.name} DISABLE;` for the time of the load.",
        ) from error


def _find(triggers: Sequence[EventTrigger], error: psycopg.Error) -> EventTrigger | None:
    """Return the event trigger whose function the server names in an error's context."""
    context = error.diag.context or ""
    for trigger in triggers:
        for name in (trigger.function, trigger.plain, trigger.function.rpartition(".")[2]):
            if f"function {name}() line " in context:
                return trigger
    return None
