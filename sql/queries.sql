-- The statements of the tool, by name. {places} are identifiers or SQL filled by psycopg, %(names)s are parameters.

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

-- name: may_create_schema
SELECT pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE')

-- name: tables
SELECT oid::bigint, relname, relkind = 'p', CASE WHEN reltuples >= 0 THEN reltuples::bigint END
FROM pg_catalog.pg_class
WHERE relnamespace = %(oid)s AND relkind IN ('r', 'p') AND NOT relispartition
ORDER BY relname

-- name: columns
-- Of tables, and of composite types, which have a relation too; `composite` is that of a column's, or of its elements'.
-- A type of the same schema is named without it, so that the same column reads the same in every release.
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
-- Views come first: their readers lock them before the tables below.
SELECT c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner)
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
ORDER BY c.relkind NOT IN ('v', 'm'), c.relname

-- name: sequences
SELECT s.relname, owner.relname, a.attname, q.seqincrement > 0
FROM pg_catalog.pg_class AS s
JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = s.oid
LEFT JOIN pg_catalog.pg_depend AS d
    ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = s.oid AND d.deptype IN ('a', 'i')
    AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0
LEFT JOIN pg_catalog.pg_class AS owner ON owner.oid = d.refobjid AND owner.relnamespace = s.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = owner.oid AND a.attnum = d.refobjsubid
    -- A column of text may own a sequence too, whose numbers it holds in a form of its own.
    AND EXISTS (SELECT FROM pg_catalog.pg_type AS t WHERE t.oid = a.atttypid AND t.typcategory = 'N')
WHERE s.relnamespace = %(oid)s AND s.relkind = 'S'
ORDER BY s.relname

-- name: furthest
-- Asked alone: Citus does not join a distributed table with a sequence.
SELECT {extreme}({column})::bigint FROM {table}

-- name: sequence_past
-- Nothing to do for a value that the sequence is past already.
SELECT pg_catalog.setval({sequence_text}, {reached}, true)
FROM {sequence} AS own
WHERE NOT own.is_called AND {reached} {further_or_equal} own.last_value
   OR own.is_called AND {reached} {further} own.last_value

-- name: sequence_not_behind
SELECT pg_catalog.setval({sequence_text}, live.last_value, live.is_called)
FROM {live} AS live, {sequence} AS own
WHERE live.last_value {further} own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called

-- name: materialized_views
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'm' ORDER BY c.oid

-- name: outside_dependents
-- Everything in another schema that depends on an object of this one, with the object it hangs on. The tables in
-- `carried`, with what belongs to them, count as being outside: they do not leave with the schema.
WITH carried(classid, oid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, unnest(%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_class'::regclass, indexrelid FROM pg_catalog.pg_index
        WHERE indrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
        WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
          AND d.refobjid = ANY (%(carried)s::oid[]) AND d.deptype IN ('a', 'i')
    UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid
        FROM pg_catalog.pg_type AS t LEFT JOIN pg_catalog.pg_type AS e ON e.oid = t.typelem
        WHERE t.typrelid = ANY (%(carried)s::oid[]) OR e.typrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint
        WHERE conrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_trigger'::regclass, oid FROM pg_catalog.pg_trigger
        WHERE tgrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_attrdef'::regclass, oid FROM pg_catalog.pg_attrdef
        WHERE adrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_policy'::regclass, oid FROM pg_catalog.pg_policy
        WHERE polrelid = ANY (%(carried)s::oid[])
    UNION ALL SELECT 'pg_catalog.pg_statistic_ext'::regclass, oid FROM pg_catalog.pg_statistic_ext
        WHERE stxrelid = ANY (%(carried)s::oid[])
), everything(classid, oid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, oid FROM pg_catalog.pg_class WHERE relnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid FROM pg_catalog.pg_proc WHERE pronamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid FROM pg_catalog.pg_type WHERE typnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_operator'::regclass, oid FROM pg_catalog.pg_operator WHERE oprnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_collation'::regclass, oid FROM pg_catalog.pg_collation WHERE collnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_ts_config'::regclass, oid FROM pg_catalog.pg_ts_config WHERE cfgnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_ts_dict'::regclass, oid FROM pg_catalog.pg_ts_dict WHERE dictnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_ts_parser'::regclass, oid FROM pg_catalog.pg_ts_parser WHERE prsnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_ts_template'::regclass, oid FROM pg_catalog.pg_ts_template WHERE tmplnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_conversion'::regclass, oid FROM pg_catalog.pg_conversion WHERE connamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_opclass'::regclass, oid FROM pg_catalog.pg_opclass WHERE opcnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_opfamily'::regclass, oid FROM pg_catalog.pg_opfamily WHERE opfnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_amop'::regclass, m.oid FROM pg_catalog.pg_amop AS m
        JOIN pg_catalog.pg_opfamily AS f ON f.oid = m.amopfamily WHERE f.opfnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_amproc'::regclass, m.oid FROM pg_catalog.pg_amproc AS m
        JOIN pg_catalog.pg_opfamily AS f ON f.oid = m.amprocfamily WHERE f.opfnamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_constraint'::regclass, oid FROM pg_catalog.pg_constraint WHERE connamespace = %(oid)s
    UNION ALL SELECT 'pg_catalog.pg_namespace'::regclass, %(oid)s
), inside AS (
    SELECT * FROM everything EXCEPT SELECT * FROM carried
), dependents AS (
    SELECT d.classid, d.objid, d.refclassid, d.refobjid, coalesce(
        (SELECT relnamespace FROM pg_catalog.pg_class WHERE d.classid = 'pg_catalog.pg_class'::regclass AND oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
         WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid),
        (SELECT connamespace FROM pg_catalog.pg_constraint WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_attrdef AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.adrelid
         WHERE d.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
         WHERE d.classid = 'pg_catalog.pg_trigger'::regclass AND t.oid = d.objid),
        (SELECT c.relnamespace FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
         WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid),
        (SELECT stxnamespace FROM pg_catalog.pg_statistic_ext WHERE d.classid = 'pg_catalog.pg_statistic_ext'::regclass AND oid = d.objid),
        (SELECT pronamespace FROM pg_catalog.pg_proc WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND oid = d.objid),
        (SELECT typnamespace FROM pg_catalog.pg_type WHERE d.classid = 'pg_catalog.pg_type'::regclass AND oid = d.objid),
        (SELECT oprnamespace FROM pg_catalog.pg_operator WHERE d.classid = 'pg_catalog.pg_operator'::regclass AND oid = d.objid)
    ) AS namespace
    FROM pg_catalog.pg_depend AS d
    JOIN inside AS i ON i.classid = d.refclassid AND i.oid = d.refobjid
    WHERE d.deptype IN ('n', 'a')
      -- A schema's own objects hang on it, and so do its default privileges; of the rest, publications count.
      AND (d.refclassid <> 'pg_catalog.pg_namespace'::regclass OR d.classid = 'pg_catalog.pg_publication_namespace'::regclass)
)
SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM dependents AS d
WHERE (d.namespace IS DISTINCT FROM %(oid)s
       OR EXISTS (SELECT FROM carried AS c WHERE c.classid = d.classid AND c.oid = d.objid))
  AND NOT EXISTS (SELECT FROM inside AS i WHERE i.classid = d.classid AND i.oid = d.objid)
  -- Citus hides its shards in pg_class, but not what belongs to them.
  AND NOT (d.namespace IS NULL
           AND d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_attrdef'::regclass,
                             'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass,
                             'pg_catalog.pg_rewrite'::regclass))
  -- A foreign key to a partitioned table has one of its own for each partition, which comes and goes with it.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                  WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid AND k.conparentid <> 0)

