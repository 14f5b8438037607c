"""The causes of errors that a person has to end: of files, settings, the target and its objects."""

from bluegreen_etl.errors.families import (
    BadRow,
    BadSource,
    NotPermitted,
    Refused,
    UsageError,
)


class BadConfiguration(UsageError):
    """bluegreen.toml, or the file of a check, has an error.

    A key is misspelt or in the wrong section, a value has the wrong type, a table, column or check does
    not exist, an environment is not defined, or a variable `${NAME}` is not set. The message names the
    place. Nothing was started. The page on settings lists every key; `bluegreen load --dry-run` checks
    the whole file without writing.
    """


class BadBackup(BadSource):
    """The backup was changed, or belongs to another schema, database or server, or is no backup.

    A backup is a directory with `manifest.json`, which holds the SHA-256 of every file. If a file
    differs, nothing is restored. Use another backup; `bluegreen history` shows when and where backups
    were made. `--force` restores a backup of another database or server.
    """


class NoTable(BadSource):
    """A data file belongs to no table.

    A file fills the table with its name: `players.csv`, `players.json.gz`. The message lists the
    existing tables.

    - The name differs: rename the file, or set `files = ["export-pl-*.csv"]` under `[tables.players]`.
    - The table is new: add it to the project's DDL, or to live; or load with `--structure files`, which
      creates tables for all files.
    - The file does not belong to the load: name the files instead of the directory.
    """


class WrongColumns(BadSource):
    """A file's columns do not fit those of its table.

    The header shows it, before anything is written.

    - The table lacks the column: add it to the table, list it in `ignore_columns`, or map it with
      `sources`.
    - The file lacks a column that is NOT NULL: add it to the file, or give the column a default.
    - The table computes the column (GENERATED ALWAYS): remove it from the file.
    - The whole header is one column: the delimiter is wrong; set `delimiter = ";"`.
    """


class ConstraintBroken(BadRow):
    """Rows violate a constraint: a duplicate key, an orphan, or a forbidden value.

    Constraints are built after all rows are copied, so the message names table, constraint and value,
    and no line. Find the value in the file with `grep`. The release has failed; live is unchanged.

    - A duplicate: two files overlap, or the export contains the rows twice.
    - An orphan: the parent's file is older than the child's, or lacks rows.
    - To see all such rows at once: load into tables without that constraint, and find them with a check.
    """


class DamagedLedger(Refused):
    """The ledger holds something that bluegreen does not write: a row is missing, or a value is no known one.

    Live is unchanged: readers need no ledger. Somebody has changed a table of the schema `bluegreen` by hand, or a
    restore was incomplete.

    - Restore the schema `bluegreen` from a backup of the database.
    - Or correct the row that the message describes, as the owner of the ledger.
    """


class NoRelease(Refused):
    """No release matches, or its status does not allow the command.

    `bluegreen status` lists releases with their status. A `ready` release can be promoted, a `previous`
    one promoted or rolled back to; `failed` and `pruned` releases cannot be used.

    - No release at all: check `--schema` and the connection; `status` shows both.
    - No ready release: create one with `bluegreen load`.
    - No previous release: `retention.keep` says how many are kept; `bluegreen restore` creates a
      release from a backup.
    """


class Unfilled(Refused):
    """A table of live has no file, so it would be empty after the promote.

    A forgotten file must not empty a table.

    - Load all tables together: name the directory.
    - The table shall be empty: give a file with a header only, and set `allow_empty = true` in the
      table's section.
    - A `[transform]` fills the table: name its files.
    - Users own the rows: list the table under `[carry]`.
    """


class WrongParts(Refused):
    """The parts of an open release differ from those that `bluegreen finish --expect` names.

    The message names the table. The release is still open: copy the missing parts, then finish it. An
    extra part was copied under an unexpected key and cannot be removed: run `bluegreen abort N` and open
    a new release.
    """


class Orphans(Refused):
    """Rows of other schemas or carried tables reference rows that the release lacks.

    A foreign key of another schema, or of a carried table, references the schema. After the swap these
    rows would be orphans, so they are counted before it.

    - The release should have the rows: fix the files and load again.
    - The orphans may be deleted, or their references set to null: `on_orphans = "delete"` or `"null"`
      under `[promote]`, or `--on-orphans`.
    - The foreign key is obsolete: drop it.
    """


class CannotFollow(Refused):
    """An object outside the schema depends on it and cannot be moved to the new release.

    The swap re-creates views, foreign keys, functions with a parsed body, triggers, policies and column
    defaults, exchanges materialized views, and re-points publications if the settings say so. It cannot
    re-create column types, partitioned tables, a materialized view on another one, or what depends on
    these; nor a view whose columns have another type in the release.

    - A publication: `publications = "follow"` under `[promote]` re-points it; its subscribers then need
      a fresh copy.
    - Drop the object before the promote and re-create it afterwards, for example in the hook
      `after_promote`.
    - Move the object into the schema, so that it becomes part of each release.
    - Load a release whose columns have the same types.
    """


