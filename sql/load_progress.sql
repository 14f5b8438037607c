-- The progress of a load.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: insert_stage
-- The load does not wait for the disk here.
INSERT INTO bluegreen.stage (release_id, name, seconds)
SELECT %(id)s, %(name)s, %(seconds)s::float8 FROM pg_catalog.set_config('synchronous_commit', 'off', true)
ON CONFLICT (release_id, name) DO UPDATE SET seconds = excluded.seconds

-- name: insert_reading
INSERT INTO bluegreen.reading (release_id, table_name, total) VALUES (%(id)s, %(table)s, %(total)s)

-- name: update_reading
UPDATE bluegreen.reading AS r SET done = d.done
FROM unnest(%(tables)s::text[], %(done)s::bigint[]) AS d(table_name, done),
     pg_catalog.set_config('synchronous_commit', 'off', true)
WHERE r.release_id = %(id)s AND r.table_name = d.table_name

-- name: row_counts
SELECT r.number, sum(t.rows)::bigint, sum(t.rejected)::bigint
FROM bluegreen.loaded_table AS t JOIN bluegreen.release AS r ON r.id = t.release_id
WHERE r.live_schema = %(schema)s
GROUP BY r.number

-- name: stages
SELECT r.number, s.name, s.seconds
FROM bluegreen.stage AS s JOIN bluegreen.release AS r ON r.id = s.release_id
WHERE r.live_schema = %(schema)s AND r.number = ANY (%(numbers)s)
ORDER BY r.number, s.at

-- name: stage_under_way
SELECT name, extract(epoch FROM clock_timestamp() - at)::float8
FROM bluegreen.stage WHERE release_id = %(id)s AND seconds IS NULL ORDER BY at DESC LIMIT 1

-- name: readings
SELECT table_name AS "table", done, total FROM bluegreen.reading WHERE release_id = %(id)s ORDER BY total DESC NULLS LAST, table_name

-- name: work
-- Sessions of any program that hold a lock on a relation of the schema, and the sessions of the load itself. Columns of
-- other roles' sessions are null without pg_read_all_stats.
SELECT a.pid, a.usename AS "user",
       CASE WHEN c.pid IS NOT NULL THEN 'copy'
            WHEN i.pid IS NOT NULL THEN lower(i.command) || ', ' || i.phase
            WHEN n.pid IS NOT NULL THEN 'analyze, ' || n.phase
            WHEN v.pid IS NOT NULL THEN 'vacuum, ' || v.phase
            -- Skip the settings at the beginning of pg_dump's scripts.
            WHEN a.state = 'active' THEN left(regexp_replace(regexp_replace(a.query, '^(\s*SET [^;]*;)+\s*', ''),
                                                             '\s+', ' ', 'g'), 44)
            ELSE a.state END AS does,
       coalesce(r.relname, o.relname) AS "table",
       c.tuples_processed AS rows,
       CASE WHEN i.phase ~ 'scanning table$' AND i.blocks_total > 0 THEN i.blocks_done::float8 / i.blocks_total
            WHEN i.phase ~ 'loading tuples in tree$' AND i.tuples_total > 0 THEN i.tuples_done::float8 / i.tuples_total
       END AS share,
       CASE WHEN a.state = 'active' THEN extract(epoch FROM clock_timestamp() - a.query_start)::float8 END AS seconds
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN pg_catalog.pg_stat_progress_copy AS c ON c.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_create_index AS i ON i.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze AS n ON n.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_vacuum AS v ON v.pid = a.pid
LEFT JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(c.relid, i.relid, n.relid, v.relid)
LEFT JOIN LATERAL (
    -- Relations that the session only reads do not count.
    SELECT k.relname FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS k ON k.oid = l.relation
    WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted AND l.mode <> 'AccessShareLock'
      AND l.database = a.datid AND k.relnamespace = %(schema)s AND k.relkind IN ('r', 'p', 'm')
    ORDER BY k.relname LIMIT 1) AS o ON true
WHERE a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND (a.application_name = left(%(application)s, 63)
       OR EXISTS (SELECT FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_class AS k ON k.oid = l.relation
                  WHERE l.pid = a.pid AND l.locktype = 'relation' AND l.granted AND l.database = a.datid
                    AND k.relnamespace = %(schema)s))
ORDER BY a.pid