-- name: dependents_described
-- What depends on something, which is so given, and on what, for people.
SELECT DISTINCT d.classid::regclass::text, d.objid::bigint, o.type, o.identity, r.type, r.identity
FROM ({dependents}) AS d
-- A view depends by its rule, which nobody knows by name.
LEFT JOIN pg_catalog.pg_rewrite AS w
    ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN',
     pg_catalog.pg_identify_object(
         CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END,
         coalesce(w.ev_class, d.objid), 0) AS o,
     pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) AS r
ORDER BY o.type, o.identity

-- name: outside_parents
-- Tables of this schema that inherit from one outside, or are partitions of one, with that one.
SELECT c.relname, n.nspname, p.relname
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.relnamespace
WHERE c.relnamespace = %(oid)s AND p.relnamespace <> %(oid)s
ORDER BY 1, 2, 3

-- name: relations_everywhere
SELECT c.oid::bigint, n.nspname, c.relname
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.oid >= 16384 -- below are the server's own

-- name: changed_relations
-- Of these relations, those that this transaction has dropped, replaced or altered.
SELECT DISTINCT relation::bigint FROM pg_catalog.pg_locks
WHERE pid = pg_catalog.pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock'
  AND relation = ANY (%(oids)s::oid[])
ORDER BY 1

-- name: owners_of
-- The statements that give what a schema holds the owners of what is called the same in another one.
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
  -- A sequence that a column owns has the table's owner always.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE own.relkind = 'S' AND d.objid = own.oid
                  AND d.classid = 'pg_catalog.pg_class'::regclass AND d.deptype IN ('a', 'i'))
UNION ALL
SELECT 'ALTER ' || CASE own.prokind WHEN 'a' THEN 'AGGREGATE ' ELSE 'ROUTINE ' END || own.oid::regprocedure
       || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(other.proowner))
FROM pg_catalog.pg_proc AS own
JOIN pg_catalog.pg_proc AS other ON other.proname = own.proname
    AND pg_catalog.pg_get_function_identity_arguments(other.oid) = pg_catalog.pg_get_function_identity_arguments(own.oid)
WHERE own.pronamespace = %(own)s AND other.pronamespace = %(other)s AND own.proowner <> other.proowner

-- name: says_more
-- Comments and labels are looked for by OID alone: one of another catalog's object of the same number is no harm.
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

-- name: securing
SELECT 'ALTER TABLE ' || own.oid::regclass || statement
FROM pg_catalog.pg_class AS own
JOIN pg_catalog.pg_class AS other ON other.relname = own.relname AND other.relkind = own.relkind,
     LATERAL (VALUES (' ENABLE ROW LEVEL SECURITY', other.relrowsecurity AND NOT own.relrowsecurity),
                     (' FORCE ROW LEVEL SECURITY', other.relforcerowsecurity AND NOT own.relforcerowsecurity)
     ) AS s(statement, wanted)
WHERE own.relnamespace = %(own)s AND other.relnamespace = %(other)s AND s.wanted

-- name: unsecured
-- The row-level security and the policies of live's tables that the tables of the same name of a release lack.
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
-- What depends on a table or a view, but for what belongs to it.
SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM pg_catalog.pg_depend AS d
WHERE d.deptype = 'n' AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = %(relation)s
  -- A view's own rule names it before PostgreSQL 16.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_rewrite AS r
                  WHERE d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid AND r.ev_class = d.refobjid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_policy AS p
                  WHERE d.classid = 'pg_catalog.pg_policy'::regclass AND p.oid = d.objid AND p.polrelid = d.refobjid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                  WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid AND k.conrelid = d.refobjid)

-- name: followers
-- Of these objects, those that one statement makes again in their place, with the relation that they belong to and the
-- statements. What is given to whom, and the comments, stay as they are.
WITH wanted AS (
    SELECT * FROM unnest(%(catalogs)s::regclass[], %(oids)s::oid[]) AS w(classid, oid)
), found(classid, oid, relation, statements) AS (
    -- Options that are not named again would be reset, security_invoker among them.
    SELECT w.classid, w.oid, c.oid, ARRAY['CREATE OR REPLACE VIEW ' || c.oid::regclass
               || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '')
               || ' AS ' || rtrim(pg_catalog.pg_get_viewdef(c.oid), ';')]
    FROM wanted AS w
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = w.oid AND w.classid = 'pg_catalog.pg_rewrite'::regclass
    JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'v'
    WHERE r.rulename = '_RETURN'
    UNION ALL
    SELECT w.classid, w.oid, NULL, ARRAY[rtrim(pg_catalog.pg_get_functiondef(p.oid), E'\n')]
    FROM wanted AS w
    JOIN pg_catalog.pg_proc AS p ON p.oid = w.oid AND w.classid = 'pg_catalog.pg_proc'::regclass
    WHERE p.prosqlbody IS NOT NULL AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT w.classid, w.oid, t.tgrelid, ARRAY[
               regexp_replace(pg_catalog.pg_get_triggerdef(t.oid), '^CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER')]
           || CASE t.tgenabled WHEN 'O' THEN '{{}}'::text[] ELSE ARRAY['ALTER TABLE ' || t.tgrelid::regclass
                  || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
                  || ' TRIGGER ' || quote_ident(t.tgname)] END
    FROM wanted AS w
    JOIN pg_catalog.pg_trigger AS t ON t.oid = w.oid AND w.classid = 'pg_catalog.pg_trigger'::regclass
    JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid AND c.relkind IN ('r', 'v')
    WHERE NOT t.tgisinternal AND t.tgconstraint = 0
    UNION ALL
    SELECT w.classid, w.oid, p.polrelid, ARRAY['ALTER POLICY ' || quote_ident(p.polname) || ' ON ' || p.polrelid::regclass
               || coalesce(' USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', '')
               || coalesce(' WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')]
    FROM wanted AS w
    JOIN pg_catalog.pg_policy AS p ON p.oid = w.oid AND w.classid = 'pg_catalog.pg_policy'::regclass
    UNION ALL
    SELECT w.classid, w.oid, d.adrelid, ARRAY['ALTER TABLE ' || d.adrelid::regclass || ' ALTER COLUMN ' || quote_ident(a.attname)
               || ' SET DEFAULT ' || pg_catalog.pg_get_expr(d.adbin, d.adrelid)]
    FROM wanted AS w
    JOIN pg_catalog.pg_attrdef AS d ON d.oid = w.oid AND w.classid = 'pg_catalog.pg_attrdef'::regclass
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated = ''
)
SELECT f.classid::regclass::text, f.oid::bigint, c.oid::bigint, n.nspname, c.relname, c.relkind::text,
       pg_catalog.pg_get_userbyid(c.relowner), f.statements
FROM found AS f
LEFT JOIN pg_catalog.pg_class AS c ON c.oid = f.relation
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
ORDER BY c.oid, f.oid

