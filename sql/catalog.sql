-- The objects of schemas, from the system catalogs.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: schema_oid
SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s

-- name: schema_name
SELECT nspname FROM pg_catalog.pg_namespace WHERE oid = %(oid)s

-- name: schema_names
SELECT oid::bigint, nspname FROM pg_catalog.pg_namespace WHERE oid = ANY (%(oids)s::oid[])

-- name: extensions_in_schema
SELECT extname FROM pg_catalog.pg_extension WHERE extnamespace = %(oid)s ORDER BY 1

-- name: all_tables_publications
SELECT pubname FROM pg_catalog.pg_publication
WHERE puballtables AND EXISTS (SELECT FROM pg_catalog.pg_replication_slots
                               WHERE slot_type = 'logical' AND database = pg_catalog.current_database())
ORDER BY 1

-- name: tables
SELECT oid::bigint, relname, relkind = 'p', CASE WHEN reltuples >= 0 THEN reltuples::bigint END
FROM pg_catalog.pg_class
WHERE relnamespace = %(oid)s AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname

-- name: columns
-- The columns of tables and of composite types; `composite` is the relation of a column's composite type, or of its
-- elements' type. A type of the same schema has no schema in its name, so that a column is the same in every release.
SELECT c.oid::bigint,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'name', a.attname,
                   'type', CASE WHEN t.typnamespace = c.relnamespace
                                THEN replace(pg_catalog.format_type(a.atttypid, a.atttypmod),
                                             c.relnamespace::pg_catalog.regnamespace::text || '.', '')
                                ELSE pg_catalog.format_type(a.atttypid, a.atttypmod) END,
                   'domain_over', CASE WHEN t.typtype = 'd' THEN pg_catalog.format_type(base.oid, NULL) END,
                   'receive', base.typreceive::oid::pg_catalog.regproc,
                   'composite', nullif(coalesce(element.typrelid, base.typrelid)::bigint, 0),
                   'not_null', a.attnotnull,
                   'has_default', a.atthasdef OR a.attidentity <> '',
                   'generated', a.attgenerated <> '') ORDER BY a.attnum), '[]')
        FROM pg_catalog.pg_attribute AS a
        JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid
        JOIN LATERAL (
            WITH RECURSIVE standing AS (
                SELECT t.*
                UNION ALL
                SELECT under.* FROM standing JOIN pg_catalog.pg_type AS under ON under.oid = standing.typbasetype)
            SELECT * FROM standing WHERE typtype <> 'd') AS base ON true
        LEFT JOIN pg_catalog.pg_type AS element ON base.typcategory = 'A' AND element.oid = base.typelem
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
FROM pg_catalog.pg_class AS c
WHERE c.oid = ANY (%(relations)s::oid[])

-- name: relations
-- Views come first: a reader of a view locks it before its tables.
SELECT c.oid::bigint, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       pg_catalog.pg_get_userbyid(c.relowner) AS owner
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relkind NOT IN ('v', 'm'), c.relname

-- name: sequences
SELECT s.relname AS name, owner.relname AS "table", a.attname AS "column", q.seqincrement > 0 AS ascending
FROM pg_catalog.pg_class AS s
JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = s.oid
LEFT JOIN pg_catalog.pg_depend AS d
    ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
LEFT JOIN pg_catalog.pg_class AS owner ON owner.oid = d.refobjid AND owner.relnamespace = s.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = owner.oid AND a.attnum = d.refobjsubid
    -- A text column can own a sequence too, but holds its numbers in some other form.
    AND EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid AND t.typcategory = 'N')
WHERE s.relnamespace = %(oid)s AND s.relkind = 'S'
ORDER BY s.relname

-- name: furthest
-- A query of its own: Citus does not join a distributed table with a sequence.
SELECT {extreme}({column})::bigint FROM {table}

-- name: sequence_past
-- Do nothing if the sequence is past the value already. It ends at its own bounds.
SELECT pg_catalog.setval({sequence_text}, greatest(least({reached}, q.seqmax), q.seqmin), true)
FROM {sequence} AS own JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = {sequence_text}::regclass
WHERE NOT own.is_called AND {reached} {further_or_equal} own.last_value
   OR own.is_called AND {reached} {further} own.last_value

-- name: sequence_not_behind
-- A sequence with narrower bounds than live's goes to their end.
SELECT pg_catalog.setval({sequence_text}, greatest(least(live.last_value, q.seqmax), q.seqmin),
                         live.is_called OR live.last_value NOT BETWEEN q.seqmin AND q.seqmax)