class NodeInDoubt(Refused):
    """A node of Citus has missed a commit, or does not answer.

    A node that was lost during a commit keeps the old names until Citus recovers it, automatically and
    within a minute after the node is back. Until then a load, a promote or a drop would block, so none
    is started. `bluegreen status` names the node. To recover at once, run `SELECT
    recover_prepared_transactions()` on the coordinator as a superuser.
    """


class StillNeeded(Refused):
    """A release cannot be dropped, because an object outside depends on it.

    Objects outside a release are never dropped with it. The message names the dependents. Mostly they
    were created by hand on the shadow schema: drop them, or re-create them on live, where every promote
    re-points them.
    """


class WouldLose(Refused):
    """The release lacks objects of live: tables, columns, indexes, constraints, functions, policies.

    A clone of live has all of them; your own DDL, tables from files, and programs may not. `bluegreen
    diff` compares both.

    - Forgotten: add the object to the DDL and load again, or create it in the release before the
      promote.
    - Intended: `bluegreen promote --allow-drop`, once, or `allow_drop = true` under `[promote]`.
    - Row-level security or policies: only `--force` promotes without them, because the release would
      show rows that live hides.
    """


class Overwritten(Refused):
    """Tables of live received rows since the load began, and the release would replace these tables.

    These rows are not in the release. The message names the tables with counts, or the sessions.

    - The source of the data has the rows too: load again.
    - Users own the rows: list the table under `[carry]`, so that it stays through every swap, and load
      again.
    - The rows may stay behind in the old release: `--discard-writes`.

    The server's counts are up to ten seconds late, so they may include writes from just before the load.
    """


class NameTaken(Refused):
    """A schema that bluegreen did not create has the name that a release needs.

    bluegreen never drops or overwrites a schema that it did not create. Inspect it, then rename or drop
    it.
    """


class BadScript(Refused):
    """DDL, a transform or a wrapped program has failed, or has done something that is not allowed.

    A script fills its own release and changes nothing else: names without a schema mean the release, and
    the server refuses COMMIT, ROLLBACK and commands of psql (`\\\\i`, `\\\\copy`). The message names
    the file with its line, or the object.

    - Leave out DROP, CREATE SCHEMA and objects of other schemas; the schema exists and is empty when DDL
      runs.
    - Create an outside view that reads the schema once, on live: every promote re-creates it.
    - A program that needs the whole database, or a scratch one: see `--isolate`.
    """


class PoolerBetween(Refused):
    """The connection goes through a pooler in transaction mode, which shares sessions among clients.

    A load holds locks and settings of a session, so it needs a direct connection: another port, mostly
    5432 instead of 6432 or 6543, or the host that the provider calls the direct connection. Readers may
    stay on the pooler. `bluegreen doctor` reports what it finds.
    """


class AlreadyPaused(Refused):
    """A pooler was already paused, so its clients wait.

    bluegreen does not end a pause that it did not start. An administrator may be working on the server;
    or a cut-over was killed together with its watchdog, for example with its container. If nobody is
    working on it, end the pause on the console: `psql 'host=… port=6432 dbname=pgbouncer user=…' -c
    'RESUME "app"'`.
    """


class UnfitEngine(Refused):
    """The server uses PostgreSQL's protocol, but lacks a feature that a cut-over needs.

    A cut-over renames two schemas in one transaction and blocks readers meanwhile; a load needs COPY
    from a client. CockroachDB, Amazon Redshift and YugabyteDB with its default settings lack one of
    these; docs/scaling.md explains it.
    """


class ReadOnly(Refused):
    """The server or the role is read-only.

    - A standby, or the reader endpoint of a provider: connect to the primary. `status`, `history` and
      `diff` work on a standby too.
    - `default_transaction_read_only` is on, for the server, the database or the role. Providers set it
      when a disk is nearly full.
    """


class NotReplaceable(Refused):
    """The schema contains an object, or belongs to one, that prevents replacing it as a whole.

    - An extension is installed in the schema and would be replaced with it: `ALTER EXTENSION … SET SCHEMA
      public`.
    - A table inherits from a table outside, or is a partition of one, which would show the rows of every
      release: detach it, or move the parent into the schema.
    - A publication for all tables has subscribers, and would send them the release while it loads:
      publish tables or schemas by name.
    - A partition that is a foreign table would be written to while the release is loaded: detach it.
    - A subscription that fills a table of the schema would fill the old release after a promote: carry
      the table, or subscribe into another schema.
    - A partitioned table cannot be carried: list it under `[carry] copy`.
    """


class Protected(NotPermitted):
    """The database is protected, and the command was not confirmed.

    `bluegreen protect`, or `protected = true` of an environment, has marked the database: the mark
    applies to every connection to it. On a terminal, type the schema's name when asked. In a job that
    shall promote, give `--force`. `bluegreen protect --off` removes the mark.
    """