-- name: publications
-- The publications with one of these members, each with the statement that gives it all of its members again, by name.
SELECT p.pubname, EXISTS (SELECT FROM pg_catalog.pg_publication_namespace AS s WHERE s.pnpubid = p.oid),
       'ALTER PUBLICATION ' || quote_ident(p.pubname) || ' SET ' || (
           SELECT string_agg(member, ', ') FROM (
               SELECT 'TABLE ONLY ' || r.prrelid::regclass
                      || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum)
                                           FROM pg_catalog.pg_attribute AS a
                                           WHERE a.attrelid = r.prrelid AND a.attnum = ANY (r.prattrs)) || ')', '')
                      || coalesce(' WHERE (' || pg_catalog.pg_get_expr(r.prqual, r.prrelid) || ')', '')
               FROM pg_catalog.pg_publication_rel AS r WHERE r.prpubid = p.oid
               UNION ALL
               SELECT 'TABLES IN SCHEMA ' || quote_ident(n.nspname)
               FROM pg_catalog.pg_publication_namespace AS s JOIN pg_catalog.pg_namespace AS n ON n.oid = s.pnnspid
               WHERE s.pnpubid = p.oid) AS members(member))
FROM pg_catalog.pg_publication AS p
WHERE p.oid IN (SELECT prpubid FROM pg_catalog.pg_publication_rel WHERE oid = ANY (%(members)s::oid[])
                UNION SELECT pnpubid FROM pg_catalog.pg_publication_namespace WHERE oid = ANY (%(members)s::oid[]))
ORDER BY p.pubname

-- name: outside_matviews
-- The materialized views whose rules these are: how one is made beside it, what is to be said of that one, and how the
-- two are exchanged. What is called `bluegreen …` is ours. Those with statistics objects or labels are left out.
WITH indexes AS (
    SELECT i.*, x.relname, 'bluegreen beside ' || i.indexrelid AS beside
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS x ON x.oid = i.indexrelid
)
SELECT r.oid::bigint, c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner),
       'CREATE MATERIALIZED VIEW ' || b.place
       || coalesce(' USING ' || quote_ident((SELECT amname FROM pg_catalog.pg_am WHERE oid = c.relam)), '')
       || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '')
       || coalesce(' TABLESPACE ' || quote_ident((SELECT spcname FROM pg_catalog.pg_tablespace WHERE oid = c.reltablespace)), '')
       || ' AS ' || rtrim(pg_catalog.pg_get_viewdef(c.oid), ';') || ' WITH NO DATA',
       ARRAY['ALTER MATERIALIZED VIEW ' || b.place || ' OWNER TO ' || quote_ident(pg_catalog.pg_get_userbyid(c.relowner))]
       || ARRAY(SELECT 'ALTER MATERIALIZED VIEW ' || b.place || ' ALTER COLUMN ' || quote_ident(attname)
                       || ' SET STATISTICS ' || attstattarget
                FROM pg_catalog.pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND attstattarget >= 0)
       || CASE WHEN c.relispopulated THEN ARRAY['REFRESH MATERIALIZED VIEW ' || b.place] ELSE '{{}}' END
       || ARRAY(SELECT 'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || quote_ident(i.beside)
                       || ' ON ' || b.place || substr(pg_catalog.pg_get_indexdef(i.indexrelid), 1 + length(
                           'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                           || quote_ident(i.relname) || ' ON ' || c.oid::regclass)) FROM indexes AS i WHERE i.indrelid = c.oid)
       || ARRAY(SELECT 'ALTER MATERIALIZED VIEW ' || b.place || ' CLUSTER ON ' || quote_ident(i.beside)
                FROM indexes AS i WHERE i.indrelid = c.oid AND i.indisclustered)
       || ARRAY(SELECT 'COMMENT ON INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(i.beside) || ' IS '
                       || quote_literal(pg_catalog.obj_description(i.indexrelid, 'pg_class'))
                FROM indexes AS i WHERE i.indrelid = c.oid AND pg_catalog.obj_description(i.indexrelid, 'pg_class') IS NOT NULL)
       || ARRAY(SELECT 'COMMENT ON ' || CASE d.objsubid WHEN 0 THEN 'MATERIALIZED VIEW ' || b.place
                           ELSE 'COLUMN ' || b.place || '.' || quote_ident(a.attname) END || ' IS ' || quote_literal(d.description)
                FROM pg_catalog.pg_description AS d
                LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid
                WHERE d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass)
       -- What default privileges have given to the one beside is taken back.
       || ARRAY(SELECT DISTINCT 'REVOKE ALL ON ' || b.place || ' FROM ' || CASE x.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END
                FROM pg_catalog.pg_default_acl AS f, aclexplode(f.defaclacl) AS x
                WHERE f.defaclobjtype = 'r' AND f.defaclnamespace IN (0, n.oid))
       || ARRAY(SELECT 'GRANT ' || x.privilege_type || ' ON ' || b.place || ' TO ' || CASE x.grantee WHEN 0 THEN 'PUBLIC'
                           ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END
                       || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                FROM aclexplode(c.relacl) AS x)
       || ARRAY(SELECT 'GRANT ' || x.privilege_type || ' (' || quote_ident(a.attname) || ') ON ' || b.place || ' TO '
                       || CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END
                       || CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END
                FROM pg_catalog.pg_attribute AS a, aclexplode(a.attacl) AS x WHERE a.attrelid = c.oid)
       || ARRAY['ANALYZE ' || b.place],
       ARRAY['ALTER MATERIALIZED VIEW ' || c.oid::regclass || ' RENAME TO ' || quote_ident('bluegreen outgoing ' || c.oid),
             'ALTER MATERIALIZED VIEW ' || b.place || ' RENAME TO ' || quote_ident(c.relname)],
       ARRAY['DROP MATERIALIZED VIEW ' || quote_ident(n.nspname) || '.' || quote_ident('bluegreen outgoing ' || c.oid)]
       || ARRAY(SELECT 'ALTER INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(i.beside) || ' RENAME TO '
                       || quote_ident(i.relname) FROM indexes AS i WHERE i.indrelid = c.oid),
       'DROP MATERIALIZED VIEW IF EXISTS ' || b.place
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'm'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,
     LATERAL (SELECT quote_ident(n.nspname) || '.' || quote_ident('bluegreen beside ' || c.oid)) AS b(place)
WHERE r.oid = ANY (%(rules)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext AS s WHERE s.stxrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_seclabel AS l WHERE l.objoid = c.oid AND l.classoid = 'pg_catalog.pg_class'::regclass)
ORDER BY c.oid

-- name: matviews_reading
-- The filled materialized views that read from one of these views, over others too, and whether they can be refreshed
-- without being in the way of their readers.
WITH RECURSIVE reading(oid) AS (
    SELECT unnest(%(views)s::oid[])
    UNION
    SELECT r.ev_class
    FROM reading
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = reading.oid
        AND d.classid = 'pg_catalog.pg_rewrite'::regclass
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
)
SELECT n.nspname, c.relname, EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = c.oid AND i.indisunique
                                     AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL)
FROM reading JOIN pg_catalog.pg_class AS c ON c.oid = reading.oid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated
ORDER BY c.oid

-- name: is_superuser
SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user

-- name: keys
-- The foreign keys among these constraints, or those that lead from a schema's own tables into others, with what ADD
-- CONSTRAINT has to say again.
SELECT k.oid::bigint, c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner),
       jsonb_build_object(
           'table', c.relname, 'name', k.conname, 'definition', pg_catalog.pg_get_constraintdef(k.oid),
           'validated', k.convalidated, 'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'),
           'columns', (SELECT jsonb_agg(a.attname ORDER BY p.position) FROM unnest(k.conkey) WITH ORDINALITY AS p(number, position)
                       JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.number),
           'parent', t.relname,
           'parent_columns', (SELECT jsonb_agg(a.attname ORDER BY p.position)
                              FROM unnest(k.confkey) WITH ORDINALITY AS p(number, position)
                              JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = p.number),
           'nullable', NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                                   WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) AND a.attnotnull))
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_class AS t ON t.oid = k.confrelid
WHERE k.contype = 'f' AND k.conparentid = 0 AND c.relkind = 'r'
  AND (k.oid = ANY (%(oids)s::oid[])
       OR k.connamespace = %(schema)s AND k.confrelid = ANY (%(into)s::oid[]) AND k.conrelid <> ALL (%(into)s::oid[]))