FROM {live} AS live, {sequence} AS own JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = {sequence_text}::regclass
WHERE live.last_value {further} own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called

-- name: materialized_views
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'm' ORDER BY c.oid

-- name: relations_everywhere
SELECT c.oid::bigint, n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= 16384 -- below are the server's own

-- name: changed_relations
-- The relations of a list that this transaction has dropped, replaced or altered.
SELECT DISTINCT relation::bigint FROM pg_catalog.pg_locks
WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
  AND relation = ANY (%(oids)s::oid[])
ORDER BY 1

-- name: owners_of
-- The statements that give a schema and its objects the owners of their namesakes in another schema.
SELECT 'ALTER SCHEMA ' || quote_ident(own.nspname) || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(other.nspowner))
FROM pg_catalog.pg_namespace AS own, pg_catalog.pg_namespace AS other
WHERE own.oid = %(own)s AND other.oid = %(other)s AND own.nspowner <> other.nspowner
UNION ALL
SELECT 'ALTER ' || CASE own.relkind WHEN 'v' THEN 'VIEW ' WHEN 'f' THEN 'FOREIGN TABLE '
           WHEN 'm' THEN 'MATERIALIZED VIEW ' WHEN 'S' THEN 'SEQUENCE ' ELSE 'TABLE ' END
       || own.oid::regclass || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(other.relowner))
FROM pg_catalog.pg_class AS own
JOIN pg_catalog.pg_class AS other ON other.relname = own.relname AND other.relkind = own.relkind
WHERE own.relnamespace = %(own)s AND other.relnamespace = %(other)s AND own.relowner <> other.relowner
  AND own.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  -- A sequence that a column owns always has the owner of the table.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE own.relkind = 'S' AND d.objid = own.oid
                  AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'ALTER ' || CASE own.prokind WHEN 'a' THEN 'AGGREGATE ' ELSE 'ROUTINE ' END || own.oid::regprocedure
       || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(other.proowner))
FROM pg_catalog.pg_proc AS own
JOIN pg_catalog.pg_proc AS other ON other.proname = own.proname
    AND pg_catalog.pg_get_function_identity_arguments(other.oid) = pg_catalog.pg_get_function_identity_arguments(own.oid)
WHERE own.pronamespace = %(own)s AND other.pronamespace = %(other)s AND own.proowner <> other.proowner
UNION ALL
SELECT 'ALTER TYPE ' || own.oid::regtype || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(other.typowner))
FROM pg_catalog.pg_type AS own JOIN pg_catalog.pg_type AS other ON other.typname = own.typname
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = own.typrelid
WHERE own.typnamespace = %(own)s AND other.typnamespace = %(other)s AND own.typowner <> other.typowner
  AND (own.typtype IN ('e', 'd', 'r') OR own.typtype = 'c' AND c.relkind = 'c')

-- name: has_metadata
-- Comments and labels are found by OID alone: an object of another catalog with the same OID does no harm.
WITH own(oid) AS (
    SELECT %(oid)s::oid
    UNION ALL SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = %(oid)s
    UNION ALL SELECT oid FROM pg_catalog.pg_proc WHERE pronamespace = %(oid)s
    UNION ALL SELECT oid FROM pg_catalog.pg_type WHERE typnamespace = %(oid)s
    UNION ALL SELECT oid FROM pg_catalog.pg_constraint WHERE connamespace = %(oid)s
    UNION ALL SELECT oid FROM pg_catalog.pg_statistic_ext WHERE stxnamespace = %(oid)s
    UNION ALL SELECT t.oid FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %(oid)s
)
SELECT EXISTS (SELECT FROM pg_catalog.pg_description WHERE objoid IN (SELECT oid FROM own))
    OR EXISTS (SELECT FROM pg_catalog.pg_seclabel WHERE objoid IN (SELECT oid FROM own))
    OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = %(oid)s AND (
                   c.relrowsecurity OR c.relforcerowsecurity
                   OR EXISTS (SELECT FROM pg_catalog.pg_policy AS p WHERE p.polrelid = c.oid)))

