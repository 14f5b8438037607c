-- Locks, settings and sessions of the tool itself, and the databases that it creates.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: try_lock
SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended(%(key)s, 0))

-- name: unlock
SELECT pg_catalog.pg_advisory_unlock(pg_catalog.hashtextextended(%(key)s, 0))

-- name: is_locked
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_locks AS l, pg_catalog.hashtextextended(%(key)s, 0) AS k(key)
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
      AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
      AND ((l.classid::bigint << 32) | l.objid::bigint) = k.key
)

-- name: lock_holders
SELECT DISTINCT {session}
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid,
     pg_catalog.hashtextextended(%(key)s, 0) AS k(key)
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND ((l.classid::bigint << 32) | l.objid::bigint) = k.key

-- name: is_superuser
SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user

-- name: columns_of_session
-- The fields of model.Session; `a` is pg_stat_activity.
a.pid, a.usename AS "user", a.application_name AS application, a.client_addr::text AS address, a.state,
extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS age, left(a.query, 200) AS query

-- name: sessions_of_program
SELECT {session}
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.application_name = %(application)s AND a.xact_start IS NOT NULL
  AND a.pid <> pg_catalog.pg_backend_pid()
ORDER BY a.xact_start

-- name: lock_transactions
-- The transactions with a lock on one of these relations, their age in seconds, and whether they are known to last.
SELECT l.virtualtransaction, max(extract(epoch FROM clock_timestamp() - a.xact_start))::float8,
       bool_or(l.pid IS NULL OR starts_with(a.application_name, 'pg_dump'))
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.locktype = 'relation' AND l.relation = ANY (%(relations)s::oid[])
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
GROUP BY l.virtualtransaction

-- name: deadlock_timeout
SELECT extract(epoch FROM pg_catalog.current_setting('deadlock_timeout')::interval)::float8

-- name: set_lock_timeout
SELECT pg_catalog.set_config('lock_timeout', %(timeout)s, false)

-- name: relation_exists
SELECT pg_catalog.to_regclass(%(name)s) IS NOT NULL

-- name: read_only
SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')::boolean

-- name: lock_capacity
-- A lower bound: the server has room for some more.
SELECT current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)

-- name: locks_held
SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT fastpath

-- name: flush
-- Makes the commit of this transaction wait for the disk; earlier commits are on disk then, too.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') = 'off'

-- name: put_first
-- For the rest of the transaction, the schema comes first in the search path that is kept.
SELECT pg_catalog.set_config('bluegreen.search_path', pg_catalog.quote_ident(%(schema)s) || ', '
                             || pg_catalog.current_setting('bluegreen.search_path'), true)

-- name: enter_user_path
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('bluegreen.search_path'), true)

-- name: leave_user_path
-- Runs with any search path, like unpin and path_schemas: it has no operators, and every name is qualified. What the
-- body has set is kept.
SELECT pg_catalog.set_config('bluegreen.search_path', pg_catalog.current_setting('search_path'), true),
       pg_catalog.set_config('search_path', '', true)

-- name: unpin
SELECT pg_catalog.set_config('search_path', pg_catalog.current_setting('bluegreen.search_path'), false)

-- name: path_schemas
SELECT pg_catalog.unnest(pg_catalog.current_schemas(false))

-- name: may_create_database
SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user

-- name: system_identifier
SELECT system_identifier::text FROM pg_catalog.pg_control_system()

-- name: database_oid
SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()

-- name: create_like_this_database
-- The statement that creates an empty database with the encoding and collation of this one.
SELECT 'CREATE DATABASE ' || quote_ident(%(name)s) || ' TEMPLATE template0 ENCODING '
    || quote_literal(pg_catalog.pg_encoding_to_char(d.encoding))
    || ' LC_COLLATE ' || quote_literal(d.datcollate) || ' LC_CTYPE ' || quote_literal(d.datctype)
    || CASE d.datlocprovider
       WHEN 'i' THEN ' LOCALE_PROVIDER icu ICU_LOCALE ' || quote_literal(coalesce(r.own ->> 'datlocale', r.own ->> 'daticulocale'))
       WHEN 'b' THEN ' LOCALE_PROVIDER builtin BUILTIN_LOCALE ' || quote_literal(r.own ->> 'datlocale')
       ELSE ' LOCALE_PROVIDER libc' END
FROM pg_catalog.pg_database AS d, LATERAL (SELECT to_jsonb(d)) AS r(own)
WHERE d.datname = pg_catalog.current_database()

-- name: extensions
SELECT x.extname, n.nspname
FROM pg_catalog.pg_extension AS x JOIN pg_catalog.pg_namespace AS n ON n.oid = x.extnamespace
WHERE x.extname <> 'plpgsql' ORDER BY x.oid

-- name: database_exists
SELECT EXISTS (SELECT FROM pg_catalog.pg_database WHERE datname = %(name)s)

-- name: end_session
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE pid = %(pid)s AND application_name = pg_catalog.current_setting('application_name')

-- name: end_sessions
SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
WHERE application_name = %(application)s AND usename = current_user AND pid <> pg_catalog.pg_backend_pid()
  AND datname = pg_catalog.current_database()

-- name: scratch_databases
SELECT datname FROM pg_catalog.pg_database
WHERE pg_catalog.starts_with(datname, 'bluegreen__' || (
    SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) || '_')
ORDER BY 1

-- name: bound_idle_transaction
-- The server ends the transaction if its client is frozen or gone, so that no lock of it stays.
SELECT pg_catalog.set_config('idle_in_transaction_session_timeout', %(timeout)s, true)