ORDER BY k.oid

-- name: carry
INSERT INTO bluegreen.carried_table (release_id, table_name)
SELECT {id}, unnest({tables}::text[]) ON CONFLICT DO NOTHING

-- name: carried_tables
SELECT table_name FROM bluegreen.carried_table WHERE release_id = %(id)s ORDER BY 1

-- name: keep_key
INSERT INTO bluegreen.carried_key (release_id, table_name, name, key) VALUES ({id}, {table}, {name}, {key})

-- name: keep_no_keys
DELETE FROM bluegreen.carried_key WHERE release_id = {id}

-- name: carried_keys
SELECT key FROM bluegreen.carried_key WHERE release_id = %(id)s ORDER BY table_name, name

-- name: keep_unvalidated
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

-- name: forget_validated
DELETE FROM bluegreen.unvalidated_key AS u
WHERE u.live_schema = %(schema)s AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_namespace AS n
    JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = u.table_name
    JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.conname = u.name AND NOT k.convalidated
    WHERE n.nspname = u.schema_name)

-- name: count_orphans
SELECT count(*) FROM {child} AS o
WHERE {all_given} AND NOT EXISTS (SELECT FROM {parent} AS i WHERE {equal})

-- name: delete_orphans
DELETE FROM {child} AS o
WHERE {all_given} AND NOT EXISTS (SELECT FROM {parent} AS i WHERE {equal})

-- name: null_orphans
UPDATE {child} AS o SET {nulls}
WHERE {all_given} AND NOT EXISTS (SELECT FROM {parent} AS i WHERE {equal})

-- name: ledger_exists
-- Not to_regclass: it may answer from before a lock was waited for, out of the session's cache.
-- Its schema with the owner, and whether this role may read and write it.
SELECT n.oid::bigint, pg_catalog.pg_get_userbyid(n.nspowner),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND bool_and(pg_catalog.has_table_privilege(c.oid, 'SELECT')),
       pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND bool_and(
           pg_catalog.has_table_privilege(c.oid, 'INSERT') AND pg_catalog.has_table_privilege(c.oid, 'UPDATE'))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'bluegreen' AND c.relkind = 'r'
GROUP BY n.oid, n.nspowner
HAVING bool_or(c.relname = 'ledger')

-- name: ledger_version
SELECT version FROM bluegreen.ledger

-- name: ledger_set_version
UPDATE bluegreen.ledger SET version = %(version)s

-- name: ledger_is_protected
SELECT protected FROM bluegreen.ledger

-- name: ledger_protect
UPDATE bluegreen.ledger SET protected = %(protected)s

-- name: releases
-- A ledger of an older version, which may be read without being migrated, has no release that is open.
SELECT id, live_schema, number, status, origin, schema_oid::bigint, base_oid::bigint, structure, created_at, created_by,
       ready_at, promoted_at, retired_at, failure,
       (SELECT until FROM (SELECT (to_jsonb(r) ->> 'open_until')::timestamptz) AS o(until) WHERE until > clock_timestamp()
        AND r.status = 'loading') AS open_until
FROM bluegreen.release AS r
WHERE live_schema = %(schema)s
ORDER BY number

-- name: open_for_parts
UPDATE bluegreen.release
SET open_until = clock_timestamp() + pg_catalog.make_interval(secs => %(seconds)s), put_off = %(put_off)s
WHERE id = %(id)s

-- name: keep_open
-- Until the transaction ends, nobody can close it.
SELECT FROM bluegreen.release
WHERE id = %(id)s AND status = 'loading' AND open_until > clock_timestamp() FOR KEY SHARE

-- name: what_was_put_off
-- Not to be had while a part is under way.
SELECT put_off FROM bluegreen.release
WHERE id = %(id)s AND status = 'loading' AND open_until > clock_timestamp() FOR UPDATE NOWAIT

-- name: close
UPDATE bluegreen.release SET open_until = NULL, put_off = NULL WHERE id = %(id)s

-- name: take_part
-- Where another session is at the same part, this waits to see what becomes of it.
INSERT INTO bluegreen.part (release_id, table_name, part) VALUES (%(id)s, %(table)s, %(key)s)
ON CONFLICT (release_id, table_name, part) DO NOTHING

-- name: fill_part
UPDATE bluegreen.part
SET files = %(files)s, rows = %(rows)s, bytes = %(bytes)s, seconds = %(seconds)s, at = clock_timestamp()
WHERE release_id = %(id)s AND table_name = %(table)s AND part = %(key)s

-- name: parts
SELECT table_name, part, files, rows, bytes, seconds
FROM bluegreen.part WHERE release_id = %(id)s ORDER BY table_name, part

-- name: part
SELECT table_name, part, files, rows, bytes, seconds
FROM bluegreen.part WHERE release_id = %(id)s AND table_name = %(table)s AND part = %(key)s

-- name: sessions_of_program
SELECT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.application_name = %(application)s AND a.xact_start IS NOT NULL
  AND a.pid <> pg_catalog.pg_backend_pid()
ORDER BY a.xact_start

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

-- name: old_snapshots
-- Sessions of this database whose snapshot is older than the load's end, where a row of the release is not frozen.
SELECT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM bluegreen.release AS r
JOIN pg_catalog.pg_stat_activity AS a
    ON a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
WHERE r.id = %(id)s
  -- Without pg_read_all_stats a role is not told what kind of backend another role's is.
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.backend_xmin IS NOT NULL
  AND pg_catalog.age(a.backend_xmin) > pg_catalog.age(r.loaded_xid::xid)
  AND EXISTS (SELECT FROM bluegreen.loaded_table AS t WHERE t.release_id = r.id AND NOT t.frozen)
ORDER BY a.xact_start

-- name: insert_source
INSERT INTO bluegreen.source (release_id, table_name, path, format, compression, bytes, sha256)
VALUES (%(id)s, %(table)s, %(path)s, %(format)s, %(compression)s, %(size)s, %(sha256)s)

-- name: insert_loaded_table
INSERT INTO bluegreen.loaded_table (release_id, table_name, files, rows, bytes, seconds, frozen, rejected, rejects)
VALUES (%(id)s, %(table)s, %(files)s, %(rows)s, %(bytes)s, %(seconds)s, %(frozen)s, %(rejected)s, %(rejects)s)

