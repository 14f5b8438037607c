-- Reads and writes the ledger; its tables are in ledger.sql.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: carried_tables
SELECT table_name FROM bluegreen.carried_table WHERE release_id = %(id)s ORDER BY 1

-- name: insert_carried_key
INSERT INTO bluegreen.carried_key (release_id, table_name, name, key) VALUES ({id}, {table}, {name}, {key})

-- name: delete_carried_keys
DELETE FROM bluegreen.carried_key WHERE release_id = {id}

-- name: carried_keys
SELECT key FROM bluegreen.carried_key WHERE release_id = %(id)s ORDER BY table_name, name

-- name: insert_unvalidated
INSERT INTO bluegreen.unvalidated_key (live_schema, schema_name, table_name, name, key)
VALUES ({live}, {schema}, {table}, {name}, {key})
ON CONFLICT (schema_name, table_name, name) DO UPDATE SET live_schema = excluded.live_schema, key = excluded.key

-- name: unvalidated
SELECT u.schema_name, u.key
FROM bluegreen.unvalidated_key AS u
JOIN pg_catalog.pg_namespace AS n ON n.nspname = u.schema_name
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = u.table_name
JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.conname = u.name AND NOT k.convalidated
WHERE u.live_schema = %(schema)s
ORDER BY 1, u.table_name, u.name

-- name: delete_validated
DELETE FROM bluegreen.unvalidated_key AS u
WHERE u.live_schema = %(schema)s AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = u.table_name
    JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.conname = u.name AND NOT k.convalidated
    WHERE n.nspname = u.schema_name)

-- name: exists
-- The ledger's schema, its owner, and whether this role may read and write it. Not by to_regclass: the session's cache
-- may be older than a lock that the session has waited for.
SELECT n.oid::bigint, pg_catalog.pg_get_userbyid(n.nspowner),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND bool_and(
           pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
           AND pg_catalog.has_table_privilege(c.oid, 'DELETE'))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'bluegreen' AND c.relkind = 'r'
GROUP BY n.oid, n.nspowner
HAVING bool_or(c.relname = 'ledger')

-- name: foreign_code
-- What would run code of others as this role when it writes to the ledger, each with the statement that ends it. Owners
-- can add such code at any time. A superuser has the rights of all roles, so that for it the owner has to be one too.
WITH relation AS (
    SELECT c.*, c.oid::regclass::text AS place FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = 'bluegreen'
), me AS (
    SELECT rolname, rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user
), owned(what, place, owner) AS (
    SELECT 'SCHEMA', 'bluegreen', nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'bluegreen'
    UNION ALL SELECT 'TABLE', place, relowner FROM relation WHERE relkind = 'r'
), foreign_code(found, statement) AS (
    SELECT o.what || ' ' || o.place || ' of role ' || quote_ident(r.rolname),
           CASE WHEN me.rolsuper OR r.rolsuper THEN 'ALTER ' || o.what || ' ' || o.place || ' OWNER TO ' || quote_ident(me.rolname)
                ELSE 'GRANT ' || quote_ident(r.rolname) || ' TO ' || quote_ident(me.rolname) END || ';'
    FROM owned AS o JOIN pg_catalog.pg_roles AS r ON r.oid = o.owner, me
    WHERE CASE WHEN me.rolsuper THEN NOT r.rolsuper ELSE NOT pg_catalog.pg_has_role(o.owner, 'USAGE') END
    UNION ALL
    SELECT 'trigger ' || t.tgname || ' on ' || c.place, 'DROP TRIGGER ' || quote_ident(t.tgname) || ' ON ' || c.place || ';'
    FROM pg_catalog.pg_trigger AS t JOIN relation AS c ON c.oid = t.tgrelid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'rule ' || r.rulename || ' on ' || c.place, 'DROP RULE ' || quote_ident(r.rulename) || ' ON ' || c.place || ';'
    FROM pg_catalog.pg_rewrite AS r JOIN relation AS c ON c.oid = r.ev_class WHERE c.relkind = 'r'
    UNION ALL
    SELECT 'policy ' || p.polname || ' on ' || c.place, 'DROP POLICY ' || quote_ident(p.polname) || ' ON ' || c.place || ';'
    FROM pg_catalog.pg_policy AS p JOIN relation AS c ON c.oid = p.polrelid
    UNION ALL
    SELECT 'view ' || place, 'DROP ' || CASE relkind WHEN 'v' THEN 'VIEW ' WHEN 'f' THEN 'FOREIGN TABLE '
               ELSE 'MATERIALIZED VIEW ' END || place || ';'
    FROM relation WHERE relkind IN ('v', 'm', 'f')
)
SELECT found, statement FROM foreign_code ORDER BY found COLLATE "C"