-- name: row_security_statements
SELECT 'ALTER TABLE ' || own.oid::regclass || statement
FROM pg_catalog.pg_class AS own
JOIN pg_catalog.pg_class AS other ON other.relname = own.relname AND other.relkind = own.relkind,
     LATERAL (VALUES (' ENABLE ROW LEVEL SECURITY', other.relrowsecurity AND NOT own.relrowsecurity),
                     (' FORCE ROW LEVEL SECURITY', other.relforcerowsecurity AND NOT own.relforcerowsecurity)
     ) AS s(statement, wanted)
WHERE own.relnamespace = %(own)s AND other.relnamespace = %(other)s AND s.wanted

-- name: missing_row_security
-- The row-level security and the policies of live's tables that their namesakes in a release lack.
SELECT 'row-level security of ' || quote_ident(live.relname)
FROM pg_catalog.pg_class AS live
JOIN pg_catalog.pg_class AS own ON own.relname = live.relname AND own.relnamespace = %(own)s
WHERE live.relnamespace = %(live)s AND live.relrowsecurity AND own.relkind <> 'v' AND NOT own.relrowsecurity
UNION ALL
SELECT 'policy ' || quote_ident(p.polname) || ' of ' || quote_ident(live.relname)
FROM pg_catalog.pg_policy AS p
JOIN pg_catalog.pg_class AS live ON live.oid = p.polrelid AND live.relnamespace = %(live)s AND live.relrowsecurity
JOIN pg_catalog.pg_class AS own ON own.relname = live.relname AND own.relnamespace = %(own)s AND own.relkind <> 'v'
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS o WHERE o.polrelid = own.oid AND o.polname = p.polname)
ORDER BY 1

-- name: dependents_on
-- The objects that depend on a table or a view, without its own parts.
SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_catalog.pg_depend AS d
WHERE d.deptype = 'n' AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %(relation)s
  -- A view's own rule names it before PostgreSQL 16.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
                  WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class = d.refobjid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p
                  WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid AND p.polrelid = d.refobjid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                  WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid AND k.conrelid = d.refobjid)

-- name: objects
-- The objects of a schema by kind, table and name. Indexes and constraints often have generated names, so their
-- definition stands for the name, without the name of the schema.
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table'
                    WHEN 'S' THEN 'sequence' ELSE 'table' END AS kind, NULL AS "table", relname::text AS name
FROM pg_catalog.pg_class AS c
WHERE relnamespace = %(oid)s AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE c.relkind = 'S' AND d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                    AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'column', c.relname, a.attname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'index', c.relname, CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
       || replace(substring(pg_catalog.pg_get_indexdef(i.indexrelid) FROM ' USING (.*)$'), n.prefix, '')
FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indrelid,
     LATERAL (SELECT pg_catalog.quote_ident(nspname) || '.' FROM pg_catalog.pg_namespace WHERE oid = %(oid)s) AS n(prefix)
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'm')
  -- An invalid index that a failed CREATE INDEX CONCURRENTLY has left is no loss.
  AND (i.indisvalid OR c.relkind = 'p')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
UNION ALL
SELECT 'constraint', c.relname,
       replace(regexp_replace(pg_catalog.pg_get_constraintdef(k.oid), ' NOT VALID$', ''), n.prefix, '')
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid,
     LATERAL (SELECT pg_catalog.quote_ident(nspname) || '.' FROM pg_catalog.pg_namespace WHERE oid = %(oid)s) AS n(prefix)
WHERE c.relnamespace = %(oid)s AND k.contype IN ('c', 'f', 'p', 'u', 'x')
UNION ALL
SELECT 'trigger', c.relname, t.tgname
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = %(oid)s AND NOT t.tgisinternal
UNION ALL
SELECT 'rule', c.relname, r.rulename
FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
WHERE c.relnamespace = %(oid)s AND r.rulename <> '_RETURN'
UNION ALL
SELECT 'statistics', c.relname, x.stxname
FROM pg_catalog.pg_statistic_ext AS x JOIN pg_catalog.pg_class AS c ON c.oid = x.stxrelid
WHERE x.stxnamespace = %(oid)s
UNION ALL
SELECT CASE prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, NULL,
       p.proname || '(' || replace(pg_catalog.pg_get_function_identity_arguments(p.oid), n.prefix, '') || ')'
FROM pg_catalog.pg_proc AS p,
     LATERAL (SELECT pg_catalog.quote_ident(nspname) || '.' FROM pg_catalog.pg_namespace WHERE oid = %(oid)s) AS n(prefix)