-- name: insert_stage
-- The load does not wait until it is on disk.
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

-- name: insert_check_result
INSERT INTO bluegreen.check_result (release_id, name, severity, status, failures, seconds, columns, sample, message)
VALUES (%(id)s, %(name)s, %(severity)s, %(status)s, %(failures)s, %(seconds)s, %(columns)s, %(sample)s, %(message)s)

-- name: begin_check
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT {snapshot}

-- name: check_settings
SELECT pg_catalog.set_config('search_path',
                             pg_catalog.quote_ident({schema}) || ', ' || pg_catalog.current_setting('search_path'), true),
       pg_catalog.set_config('statement_timeout', {timeout}, true)

-- name: types_to_store
SELECT CASE WHEN t.typnamespace = 'pg_catalog'::pg_catalog.regnamespace AND t.typtype <> 'p'
            THEN pg_catalog.format_type(t.oid, wanted.modifier) ELSE 'text' END
FROM unnest(%(types)s::oid[], %(modifiers)s::int[]) WITH ORDINALITY AS wanted(oid, modifier, place)
JOIN pg_catalog.pg_type AS t ON t.oid = wanted.oid
ORDER BY wanted.place

-- name: make_failures_schema
CREATE SCHEMA {schema};
COMMENT ON SCHEMA {schema} IS 'Offending rows of checks, made by bluegreen, dropped with the release.'

-- name: failures_schema
SELECT oid FROM pg_catalog.pg_namespace
WHERE nspname = %(schema)s
  AND pg_catalog.starts_with(pg_catalog.obj_description(oid, 'pg_namespace'), 'Offending rows of checks, made by bluegreen')

-- name: insert_event
INSERT INTO bluegreen.event (live_schema, number, kind, detail) VALUES (%(schema)s, %(number)s, %(kind)s, %(detail)s)

-- name: events
SELECT at, number, kind, by_role, detail FROM bluegreen.event WHERE live_schema = %(schema)s ORDER BY id

-- name: loaded_tables
SELECT table_name, files, rows, bytes, seconds, frozen, rejected, rejects
FROM bluegreen.loaded_table WHERE release_id = %(id)s ORDER BY table_name

-- name: all_loaded_tables
SELECT r.number, t.table_name, t.files, t.rows, t.bytes, t.seconds, t.frozen, t.rejected, t.rejects
FROM bluegreen.loaded_table AS t JOIN bluegreen.release AS r ON r.id = t.release_id
WHERE r.live_schema = %(schema)s AND r.number = ANY (%(numbers)s)
ORDER BY r.number, t.table_name

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
SELECT table_name, done, total FROM bluegreen.reading WHERE release_id = %(id)s ORDER BY total DESC NULLS LAST, table_name

-- name: work
-- Sessions that hold a lock on a relation of the schema, whatever program they are of, and those of the load itself. What
-- belongs to another role is null without pg_read_all_stats.
SELECT a.pid, a.usename,
       CASE WHEN c.pid IS NOT NULL THEN 'copy'
            WHEN i.pid IS NOT NULL THEN lower(i.command) || ', ' || i.phase
            WHEN n.pid IS NOT NULL THEN 'analyze, ' || n.phase
            WHEN v.pid IS NOT NULL THEN 'vacuum, ' || v.phase
            -- Settings come first in what pg_dump writes.
            WHEN a.state = 'active' THEN left(regexp_replace(regexp_replace(a.query, '^(\s*SET [^;]*;)+\s*', ''),
                                                             '\s+', ' ', 'g'), 44)
            ELSE a.state END,
       coalesce(r.relname, o.relname),
       c.tuples_processed,
       CASE WHEN i.phase ~ 'scanning table$' AND i.blocks_total > 0 THEN i.blocks_done::float8 / i.blocks_total
            WHEN i.phase ~ 'loading tuples in tree$' AND i.tuples_total > 0 THEN i.tuples_done::float8 / i.tuples_total
       END,
       CASE WHEN a.state = 'active' THEN extract(epoch FROM clock_timestamp() - a.query_start)::float8 END