-- name: lock
-- Held while the ledger is created or migrated.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bluegreen ledger', 0))

-- name: version
SELECT version FROM bluegreen.ledger

-- name: set_version
UPDATE bluegreen.ledger SET version = %(version)s

-- name: is_protected
SELECT protected FROM bluegreen.ledger

-- name: protect
UPDATE bluegreen.ledger SET protected = %(protected)s

-- name: releases
-- A ledger of an older version, which commands read without migrating it, has no open releases.
SELECT id, live_schema, number, status, origin, schema_oid::bigint, base_oid::bigint, structure, created_at, created_by,
       ready_at, promoted_at, retired_at, failure,
       (SELECT until FROM (SELECT (to_jsonb(r) ->> 'open_until')::timestamptz) AS o(until) WHERE until > clock_timestamp()
        AND r.status = 'loading') AS open_until
FROM bluegreen.release AS r
WHERE live_schema = %(schema)s
ORDER BY number

-- name: open_for_parts
UPDATE bluegreen.release
SET open_until = clock_timestamp() + pg_catalog.make_interval(secs => %(seconds)s), put_off = %(deferred)s
WHERE id = %(id)s

-- name: keep_open
-- No session can close the release until the transaction ends.
SELECT FROM bluegreen.release
WHERE id = %(id)s AND status = 'loading' AND open_until > clock_timestamp() FOR KEY SHARE

-- name: deferred_entries
-- Fails while a part is being loaded.
SELECT put_off FROM bluegreen.release
WHERE id = %(id)s AND status = 'loading' AND open_until > clock_timestamp() FOR UPDATE NOWAIT

-- name: close
UPDATE bluegreen.release SET open_until = NULL, put_off = NULL WHERE id = %(id)s

-- name: begin_part
-- Waits for another session that loads the same part, to see whether it commits.
INSERT INTO bluegreen.part (release_id, table_name, part) VALUES (%(id)s, %(table)s, %(key)s)
ON CONFLICT (release_id, table_name, part) DO NOTHING

-- name: fill_part
UPDATE bluegreen.part
SET files = %(files)s, rows = %(rows)s, bytes = %(bytes)s, seconds = %(seconds)s, at = clock_timestamp()
WHERE release_id = %(id)s AND table_name = %(table)s AND part = %(key)s

-- name: parts
SELECT table_name AS "table", part AS key, files, rows, bytes, seconds
FROM bluegreen.part WHERE release_id = %(id)s ORDER BY table_name, part

-- name: part
SELECT table_name AS "table", part AS key, files, rows, bytes, seconds
FROM bluegreen.part WHERE release_id = %(id)s AND table_name = %(table)s AND part = %(key)s

-- name: insert_release
INSERT INTO bluegreen.release (live_schema, number, status, origin, schema_oid, base_oid, tool_version, promoted_at)
SELECT %(schema)s, coalesce(max(number), 0) + 1, %(status)s, %(origin)s, %(schema_oid)s, %(base_oid)s,
       %(tool_version)s, CASE WHEN %(status)s = 'live' THEN clock_timestamp() END
FROM bluegreen.release WHERE live_schema = %(schema)s
RETURNING number

-- name: set_structure
UPDATE bluegreen.release SET schema_oid = %(schema_oid)s, structure = %(structure)s WHERE id = %(id)s

