"""Physical replicas of the server: which of them have a cut-over already. SQL only, no policy."""

from psycopg import sql

from bluegreen_etl import db, model, queries


class Replica(model.Record, frozen=True, kw_only=True):
    """A server that replays this one's log.

    `has_release`: what is live here is live there; None where the role may not know, or no place in the log is known.
    `behind`: bytes of the log up to there; `lag`: how many seconds it replayed late of late.
    """

    name: str
    address: str | None
    state: str | None
    has_release: bool | None
    behind: int | None
    lag: float | None

    def __str__(self) -> str:
        """Return one line for people."""
        where = f" at {self.address}" if self.address else ""
        if self.has_release:
            return f"{self.name}{where} has it"
        if self.has_release is None:
            return f"{self.name}{where}: not known, the role needs pg_read_all_stats"
        behind = "" if self.behind is None else f", {self.behind} bytes of the log behind"
        return f"{self.name}{where} lacks it: {self.state}{behind}"


def find(connection: db.Connection, lsn: str | None) -> list[Replica]:
    """Return the replicas, those with a slot that are away included.

    Args:
        lsn: up to where they have to replay.
    """
    rows = connection.execute(queries.get("doctor.replicas", lsn=sql.Literal(lsn))).fetchall()
    fields = Replica.__struct_fields__
    return [Replica(**dict(zip(fields, row, strict=True))) for row in rows]