FROM pg_catalog.pg_stat_activity AS a
LEFT JOIN pg_catalog.pg_stat_progress_copy AS c ON c.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_create_index AS i ON i.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_analyze AS n ON n.pid = a.pid
LEFT JOIN pg_catalog.pg_stat_progress_vacuum AS v ON v.pid = a.pid
LEFT JOIN pg_catalog.pg_class AS r ON r.oid = coalesce(c.relid, i.relid, n.relid, v.relid)
LEFT JOIN LATERAL (
    -- Not what it only looks at: the strongest lock is on what it is at.
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

-- name: latest_checks
SELECT name, NULL AS "table", severity, status, failures, seconds, columns, sample, message
FROM (SELECT DISTINCT ON (name) * FROM bluegreen.check_result
      WHERE release_id = %(id)s ORDER BY name, id DESC) AS latest
ORDER BY id

-- name: replaced_by
-- The release that was live when this one was last promoted: what rollback goes back to.
SELECT from_release FROM bluegreen.cutover
WHERE to_release = %(id)s AND direction = 'promote'
ORDER BY committed_at DESC LIMIT 1

-- name: cutovers
SELECT c.live_schema, c.direction, t.number, f.number, c.committed_at, c.held, c.tries, c.waited, c.by_role, c.token,
       c.via, c.lsn::text
FROM bluegreen.cutover AS c
JOIN bluegreen.release AS t ON t.id = c.to_release
LEFT JOIN bluegreen.release AS f ON f.id = c.from_release
WHERE c.live_schema = %(schema)s
ORDER BY c.committed_at

-- name: measure_cutover
-- What is written by now holds the cut-over, and hardly more.
UPDATE bluegreen.cutover SET held = coalesce(%(held)s, held), lsn = coalesce(lsn, pg_catalog.pg_current_wal_insert_lsn())
WHERE token = %(token)s

-- name: definition
-- Everything that makes up a schema's definition, by OID, each with a digest: read from the catalogs alone, so that no
-- lock on a table is needed. What belongs to a carried table is left out: {carried} are their OIDs, those of their
-- indexes and sequences included.
SELECT 'schema' AS kind, oid, nspname::text AS name, md5(ROW(nspowner, nspacl)::text) AS digest
FROM pg_catalog.pg_namespace WHERE oid = {oid}
UNION ALL
SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'i' THEN 'index' WHEN 'S' THEN 'sequence' ELSE 'table' END, oid, relname,
       md5(ROW(relkind, relowner, relacl, reloptions, relrowsecurity, relforcerowsecurity, relreplident)::text)
FROM pg_catalog.pg_class WHERE relnamespace = {oid} AND relkind <> 't' AND oid <> ALL ({carried}::oid[])
UNION ALL
SELECT 'columns of', c.oid, c.relname, md5(string_agg(ROW(a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attacl,
       a.attidentity, a.attgenerated, a.attisdropped, pg_catalog.col_description(c.oid, a.attnum))::text, '' ORDER BY a.attnum))
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
WHERE c.relnamespace = {oid} AND c.relkind NOT IN ('t', 'i', 'I', 'S') AND c.oid <> ALL ({carried}::oid[]) GROUP BY c.oid, c.relname
UNION ALL
SELECT 'default of', d.oid, c.relname, md5(d.adbin::text)
FROM pg_catalog.pg_attrdef AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.adrelid
WHERE c.relnamespace = {oid} AND c.oid <> ALL ({carried}::oid[])
UNION ALL
SELECT 'constraint', oid, conname, md5(ROW(contype, condeferrable, condeferred, convalidated, conkey, confrelid, confkey,
       conbin::text)::text)
FROM pg_catalog.pg_constraint WHERE connamespace = {oid} AND conrelid <> ALL ({carried}::oid[])
UNION ALL
SELECT 'rule of', r.oid, c.relname, md5(ROW(r.ev_type, r.ev_enabled, r.is_instead, r.ev_qual::text, r.ev_action::text)::text)
FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class WHERE c.relnamespace = {oid}
UNION ALL
SELECT 'trigger', t.oid, t.tgname, md5(ROW(t.tgfoid, t.tgtype, t.tgenabled, t.tgargs, t.tgqual::text)::text)
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = {oid} AND NOT t.tgisinternal AND c.oid <> ALL ({carried}::oid[])
UNION ALL
SELECT 'policy', p.oid, p.polname,
       md5(ROW(p.polcmd, p.polpermissive, p.polroles, p.polqual::text, p.polwithcheck::text)::text)
FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
WHERE c.relnamespace = {oid} AND c.oid <> ALL ({carried}::oid[])
UNION ALL
SELECT 'routine', oid, proname, md5(ROW(proowner, proacl, prosrc, prosqlbody::text, proconfig, prosecdef, provolatile)::text)
FROM pg_catalog.pg_proc WHERE pronamespace = {oid}
UNION ALL
SELECT 'type', oid, typname, md5(ROW(typowner, typacl, typnotnull, typdefault,
       (SELECT array_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = t.oid))::text)
FROM pg_catalog.pg_type AS t
WHERE typnamespace = {oid} AND typrelid <> ALL ({carried}::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_type AS e WHERE e.oid = t.typelem AND e.typrelid = ANY ({carried}::oid[]))
UNION ALL
SELECT 'default privileges', oid, pg_catalog.pg_get_userbyid(defaclrole), md5(ROW(defaclobjtype, defaclacl)::text)
FROM pg_catalog.pg_default_acl WHERE defaclnamespace = {oid}
UNION ALL
SELECT 'comment on', c.oid, c.relname, md5(d.description)
FROM pg_catalog.pg_description AS d JOIN pg_catalog.pg_class AS c ON c.oid = d.objoid AND d.objsubid = 0
WHERE d.classoid = 'pg_catalog.pg_class'::regclass AND c.relnamespace = {oid} AND c.oid <> ALL ({carried}::oid[])

-- name: objects
-- What a schema holds, by kind, table and name. What has a name that nobody chose (an index, a constraint) is called by
-- its definition, and the schema's own name is left out of that.
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
-- Estimates, of tables that were analyzed and that this role may read; of a partitioned one those of all its partitions.
SELECT c.relname, s.attname, s.null_frac
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_stats AS s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.inherited = (c.relkind = 'p')
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p') AND NOT c.relispartition

-- name: row_types
-- What the server compares before it goes on with a prepared statement: a type made anew in each release differs too.
SELECT c.relname, string_agg(concat_ws(' ', pg_catalog.quote_ident(a.attname), a.atttypid, a.atttypmod, a.attcollation), ','
                             ORDER BY a.attnum)
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
GROUP BY c.oid

-- name: remember_definition
INSERT INTO bluegreen.definition (release_id, kind, oid, name, digest)
SELECT {id}, kind, oid, name, digest FROM ({definition}) AS now

-- name: changed_definition
SELECT DISTINCT coalesce(old.kind, now.kind) || ' ' || coalesce(now.name, old.name)
FROM (SELECT * FROM bluegreen.definition WHERE release_id = {id}) AS old
FULL JOIN ({definition}) AS now ON now.kind = old.kind AND now.oid = old.oid
WHERE old.digest IS DISTINCT FROM now.digest OR old.name IS DISTINCT FROM now.name
ORDER BY 1

-- name: remember_writes
INSERT INTO bluegreen.write_count (release_id, table_oid, written)
SELECT %(id)s, c.oid, pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                      + pg_catalog.pg_stat_get_tuples_deleted(c.oid)
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'r'

-- name: written_since
SELECT c.relname, n.now - w.written
FROM bluegreen.write_count AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.table_oid,
LATERAL (SELECT pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                + pg_catalog.pg_stat_get_tuples_deleted(c.oid)) AS n(now)
WHERE w.release_id = %(id)s AND n.now > w.written
ORDER BY c.relname

-- name: open_writers
SELECT DISTINCT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p')
    AND c.relname <> ALL (%(carried)s::text[])
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock' AND a.pid <> pg_catalog.pg_backend_pid()

-- name: blockers
-- Who holds a lock on one of these relations that an exclusive lock has to wait for, or is changing one of the schemas.
SELECT DISTINCT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND (l.locktype = 'relation' AND l.relation = ANY (%(relations)s::oid[])
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       -- Whoever has replaced its row and not ended yet.
       OR l.locktype = 'transactionid'
       AND l.transactionid IN (SELECT n.xmax FROM pg_catalog.pg_namespace AS n WHERE n.oid = ANY (%(schemas)s::oid[])))
ORDER BY 6 DESC NULLS LAST

-- name: exclusive_holders
-- Who holds a lock on a relation of a schema that even a reader has to wait for.
SELECT DISTINCT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %(schema)s
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'

-- name: cancel
-- Only what runs in a transaction that old: by now the session may have gone on to something else.
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE CASE WHEN pid = %(pid)s AND state = 'active' AND backend_type = 'client backend'
                AND extract(epoch FROM clock_timestamp() - xact_start) >= %(age)s
           THEN pg_catalog.pg_cancel_backend(pid) END

-- name: deadlock_timeout
SELECT extract(epoch FROM pg_catalog.current_setting('deadlock_timeout')::interval)::float8

-- name: read_only
SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.current_setting('transaction_read_only')::boolean

-- name: lock_capacity
-- The server has room for some more than that.
SELECT current_setting('max_locks_per_transaction')::bigint
       * (current_setting('max_connections')::bigint + current_setting('max_prepared_transactions')::bigint)

-- name: locks_held
SELECT count(*) FROM pg_catalog.pg_locks WHERE NOT fastpath

-- name: locks_to_drop
-- Each object that goes with these schemas, once: DROP locks them one by one.
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
-- By the current transaction.
SELECT schemaname, relname FROM pg_catalog.pg_stat_xact_user_tables
WHERE n_tup_ins + n_tup_upd + n_tup_del > 0 AND schemaname <> %(schema)s AND schemaname !~ '^pg_'
ORDER BY schemaname, relname

-- name: referring_tables
-- Tables of a schema whose foreign keys refer to others of it.
SELECT DISTINCT c.relname, r.relname
FROM pg_catalog.pg_constraint AS k
JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
JOIN pg_catalog.pg_class AS r ON r.oid = k.confrelid
WHERE k.contype = 'f' AND c.relnamespace = %(oid)s AND r.relnamespace = %(oid)s AND k.conrelid <> k.confrelid

-- name: unvalidated_keys
SELECT c.relname, k.conname
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE k.connamespace = %(oid)s AND k.contype = 'f' AND NOT k.convalidated AND k.conparentid = 0
ORDER BY c.relpages DESC, k.conname

-- name: fingerprint
-- One value for the relations of a schema and what depends on them from anywhere: what a session can still change while
-- the cut-over waits for its locks. Read under them, and so by no more than hashing. What is replaced gets its rows in
-- pg_depend anew.
SELECT count(*) || ' ' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, relacl::text, reloptions), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = {oid}::oid AND relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    WHERE c.relnamespace = {oid}::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND d.deptype = 'n'
) AS found(hash)

