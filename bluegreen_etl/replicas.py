"""Physical replicas of the server: which of them have replayed a cut-over. SQL only, no policy."""

from psycopg import sql
from psycopg.rows import args_row

from bluegreen_etl import db, model, queries


class Replica(model.Record, frozen=True, kw_only=True):
    """A server that replays this one's WAL.

    Args:
        has_release: whether the replica has the release that is live here; None if the role may not see it.
        behind: bytes of WAL that it has yet to replay up to the cut-over.
        lag: seconds by which its last replay was late.
    """

    name: str
    address: str | None
    state: str | None
    has_release: bool | None
    behind: int | None
    lag: float | None

    def __str__(self) -> str:
        """Return the replica and its state in one line."""
        where = f" at {self.address}" if self.address else ""
        if self.has_release:
            return f"{self.name}{where} has the release"
        if self.has_release is None:
            return f"{self.name}{where}: unknown, the role needs pg_read_all_stats"
        behind = "" if self.behind is None else f", {self.behind} bytes of WAL behind"
        return f"{self.name}{where} lacks the release: {self.state}{behind}"


def find(connection: db.Connection, lsn: str | None) -> list[Replica]:
    """Return the replicas, including disconnected ones that have a slot.

    Args:
        lsn: the position of the cut-over in the WAL.
    """
    query = queries.get("doctor.replicas", lsn=sql.Literal(lsn))
    return connection.cursor(row_factory=args_row(_replica)).execute(query).fetchall()


def _replica(
    name: str,
    address: str | None,
    state: str | None,
    has_release: bool | None,
    behind: int | None,
    lag: float | None,
) -> Replica:
    return Replica(name=name, address=address, state=state, has_release=has_release, behind=behind, lag=lag)
