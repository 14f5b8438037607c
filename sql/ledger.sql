-- The ledger: the present and past of every release of every live schema. Each block upgrades it from one version
-- to the next; the statements of a released block are never edited.

-- name: version_1
CREATE SCHEMA bluegreen;
COMMENT ON SCHEMA bluegreen IS 'Ledger of bluegreen: releases, their tables, checks, cut-overs. Not to be edited by hand.';

CREATE TABLE bluegreen.ledger (
    version int NOT NULL,
    protected boolean NOT NULL DEFAULT false,
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO bluegreen.ledger (version) VALUES (0);

CREATE TABLE bluegreen.release (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    live_schema text NOT NULL,
    number int NOT NULL CHECK (number > 0),
    status text NOT NULL CHECK (status IN ('loading', 'ready', 'live', 'previous', 'failed', 'pruned')),
    origin text NOT NULL CHECK (origin IN ('loaded', 'adopted')),
    schema_oid oid,
    base_oid oid,
    structure text CHECK (structure IN ('live', 'ddl', 'files')),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by text NOT NULL DEFAULT session_user,
    client_address inet DEFAULT inet_client_addr(),
    tool_version text NOT NULL,
    -- The first transaction id after the load: a snapshot that is older cannot see rows that are not frozen.
    loaded_xid xid8,
    ready_at timestamptz,
    promoted_at timestamptz,
    retired_at timestamptz,
    failed_at timestamptz,
    pruned_at timestamptz,
    failure text,
    UNIQUE (live_schema, number)
);
-- Whatever goes wrong, at most one release of a schema is live.
CREATE UNIQUE INDEX ON bluegreen.release (live_schema) WHERE status = 'live';

CREATE TABLE bluegreen.source (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    path text NOT NULL,
    format text NOT NULL,
    compression text NOT NULL,
    bytes bigint NOT NULL,
    sha256 text NOT NULL,
    PRIMARY KEY (release_id, table_name, path)
);

CREATE TABLE bluegreen.loaded_table (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    files int NOT NULL,
    rows bigint NOT NULL,
    bytes bigint NOT NULL,
    seconds double precision NOT NULL,
    frozen boolean NOT NULL,
    PRIMARY KEY (release_id, table_name)
);

-- The server's counts for live's tables when the load began: rows written later are not in the release.
CREATE TABLE bluegreen.write_count (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_oid oid NOT NULL,
    written bigint NOT NULL,
    PRIMARY KEY (release_id, table_oid)
);

-- What live was made of when the load began: what was changed there later is not in the release.
CREATE TABLE bluegreen.definition (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    kind text NOT NULL,
    oid oid NOT NULL,
    name text NOT NULL,
    digest text NOT NULL,
    PRIMARY KEY (release_id, kind, oid)
);

CREATE TABLE bluegreen.stage (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    name text NOT NULL,
    seconds double precision NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (release_id, name)
);

CREATE TABLE bluegreen.check_result (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    name text NOT NULL,
    severity text NOT NULL,
    status text NOT NULL,
    failures bigint NOT NULL,
    seconds double precision NOT NULL,
    columns text[] NOT NULL,
    sample jsonb NOT NULL,
    message text
);
CREATE INDEX ON bluegreen.check_result (release_id);

CREATE TABLE bluegreen.cutover (
    -- Made by the client before it tries, so that it can ask later whether its COMMIT arrived.
    token uuid PRIMARY KEY,
    live_schema text NOT NULL,
    direction text NOT NULL CHECK (direction IN ('promote', 'rollback')),
    to_release bigint NOT NULL REFERENCES bluegreen.release,
    from_release bigint REFERENCES bluegreen.release,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    committed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_role text NOT NULL DEFAULT session_user,
    client_address inet DEFAULT inet_client_addr(),
    tries int NOT NULL,
    waited double precision NOT NULL,
    -- Unknown until the swap's own commit has been measured.
    held double precision
);
CREATE INDEX ON bluegreen.cutover (live_schema, committed_at);

CREATE TABLE bluegreen.event (
    id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    live_schema text NOT NULL,
    number int,
    kind text NOT NULL,
    by_role text NOT NULL DEFAULT session_user,
    detail text
);
CREATE INDEX ON bluegreen.event (live_schema, id);

-- name: version_2
ALTER TABLE bluegreen.release DROP CONSTRAINT release_structure_check;
ALTER TABLE bluegreen.release
    ADD CONSTRAINT release_structure_check CHECK (structure IN ('live', 'ddl', 'files', 'command', 'backup'));

-- name: version_3
-- The tables that a release does not have, because they stay live whichever release is; and the foreign keys of its own
-- tables into those, which it has only while it is live (their definitions name the parent without a schema).
CREATE TABLE bluegreen.carried_table (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    PRIMARY KEY (release_id, table_name)
);
CREATE TABLE bluegreen.carried_key (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    name text NOT NULL,
    key jsonb NOT NULL,
    PRIMARY KEY (release_id, table_name, name)
);

-- name: version_4
-- A stage is written when it begins, so that others see how far a load is and failed ones where they ended; `seconds`
-- once it has ended.
ALTER TABLE bluegreen.stage ALTER COLUMN seconds DROP NOT NULL;
-- What a load has to read for each table, where that is known, and how much of it it has read: bytes of files.
CREATE TABLE bluegreen.reading (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    total bigint,
    done bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (release_id, table_name)
);

-- name: version_5
-- How readers were blocked, and the position of the cut-over in the server's log: a replica has the cut-over when it
-- has replayed the log up to there.
ALTER TABLE bluegreen.cutover
    ADD COLUMN via text NOT NULL DEFAULT 'locks' CHECK (via IN ('locks', 'pgbouncer')),
    ADD COLUMN lsn pg_lsn;

-- name: version_6
-- Foreign keys that cut-overs have re-created as NOT VALID, with their names in the database, until they are validated.
CREATE TABLE bluegreen.unvalidated_key (
    live_schema text NOT NULL,
    schema_name text NOT NULL,
    table_name text NOT NULL,
    name text NOT NULL,
    key jsonb NOT NULL,
    since timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (schema_name, table_name, name)
);

-- name: version_7
-- The number of rejected rows of a table, and the file that holds them, on the machine of the load.
ALTER TABLE bluegreen.loaded_table ADD COLUMN rejected bigint NOT NULL DEFAULT 0, ADD COLUMN rejects text;

-- name: version_8
-- A release that many processes fill belongs to none of them: it is open until one of them finishes it, or until it is
-- stale. `put_off` holds the deferred indexes and constraints for the process that finishes it.
ALTER TABLE bluegreen.release ADD COLUMN open_until timestamptz, ADD COLUMN put_off jsonb;
-- The parts of such a release. The transaction that copies the rows records the part, so each part exists only once.
CREATE TABLE bluegreen.part (
    release_id bigint NOT NULL REFERENCES bluegreen.release,
    table_name text NOT NULL,
    part text NOT NULL,
    files int NOT NULL DEFAULT 0,
    rows bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    seconds double precision NOT NULL DEFAULT 0,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    by_role text NOT NULL DEFAULT session_user,
    client_address inet DEFAULT inet_client_addr(),
    PRIMARY KEY (release_id, table_name, part)
);
