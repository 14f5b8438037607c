-- What doctor inspects.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: may_create_schema
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')

-- name: not_owned_objects
-- The schema and its objects whose owner's rights this role lacks, each with the word that ALTER uses. Indexes and
-- owned sequences belong to their tables, and objects of extensions to those.
SELECT pg_catalog.pg_get_userbyid(o.owner) AS owner, o.kind, i.identity
FROM (
    SELECT 'SCHEMA' AS kind, 'pg_catalog.pg_namespace'::regclass AS classid, n.oid, n.nspowner AS owner
    FROM pg_catalog.pg_namespace AS n WHERE n.oid = %(oid)s
    UNION ALL
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE'
                          WHEN 'S' THEN 'SEQUENCE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
           'pg_catalog.pg_class'::regclass, c.oid, c.relowner
    FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')
      AND NOT (c.relkind = 'S' AND EXISTS (
          SELECT FROM pg_catalog.pg_depend AS d
          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
            AND d.refclassid = 'pg_catalog.pg_class'::regclass))
    UNION ALL
    SELECT 'ROUTINE', 'pg_catalog.pg_proc'::regclass, p.oid, p.proowner
    FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = %(oid)s
    UNION ALL
    SELECT 'TYPE', 'pg_catalog.pg_type'::regclass, t.oid, t.typowner
    FROM pg_catalog.pg_type AS t WHERE t.typnamespace = %(oid)s AND t.typtype IN ('e', 'd', 'r')
) AS o, LATERAL pg_catalog.pg_identify_object(o.classid, o.oid, 0) AS i
WHERE NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e')
ORDER BY o.kind <> 'SCHEMA', o.kind, i.identity

-- name: owners_without_create
-- Owners of a schema's objects who may not create objects there. The server requires that when a role other than a
-- superuser gives them the clone.
SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner)
FROM (SELECT 'pg_catalog.pg_class'::regclass AS classid, oid, relowner AS owner FROM pg_catalog.pg_class
      WHERE relnamespace = %(oid)s
      UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid, proowner FROM pg_catalog.pg_proc WHERE pronamespace = %(oid)s
      UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid, typowner FROM pg_catalog.pg_type WHERE typnamespace = %(oid)s) AS o
WHERE NOT pg_catalog.has_schema_privilege(o.owner, %(oid)s::oid, 'CREATE')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = o.classid AND d.objid = o.oid AND d.deptype = 'e')
  AND NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
ORDER BY 1

-- name: may_have_members
-- A superuser's rights are not granted, and pg_database_owner has no explicit members.
SELECT NOT rolsuper AND NOT pg_catalog.starts_with(rolname, 'pg_') FROM pg_catalog.pg_roles WHERE rolname = %(role)s

-- name: forced_policies
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relforcerowsecurity
  AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
ORDER BY 1

-- name: sees_others
-- Whether the role sees the statements of other roles, and may cancel them.
SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE'), pg_catalog.pg_has_role('pg_signal_backend', 'USAGE')

-- name: free_connections
SELECT pg_catalog.current_setting('max_connections')::bigint - pg_catalog.current_setting('superuser_reserved_connections')::bigint
       - (SELECT coalesce(sum(numbackends), 0) FROM pg_catalog.pg_stat_database)

-- name: schema_size
SELECT coalesce(sum(pg_catalog.pg_total_relation_size(oid)), 0)::bigint
FROM pg_catalog.pg_class WHERE relnamespace = %(oid)s AND relkind IN ('r', 'm')

-- name: replication
SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('wal_level'),
       pg_catalog.current_setting('synchronous_standby_names'),
       (SELECT count(*) FROM pg_catalog.pg_stat_replication),
       ARRAY(SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE NOT active ORDER BY 1)

-- name: replicas
-- Standbys, and slots of standbys that are not connected. A receiver that does not replay (pg_receivewal), a base backup
-- and a subscriber are no standbys. A role without pg_read_all_stats sees only pids.
SELECT coalesce(nullif(r.application_name, ''), 'pid ' || r.pid) AS name, r.client_addr::text, r.state,
       r.replay_lsn >= {lsn}::pg_lsn, greatest(0, pg_catalog.pg_wal_lsn_diff({lsn}::pg_lsn, r.replay_lsn))::bigint,
       extract(epoch FROM r.replay_lag)::float8
FROM pg_catalog.pg_stat_replication AS r
WHERE (r.state IS NULL OR r.state <> 'backup' AND r.replay_lsn IS NOT NULL)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_replication_slots AS s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
UNION ALL
SELECT s.slot_name, NULL, 'away', CASE WHEN s.restart_lsn < {lsn}::pg_lsn THEN false END,
       greatest(0, pg_catalog.pg_wal_lsn_diff({lsn}::pg_lsn, s.restart_lsn))::bigint, NULL
FROM pg_catalog.pg_replication_slots AS s
WHERE s.slot_type = 'physical' AND NOT s.active AND s.restart_lsn IS NOT NULL
ORDER BY name

-- name: data_directory
-- The server's data directory, if the role may see it.
SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'

-- name: settings_in_force
SELECT name, pg_catalog.current_setting(name) FROM unnest(%(names)s::text[]) AS s(name)
WHERE pg_catalog.current_setting(name, true) IS NOT NULL

-- name: strange_schemas
-- Schemas with names of releases, or of live while a load creates its structure.
SELECT nspname FROM pg_catalog.pg_namespace
WHERE pg_catalog.starts_with(nspname, %(schema)s || '__r') AND substr(nspname, length(%(schema)s) + 4) ~ '^[0-9]+$'
   OR pg_catalog.starts_with(nspname, 'bluegreen__parked_')
ORDER BY 1
