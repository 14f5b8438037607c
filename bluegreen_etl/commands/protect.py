"""Protect: mark the database as protected, or remove the mark."""

from bluegreen_etl import ledger, model
from bluegreen_etl.errors.unexpected import guarded
from bluegreen_etl.releases.context import Context, refuse_if_protected


class Protection(model.Record, frozen=True, kw_only=True):
    """Whether the database is marked as protected."""

    database: str
    protected: bool


@guarded
def protect(context: Context, *, protected: bool) -> Protection:
    """Mark the database as protected, or remove the mark, which needs a confirmation."""
    with context.server.connect("protect") as connection:
        if not protected:
            refuse_if_protected(context, connection, "unprotect", what=connection.info.dbname)
        ledger.ensure(connection)
        ledger.protect(connection, protected=protected)
        return Protection(database=connection.info.dbname, protected=protected)