-- name: inspected
-- One value for all that a cut-over inspects: what a schema is made of, and what depends on it from outside, by what the
-- statements that make it again would set back. Where a row is replaced by nothing but DDL, its xmin stands for it.
SELECT count(*) || ' ' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, nspowner, nspacl::text), 0) FROM pg_catalog.pg_namespace WHERE oid = {oid}::oid
    UNION ALL
    -- REFRESH, VACUUM FULL and TRUNCATE replace it too.
    SELECT hash_record_extended(ROW(oid, relname, relowner, relacl::text, reloptions, relrowsecurity, relforcerowsecurity), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(a.attrelid, a.attnum, a.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = {oid}::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_proc WHERE pronamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_type WHERE typnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_default_acl WHERE defaclnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(t.oid, t.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    WHERE c.relnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(p.oid, p.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_policy AS p ON p.polrelid = c.oid WHERE c.relnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(d.objoid, d.objsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass
    WHERE c.relnamespace = {oid}::oid
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.refobjid, d.refobjsubid, d.xmin, coalesce(
        (SELECT ROW(r.ev_enabled, v.reloptions)::text FROM pg_catalog.pg_rewrite AS r
         JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class
         WHERE r.oid = d.objid AND d.classid = 'pg_catalog.pg_rewrite'::regclass),
        (SELECT xmin::text FROM pg_catalog.pg_proc WHERE oid = d.objid AND d.classid = 'pg_catalog.pg_proc'::regclass),
        (SELECT xmin::text FROM pg_catalog.pg_trigger WHERE oid = d.objid AND d.classid = 'pg_catalog.pg_trigger'::regclass),
        (SELECT ROW(k.conname, k.condeferrable, k.condeferred,
                    pg_catalog.obj_description(k.oid, 'pg_constraint'))::text FROM pg_catalog.pg_constraint AS k
         WHERE k.oid = d.objid AND d.classid = 'pg_catalog.pg_constraint'::regclass))), 0)
    FROM (SELECT 'pg_catalog.pg_class'::regclass::oid, oid FROM pg_catalog.pg_class
          WHERE relnamespace = {oid}::oid AND relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
          UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, oid FROM pg_catalog.pg_proc WHERE pronamespace = {oid}::oid
          UNION ALL SELECT 'pg_catalog.pg_type'::regclass, oid FROM pg_catalog.pg_type WHERE typnamespace = {oid}::oid
          UNION ALL SELECT 'pg_catalog.pg_namespace'::regclass, {oid}::oid) AS own(classid, oid)
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = own.classid AND d.refobjid = own.oid
    WHERE d.deptype = 'n' AND d.refclassid <> 'pg_catalog.pg_namespace'::regclass
       OR d.classid IN ('pg_catalog.pg_publication_rel'::regclass, 'pg_catalog.pg_publication_namespace'::regclass)
) AS found(hash)

-- name: renaming
-- Held by every transaction that renames the live schema: two would fail with an internal error of the server.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bluegreen renaming ' || {schema}, 0))

-- name: follow_one_by_one
-- What stands in the way of one of them is told with its statement; a lock that was not to be had is tried again.
DECLARE
    statements CONSTANT text[] := {statements}::text[];
    current int := 0;
BEGIN
    FOR current_one IN 1 .. cardinality(statements) LOOP
        current := current_one;
        EXECUTE statements[current];
    END LOOP;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN RAISE;
    WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = {misfit}, MESSAGE = SQLERRM, DETAIL = statements[current];
END

-- name: lock_one_by_one
-- lock_timeout is the patience for all of the locks together, so that no reader waits for longer.
DECLARE
    deadline CONSTANT timestamptz := clock_timestamp() + pg_catalog.current_setting('lock_timeout')::interval;
    statements CONSTANT text[] := {statements}::text[];
    names CONSTANT text[] := {names}::text[];
    current int := 0;
BEGIN
    FOR current_one IN 1 .. cardinality(statements) LOOP
        current := current_one;
        PERFORM pg_catalog.set_config('lock_timeout', greatest(
            1, ceil(1000 * extract(epoch FROM deadline - clock_timestamp())))::int::text, true);
        EXECUTE statements[current];
    END LOOP;
EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, TABLE = names[current];
END

-- name: compare_schemas
BEGIN
    IF (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {live}) IS DISTINCT FROM {live_oid}::oid THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'live is not the schema that was inspected';
    END IF;
    IF (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = {incoming}) IS DISTINCT FROM {incoming_oid}::oid THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'the release''s schema is not where the ledger says';
    END IF;
END

-- name: compare
BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = {incoming_id} AND status = {incoming_status}) THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'the release has been moved by another run';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = {live} AND status = 'live')
        IS DISTINCT FROM {outgoing_id}::bigint THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'another release went live meanwhile';
    END IF;
    IF {live_oid}::oid IS NOT NULL AND {expected} <> ({found}) THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'live, or what hangs on it, was changed meanwhile';
    END IF;
END

-- name: other_readers
-- Sessions of this database that may read from it: not the server's own, nor those that send its log. Without
-- pg_read_all_stats a role is not told what kind another role's is.
SELECT a.pid, a.usename, a.application_name, a.client_addr::text, a.state,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8, left(a.query, 200)
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.pid <> ALL ({own}::int[])
  AND coalesce(a.backend_type, 'client backend') NOT IN ('walsender', 'parallel worker', 'autovacuum worker')
ORDER BY a.xact_start NULLS LAST, a.pid

-- name: still_held
-- Readers are held off until the commit, or the whole try is taken back and made again.
BEGIN
    IF clock_timestamp() > {until}::timestamptz THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'readers may have been let go on meanwhile';
    END IF;
    IF {alone} AND EXISTS ({others}) THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'a session has come that no pooler holds off';
    END IF;
END

-- name: retire
UPDATE bluegreen.release SET status = 'previous', retired_at = clock_timestamp() WHERE id = {id}

-- name: go_live
UPDATE bluegreen.release SET status = 'live', promoted_at = clock_timestamp(), retired_at = NULL WHERE id = {id}

-- name: insert_cutover
INSERT INTO bluegreen.cutover (token, live_schema, direction, to_release, from_release, tries, waited, via)
VALUES ({token}, {schema}, {direction}, {to}, {outgoing}, {tries}, {waited}, {via})

-- name: insert_cutover_event
INSERT INTO bluegreen.event (live_schema, number, kind, detail) VALUES ({schema}, {number}, {kind}, {detail})

-- name: notify
SELECT pg_catalog.pg_notify('bluegreen', {payload})

-- name: flush
-- Has this transaction's commit wait for the disk; what was committed before it is there then, too.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') = 'off'