-- name: advance_release
UPDATE bluegreen.release
SET status = %(to)s,
    failure = coalesce(%(failure)s, failure),
    ready_at = CASE WHEN %(to)s = 'ready' THEN clock_timestamp() ELSE ready_at END,
    failed_at = CASE WHEN %(to)s = 'failed' THEN clock_timestamp() ELSE failed_at END,
    pruned_at = CASE WHEN %(to)s = 'pruned' THEN clock_timestamp() ELSE pruned_at END,
    retired_at = CASE WHEN %(to)s = 'previous' THEN clock_timestamp() ELSE retired_at END,
    schema_oid = CASE WHEN %(to)s = 'pruned' THEN NULL ELSE schema_oid END
WHERE id = %(id)s AND status = %(from)s
RETURNING id

-- name: set_loaded_xid
UPDATE bluegreen.release SET loaded_xid = pg_catalog.pg_current_xact_id() WHERE id = %(id)s

-- name: insert_source
INSERT INTO bluegreen.source (release_id, table_name, path, format, compression, bytes, sha256)
VALUES (%(id)s, %(table)s, %(path)s, %(format)s, %(compression)s, %(size)s, %(sha256)s)

-- name: insert_loaded_table
INSERT INTO bluegreen.loaded_table (release_id, table_name, files, rows, bytes, seconds, frozen, rejected, rejects)
VALUES (%(id)s, %(table)s, %(files)s, %(rows)s, %(bytes)s, %(seconds)s, %(frozen)s, %(rejected)s, %(rejects)s)

-- name: insert_check_result
INSERT INTO bluegreen.check_result (release_id, name, severity, status, failures, seconds, columns, sample, message)
VALUES (%(id)s, %(name)s, %(severity)s, %(status)s, %(failures)s, %(seconds)s, %(columns)s, %(sample)s, %(message)s)

-- name: insert_event
INSERT INTO bluegreen.event (live_schema, number, kind, detail) VALUES (%(schema)s, %(number)s, %(kind)s, %(detail)s)

-- name: events
SELECT at, number, kind, by_role AS by, detail FROM bluegreen.event WHERE live_schema = %(schema)s ORDER BY id

-- name: all_loaded_tables
SELECT r.number, t.table_name AS "table", t.files, t.rows, t.bytes, t.seconds, t.frozen, t.rejected, t.rejects
FROM bluegreen.loaded_table AS t JOIN bluegreen.release AS r ON r.id = t.release_id
WHERE r.live_schema = %(schema)s AND r.number = ANY (%(numbers)s)
ORDER BY r.number, t.table_name

-- name: latest_checks
SELECT name, NULL AS "table", severity, status, failures, seconds, columns, sample, message
FROM (SELECT DISTINCT ON (name) * FROM bluegreen.check_result
      WHERE release_id = %(id)s ORDER BY name, id DESC) AS latest
ORDER BY id

-- name: replaced_by
-- The release that was live when this release was last promoted: rollback goes back to it.
SELECT from_release FROM bluegreen.cutover
WHERE to_release = %(id)s AND direction = 'promote'
ORDER BY committed_at DESC LIMIT 1

-- name: cutovers
SELECT c.live_schema, c.direction, t.number AS to_number, f.number AS from_number, c.committed_at, c.held, c.tries, c.waited,
       c.by_role AS by, c.token, c.via, c.lsn::text
FROM bluegreen.cutover AS c
JOIN bluegreen.release AS t ON t.id = c.to_release
LEFT JOIN bluegreen.release AS f ON f.id = c.from_release
WHERE c.live_schema = %(schema)s
ORDER BY c.committed_at

-- name: measure_cutover
-- What is written by now holds the cut-over, and hardly more.
UPDATE bluegreen.cutover SET held = coalesce({held}, held), lsn = coalesce(lsn, pg_catalog.pg_current_wal_insert_lsn())
WHERE token = {token}

-- name: fail_release
-- In one message with the first statement that takes something away from the release.
UPDATE bluegreen.release SET status = 'failed', failed_at = clock_timestamp(), failure = coalesce(failure, {failure})
WHERE id = {id} AND status = {status}