WHERE p.pronamespace = %(oid)s
UNION ALL
SELECT 'type', NULL, t.typname
FROM pg_catalog.pg_type AS t LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
WHERE t.typnamespace = %(oid)s AND (t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c')
ORDER BY 1, 2, 3

-- name: null_shares
-- Estimates for analyzed tables that this role may read; for a partitioned table those of all its partitions.
SELECT c.relname, s.attname, s.null_frac
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited = (c.relkind = 'p')
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition

-- name: row_types
-- What the server compares before it runs a prepared statement again: a type that each release has for itself differs.
SELECT c.relname, string_agg(concat_ws(' ', pg_catalog.quote_ident(a.attname), a.atttypid, a.atttypmod, a.attcollation), ','
                             ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
GROUP BY c.oid

-- name: locks_to_drop
-- The objects that DROP SCHEMA CASCADE drops, each once: DROP locks them one by one.
WITH RECURSIVE doomed(classid, objid) AS (
    SELECT 'pg_catalog.pg_namespace'::regclass::oid, unnest(%(oids)s::oid[])
    UNION
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
    JOIN doomed ON doomed.classid = d.refclassid AND doomed.objid = d.refobjid
)
SELECT count(*) FROM doomed

-- name: tables_built_on
WITH plain AS (
    SELECT c.oid, c.relname FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = %(oid)s AND c.relkind = 'r'
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent)))
SELECT 'INDEX', c.relname, plain.relname
FROM plain JOIN pg_catalog.pg_index AS i ON i.indrelid = plain.oid JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
UNION ALL
SELECT 'CONSTRAINT', plain.relname || ' ' || k.conname, plain.relname
FROM plain JOIN pg_catalog.pg_constraint AS k ON k.conrelid = plain.oid
WHERE k.contype IN ('p', 'u', 'x', 'c')

-- name: tables_written
-- The tables that the current transaction has written to.
SELECT schemaname, relname FROM pg_catalog.pg_stat_xact_user_tables
WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname <> %(schema)s AND schemaname !~ '^pg_'
ORDER BY schemaname, relname

-- name: outside_keys
-- Foreign keys of a schema that refer to tables outside it, with the OIDs of the two tables.
SELECT c.relname, k.conname, ARRAY[k.conrelid, k.confrelid]::bigint[]
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace <> %(oid)s AND k.conparentid = 0
ORDER BY c.relname, k.conname

-- name: referring_tables
-- Tables of a schema with foreign keys to other tables of it.
SELECT DISTINCT c.relname, r.relname
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace = %(oid)s AND k.conrelid <> k.confrelid

-- name: plain_tables
-- Tables that are no partitions and have no parents or children.
SELECT c.relname, c.oid::bigint FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
ORDER BY c.relname

-- name: relations_of_tables
-- The tables with these names in a schema, their indexes, and the sequences that they own.
SELECT c.oid::bigint FROM pg_catalog.pg_class AS c WHERE c.relnamespace = %(oid)s AND c.relname = ANY (%(tables)s)
UNION
SELECT d.objid::bigint FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = c.oid
WHERE c.relnamespace = %(oid)s AND c.relname = ANY (%(tables)s)
  AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i')
UNION
SELECT i.indexrelid::bigint FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_index AS i ON i.indrelid = c.oid
WHERE c.relnamespace = %(oid)s AND c.relname = ANY (%(tables)s)

-- name: statistics_of
SELECT stxname FROM pg_catalog.pg_statistic_ext WHERE stxnamespace = %(oid)s AND stxrelid = ANY (%(tables)s::oid[]) ORDER BY 1

-- name: foreign_partitions
-- Foreign tables that are partitions of a schema's tables, at any level: what is written to the table reaches the other server.
WITH RECURSIVE part AS (
    SELECT c.oid, c.relname AS root FROM pg_catalog.pg_class AS c
    WHERE c.relnamespace = %(oid)s AND c.relkind = 'p' AND NOT c.relispartition
    UNION ALL
    SELECT i.inhrelid, part.root FROM part JOIN pg_catalog.pg_inherits AS i ON i.inhparent = part.oid
)
SELECT part.root, c.relname FROM part JOIN pg_catalog.pg_class AS c ON c.oid = part.oid
WHERE c.relkind = 'f' ORDER BY 1, 2

