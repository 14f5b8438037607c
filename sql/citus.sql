-- The placement of tables on Citus, and whether all nodes have committed.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: version
SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'

-- name: placements
-- Of the tables that Citus manages, without those that it adds automatically because of a foreign key.
SELECT c.relname,
       CASE WHEN p.partmethod = 'h' THEN 'hash' WHEN p.partmethod <> 'n' THEN p.partmethod::text
            WHEN p.repmodel = 't' THEN 'reference' WHEN p.colocationid <> 0 THEN 'single' ELSE 'local' END,
       CASE WHEN p.partmethod = 'h' THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END
FROM pg_catalog.pg_dist_partition AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.logicalrelid
WHERE c.relnamespace = %(oid)s AND NOT c.relispartition AND NOT p.autoconverted
ORDER BY c.relname

-- name: schema
SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_schema WHERE schemaid = %(oid)s)

-- name: own_schemas
SELECT coalesce(json_agg(nspname ORDER BY nspname), '[]')::text FROM pg_catalog.pg_namespace
WHERE nspname = {schema}
   OR pg_catalog.starts_with(nspname, {schema} || '__r') AND substr(nspname, length({schema}) + 4) ~ '^[0-9]+$'

-- name: send_settings
-- Citus sends SET LOCAL to the other nodes too.
SELECT pg_catalog.set_config('citus.propagate_set_commands', 'local', false)

-- name: ask_nodes
-- Without the coordinator: it answers on this connection, and may not be able to connect to itself.
SELECT a.nodeid, a.success, a.result
FROM pg_catalog.run_command_on_all_nodes(%(command)s) AS a LEFT JOIN pg_catalog.pg_dist_node AS n USING (nodeid)
WHERE coalesce(n.groupid, 0) <> 0

-- name: recover
SELECT pg_catalog.recover_prepared_transactions()