-- name: search_path_into
-- The release's schema before the rest of the search path, without live: a name that it lacks must not lead there.
SELECT string_agg(pg_catalog.quote_ident(name), ', ' ORDER BY position)
FROM unnest(ARRAY[%(schema)s]::text[] || array_remove(pg_catalog.current_schemas(false)::text[], %(live)s))
     WITH ORDINALITY AS s(name, position)

-- name: may_create_database
SELECT rolcreatedb OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user

-- name: database_oid
SELECT oid::bigint FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()

-- name: create_like_this_database
-- The statement that makes an empty database that sorts and compares texts as this one does.
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

-- name: belonging_to_others
-- What of a schema belongs to roles whose rights this one does not have, and what ALTER calls it. Indexes, and the
-- sequences of columns, go with their tables, and what belongs to an extension with that.
SELECT pg_catalog.pg_get_userbyid(o.owner), o.kind, i.identity
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

-- name: following_others
-- The same of what follows a swap from other schemas: views by their rules, tables by their foreign keys, routines,
-- publications.
SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner), o.kind, i.identity
FROM (
    SELECT 'VIEW' AS kind, 'pg_catalog.pg_class'::regclass AS classid, c.oid, c.relowner AS owner
    FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
    WHERE r.oid = ANY (%(pg_rewrite)s::oid[])
    UNION ALL
    SELECT 'TABLE', 'pg_catalog.pg_class'::regclass, c.oid, c.relowner
    FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
    WHERE k.oid = ANY (%(pg_constraint)s::oid[])
    UNION ALL
    SELECT 'ROUTINE', 'pg_catalog.pg_proc'::regclass, p.oid, p.proowner
    FROM pg_catalog.pg_proc AS p WHERE p.oid = ANY (%(pg_proc)s::oid[])
    UNION ALL
    SELECT 'PUBLICATION', 'pg_catalog.pg_publication'::regclass, p.oid, p.pubowner
    FROM pg_catalog.pg_publication_rel AS t JOIN pg_catalog.pg_publication AS p ON p.oid = t.prpubid
    WHERE t.oid = ANY (%(pg_publication_rel)s::oid[])
) AS o, LATERAL pg_catalog.pg_identify_object(o.classid, o.oid, 0) AS i
WHERE NOT pg_catalog.pg_has_role(o.owner, 'USAGE')
ORDER BY 2, 3

-- name: places_of_followers
-- The privileges that this role lacks on schemas where something follows: views and routines are made again there.
SELECT n.nspname, concat_ws(', ', CASE WHEN NOT n.usage THEN 'USAGE' END, CASE WHEN NOT n.making THEN 'CREATE' END)
FROM (
    SELECT n.nspname, pg_catalog.has_schema_privilege(n.oid, 'USAGE') AS usage,
           pg_catalog.has_schema_privilege(n.oid, 'CREATE') OR NOT bool_or(o.made) AS making
    FROM (
        SELECT c.relnamespace, true FROM pg_catalog.pg_rewrite AS r JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class
        WHERE r.oid = ANY (%(pg_rewrite)s::oid[])
        UNION ALL
        SELECT pronamespace, true FROM pg_catalog.pg_proc WHERE oid = ANY (%(pg_proc)s::oid[])
        UNION ALL
        SELECT c.relnamespace, false FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
        WHERE k.oid = ANY (%(pg_constraint)s::oid[])) AS o(place, made)
    JOIN pg_catalog.pg_namespace AS n ON n.oid = o.place
    GROUP BY n.oid, n.nspname) AS n
WHERE NOT (n.usage AND n.making)
ORDER BY 1

-- name: owners_without_create
-- Owners of a schema's objects who may not make such there, which is asked when its clone is given to them by anybody
-- but a superuser.
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
-- Superusers' rights are not for others, and nobody can be a member of the owner of the database by that name.
SELECT NOT rolsuper AND NOT pg_catalog.starts_with(rolname, 'pg_') FROM pg_catalog.pg_roles WHERE rolname = %(role)s

-- name: forced_policies
SELECT c.relname FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relforcerowsecurity
  AND NOT (SELECT rolbypassrls OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user)
ORDER BY 1

-- name: sees_others
-- Whether it is shown what sessions of other roles do, and may cancel that.
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
-- Servers that replay the log, and those that have a slot and are away; what receives the log and replays nothing
-- (pg_receivewal), a base backup and a subscriber are none. A role that may not look sees nothing but pids.
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
-- Where its data are, if the role may know it.
SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'

-- name: settings_in_force
SELECT name, pg_catalog.current_setting(name) FROM unnest(%(names)s::text[]) AS s(name)
WHERE pg_catalog.current_setting(name, true) IS NOT NULL

-- name: strange_schemas
-- Schemas called like releases, or like live while a load makes its structure.
SELECT nspname FROM pg_catalog.pg_namespace
WHERE pg_catalog.starts_with(nspname, %(schema)s || '__r') AND substr(nspname, length(%(schema)s) + 4) ~ '^[0-9]+$'
   OR pg_catalog.starts_with(nspname, 'bluegreen__parked_')
ORDER BY 1

-- name: scratch_databases
SELECT datname FROM pg_catalog.pg_database
WHERE pg_catalog.starts_with(datname, 'bluegreen__' || (
    SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) || '_')
ORDER BY 1

-- name: plain_tables
-- Tables that are neither partitions nor parents or children of others.
SELECT c.relname, c.oid::bigint FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'r'
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits AS i WHERE c.oid IN (i.inhrelid, i.inhparent))
ORDER BY c.relname

-- name: belongings
-- Tables of a schema, by name, with their indexes and the sequences that they own.
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

-- name: citus_version
SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'

-- name: citus_placements
-- Of the tables that Citus knows; one that it has taken up by itself, because of a foreign key, it takes up again.
SELECT c.relname,
       CASE WHEN p.partmethod = 'h' THEN 'hash' WHEN p.partmethod <> 'n' THEN p.partmethod::text
            WHEN p.repmodel = 't' THEN 'reference' WHEN p.colocationid <> 0 THEN 'single' ELSE 'local' END,
       CASE WHEN p.partmethod = 'h' THEN pg_catalog.column_to_column_name(p.logicalrelid, p.partkey) END
FROM pg_catalog.pg_dist_partition AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.logicalrelid
WHERE c.relnamespace = %(oid)s AND NOT c.relispartition AND NOT p.autoconverted
ORDER BY c.relname

-- name: citus_schema
SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_schema WHERE schemaid = %(oid)s)

-- name: citus_own_schemas
SELECT coalesce(json_agg(nspname ORDER BY nspname), '[]')::text FROM pg_catalog.pg_namespace
WHERE nspname = {schema}
   OR pg_catalog.starts_with(nspname, {schema} || '__r') AND substr(nspname, length({schema}) + 4) ~ '^[0-9]+$'

-- name: citus_send_settings
-- SET LOCAL goes along to the other nodes.
SELECT pg_catalog.set_config('citus.propagate_set_commands', 'local', false)

-- name: citus_ask_nodes
-- The coordinator has answered on this connection, and need not be able to log in to itself.
SELECT a.nodeid, a.success, a.result
FROM pg_catalog.run_command_on_all_nodes(%(command)s) AS a LEFT JOIN pg_catalog.pg_dist_node AS n USING (nodeid)
WHERE coalesce(n.groupid, 0) <> 0

-- name: citus_recover
SELECT pg_catalog.recover_prepared_transactions()