-- name: subscribed_tables
-- Subscriptions that fill a table of a schema, by its OID, each with these tables.
SELECT s.subname, array_agg(c.relname::text ORDER BY c.relname)
FROM pg_catalog.pg_subscription_rel AS r
JOIN pg_catalog.pg_subscription AS s ON s.oid = r.srsubid
JOIN pg_catalog.pg_class AS c ON c.oid = r.srrelid
WHERE c.relnamespace = %(oid)s AND c.oid <> ALL (%(carried)s::oid[])
GROUP BY s.subname ORDER BY 1

-- name: fed_columns
-- The columns of a schema whose default is the next value of a sequence of it; the sequence may belong to none of them.
SELECT DISTINCT s.relname AS sequence, c.relname AS "table", a.attname AS "column"
FROM pg_catalog.pg_depend AS d
JOIN pg_catalog.pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S' AND s.relnamespace = %(oid)s
JOIN pg_catalog.pg_attrdef AS f ON f.oid = d.objid
JOIN pg_catalog.pg_class AS c ON c.oid = f.adrelid AND c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p')
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
JOIN pg_catalog.pg_type AS t ON t.oid = a.atttypid AND t.typcategory = 'N'
WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  -- Values of another expression say nothing about the sequence.
  AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) ~ '^\(?nextval\(''[^()]*''::regclass\)\)?(::[a-z0-9 ]+)?$'
ORDER BY 1, 2, 3

-- name: narrow_sequences
-- The sequences of a release whose bounds live's sequence of the same name has passed.
SELECT own.relname FROM pg_catalog.pg_class AS own
JOIN pg_catalog.pg_class AS live ON live.relname = own.relname AND live.relkind = 'S' AND live.relnamespace = %(live)s
JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = own.oid
WHERE own.relnamespace = %(own)s AND own.relkind = 'S'
  AND pg_catalog.pg_sequence_last_value(live.oid) NOT BETWEEN q.seqmin AND q.seqmax
ORDER BY 1

-- name: event_triggers
-- The enabled event triggers of statements that a load and a promote run, each with its function.
SELECT e.evtname AS name, quote_ident(n.nspname) || '.' || quote_ident(p.proname) AS function, p.proname AS plain
FROM pg_catalog.pg_event_trigger AS e
JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE e.evtenabled IN ('O', 'A') AND e.evtevent IN ('ddl_command_start', 'ddl_command_end', 'sql_drop', 'table_rewrite')
  -- Those of extensions know what they do.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_event_trigger'::regclass AND d.objid = e.oid AND d.deptype = 'e')
ORDER BY 1

-- name: oid_columns
-- Columns outside of a schema and of releases whose type holds the OID of an object, each with a query that says whether
-- one of its first rows holds an object of the schema. Such a value stays with the old release.
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) || '.' || quote_ident(a.attname) AS name,
       'SELECT EXISTS (SELECT FROM (SELECT ' || quote_ident(a.attname) || '::oid AS oid FROM ONLY ' || quote_ident(n.nspname) || '.'
       || quote_ident(c.relname) || ' LIMIT ' || %(rows)s::int || ') AS stored WHERE stored.oid IN (SELECT t.oid FROM pg_catalog.'
       || k.catalog || ' AS t WHERE t.' || k.namespace || ' = ' || %(oid)s::oid || '))' AS query
FROM (VALUES ('regclass', 'pg_class', 'relnamespace'), ('regproc', 'pg_proc', 'pronamespace'),
             ('regprocedure', 'pg_proc', 'pronamespace'), ('regtype', 'pg_type', 'typnamespace'),
             ('regoper', 'pg_operator', 'oprnamespace'), ('regoperator', 'pg_operator', 'oprnamespace'),
             ('regcollation', 'pg_collation', 'collnamespace'), ('regconfig', 'pg_ts_config', 'cfgnamespace'),
             ('regdictionary', 'pg_ts_dict', 'dictnamespace'), ('regnamespace', 'pg_namespace', 'oid')
     ) AS k(type, catalog, namespace)
JOIN pg_catalog.pg_type AS y ON y.typname = k.type AND y.typnamespace = 'pg_catalog'::regnamespace
JOIN pg_catalog.pg_attribute AS a ON a.atttypid = y.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.oid <> %(oid)s AND n.oid <> ALL (%(releases)s::oid[]) AND n.nspname NOT IN ('bluegreen', 'information_schema')
  AND NOT pg_catalog.starts_with(n.nspname, 'pg_')
  AND (c.relkind = 'r' OR c.relispopulated)
  AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY 1
