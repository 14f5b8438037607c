-- What a schema is made of: one digest for each object, over whole rows of the catalogs.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: settings
-- Of a transaction that reads definitions: names are qualified, and compiling the query would take longer than running it.
SELECT pg_catalog.set_config('search_path', '', true), pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('lock_timeout', %(wait)s, true)

-- name: remember
INSERT INTO bluegreen.definition (release_id, kind, oid, name, digest)
SELECT {id}, kind, oid, name, digest FROM ({digests}) AS now

-- name: changed
-- By name: REINDEX CONCURRENTLY gives an index another OID.
SELECT DISTINCT kind, name
FROM (SELECT kind, name, digest FROM bluegreen.definition WHERE release_id = {id}) AS old
FULL JOIN ({digests}) AS now USING (kind, name)
WHERE old.digest IS DISTINCT FROM now.digest
ORDER BY kind, name

-- name: quoted
SELECT quote_ident(%(old)s), quote_ident(%(new)s)

-- name: inspection
SELECT ({inside}) || ' ' || ({outside})

-- name: digests
-- Returns the text of a query that returns kind, oid, name and digest of each object of a schema. The server's own list
-- of references between its catalogs says which catalogs belong to a schema and which columns hold OIDs, so a new
-- version adds its new columns and catalogs. A digest holds names instead of OIDs: a swap of another schema
-- changes OIDs only. What is left out is listed here, with the reason.
-- {renaming} is an expression over @, which writes names of a schema as another's.
-- {oid} is the schema; {left_out} are OIDs of relations that do not count; {quick} is for a comparison within minutes:
-- expressions are compared as the catalogs store them, which needs no lock on a relation.
WITH reference AS (
    SELECT f.fktable AS catalog, f.fkcols[1] AS name, f.pktable AS target, f.is_array AS many, a.attnum AS number
    FROM pg_catalog.pg_get_catalog_foreign_keys() AS f
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.fktable AND a.attname = f.fkcols[1]
    WHERE cardinality(f.fkcols) = 1
), numbered AS (
    -- Columns that hold numbers of columns of a relation, which is in another column.
    SELECT f.fktable AS catalog, f.fkcols[2] AS name, f.fkcols[1] AS relation, f.is_array AS many
    FROM pg_catalog.pg_get_catalog_foreign_keys() AS f
    WHERE f.pktable = 'pg_catalog.pg_attribute'::regclass AND cardinality(f.fkcols) = 2
), not_part(catalog) AS (VALUES
    -- Comments, labels, privileges and dependencies are joined to their objects below.
    ('pg_description'), ('pg_seclabel'), ('pg_init_privs'), ('pg_depend'), ('pg_shdepend'), ('pg_shdescription'), ('pg_shseclabel'),
    -- Statistics about rows.
    ('pg_statistic'), ('pg_statistic_ext_data'),
    -- Objects outside of all schemas that use a schema's objects: promote looks for dependents itself.
    ('pg_publication_namespace'), ('pg_publication_rel'), ('pg_subscription_rel'), ('pg_event_trigger'), ('pg_language'),
    ('pg_am'), ('pg_foreign_data_wrapper'), ('pg_extension')
), volatile(catalog, name) AS (VALUES
    -- Storage, and statistics about it.
    ('pg_class', 'relfilenode'), ('pg_class', 'relpages'), ('pg_class', 'reltuples'), ('pg_class', 'relallvisible'),
    ('pg_class', 'relallfrozen'), ('pg_class', 'relfrozenxid'), ('pg_class', 'relminmxid'), ('pg_class', 'relrewrite'),
    ('pg_class', 'relispopulated'),
    -- Hints that the server sets early and resets late; rows of other catalogs say the same.
    ('pg_class', 'relhasindex'), ('pg_class', 'relhasrules'), ('pg_class', 'relhastriggers'), ('pg_class', 'relhassubclass'),
    -- How far an index is built: an invalid index does not count.
    ('pg_index', 'indisvalid'), ('pg_index', 'indcheckxmin'), ('pg_index', 'indisready'), ('pg_index', 'indislive'),
    -- How rows are stored that are older than a column.
    ('pg_attribute', 'atthasmissing'), ('pg_attribute', 'attmissingval'), ('pg_attribute', 'attcacheoff'),
    -- pg_get_ruledef has it.
    ('pg_rewrite', 'ev_qual')
), catalog AS (
    SELECT DISTINCT r.catalog, c.relname AS name,
           (SELECT o.name FROM reference AS o
            WHERE o.catalog = r.catalog AND o.target = 'pg_catalog.pg_namespace'::regclass) AS namespace,
           -- The first column of type name, which is the object's.
           (SELECT a.attname FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid = r.catalog AND a.attnum > 0 AND a.atttypid = 'name'::regtype ORDER BY a.attnum LIMIT 1) AS label,
           (SELECT o.name FROM reference AS o WHERE o.catalog = r.catalog AND NOT o.many
                AND o.target = 'pg_catalog.pg_class'::regclass ORDER BY o.number LIMIT 1) AS relation,
           EXISTS (SELECT FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.catalog AND a.attname = 'oid') AS has_oid
    FROM (SELECT catalog FROM reference UNION SELECT target FROM reference) AS r
    JOIN pg_catalog.pg_class AS c ON c.oid = r.catalog
), source AS (
    -- Catalogs of objects that are in a schema, and of parts of these.
    SELECT c.*, p.catalog AS parent, p.name AS parent_name, p.label AS parent_label, p.namespace AS parent_namespace,
           o.name AS parent_column
    FROM catalog AS c
    LEFT JOIN LATERAL (
        SELECT o.name, o.target FROM reference AS o JOIN catalog AS t ON t.catalog = o.target
        WHERE c.namespace IS NULL AND o.catalog = c.catalog AND NOT o.many AND t.namespace IS NOT NULL
        ORDER BY o.number LIMIT 1) AS o ON true
    LEFT JOIN catalog AS p ON p.catalog = o.target
    WHERE (c.namespace IS NOT NULL OR p.catalog IS NOT NULL OR c.name = 'pg_namespace')
      AND NOT EXISTS (SELECT FROM not_part AS n WHERE n.catalog = c.name)
), alias(catalog, type) AS (VALUES
    ('pg_class', 'regclass'), ('pg_type', 'regtype'), ('pg_proc', 'regprocedure'), ('pg_collation', 'regcollation'),
    ('pg_namespace', 'regnamespace'), ('pg_operator', 'regoperator'), ('pg_ts_config', 'regconfig'),
    ('pg_ts_dict', 'regdictionary')
), naming AS (
    -- How to write the name of an object of a catalog; @ stands for its OID. The search path has to be empty.
    SELECT c.catalog, CASE
        WHEN c.name = 'pg_authid' THEN 'pg_catalog.pg_get_userbyid(@)'
        WHEN a.type IS NOT NULL THEN '@::oid::pg_catalog.' || a.type || '::text'
        ELSE '(SELECT ' || coalesce('x.' || c.namespace || '::pg_catalog.regnamespace || ''.'' || ', '') || 'x.' || c.label
            || ' FROM pg_catalog.' || c.name || ' AS x WHERE x.oid = @)' END AS written
    FROM catalog AS c LEFT JOIN alias AS a ON a.catalog = c.name
    WHERE c.label IS NOT NULL AND c.has_oid
), repeated(kind_of_relation, trigger_name) AS (VALUES (
    'CASE t.relkind WHEN ''v'' THEN ''view'' WHEN ''m'' THEN ''materialized view'' WHEN ''f'' THEN ''foreign table'' '
    'WHEN ''S'' THEN ''sequence'' WHEN ''c'' THEN ''type'' WHEN ''i'' THEN ''index'' WHEN ''I'' THEN ''index'' '
    'ELSE ''table'' END',
    -- Triggers of foreign keys have an OID in their names.
    'CASE WHEN t.tgisinternal THEN rtrim(t.tgname, ''_0123456789'') ELSE t.tgname::text END')
), privileged(catalog, kind, owner) AS (VALUES
    ('pg_class', 'CASE t.relkind WHEN ''S'' THEN ''s'' ELSE ''r'' END::"char"', 'relowner'),
    ('pg_proc', '''f''::"char"', 'proowner'), ('pg_type', '''T''::"char"', 'typowner'),
    ('pg_namespace', '''n''::"char"', 'nspowner')
), field AS (
    SELECT s.catalog, a.attnum AS number, CASE
        WHEN s.name = 'pg_class' AND a.attname = 'reltoastrelid'
            THEN '(SELECT x.reloptions FROM pg_catalog.pg_class AS x WHERE x.oid = t.reltoastrelid)'
        WHEN s.name = 'pg_trigger' AND a.attname = 'tgname'
            THEN k.trigger_name
        -- A copy has no dropped columns, so it numbers the others differently; it may grant in another order.
        WHEN s.name = 'pg_class' AND a.attname = 'relnatts' AND NOT {quick} THEN '0'
        WHEN s.name = 'pg_attribute' AND a.attname = 'attnum' AND NOT {quick}
            THEN 'rank() OVER (PARTITION BY t.attrelid ORDER BY t.attnum)'
        WHEN m.many AND NOT {quick}
            THEN 'ARRAY(SELECT coalesce(x.attname::text, u.number::text) FROM unnest(t.' || a.attname
                || '::int2[]) WITH ORDINALITY AS u(number, place) LEFT JOIN pg_catalog.pg_attribute AS x'
                || ' ON x.attrelid = t.' || m.relation || ' AND x.attnum = u.number ORDER BY u.place)'
        WHEN NOT m.many AND NOT {quick}
            THEN '(SELECT x.attname FROM pg_catalog.pg_attribute AS x WHERE x.attrelid = t.' || m.relation
                || ' AND x.attnum = t.' || a.attname || ')'
        -- Null means the built-in privileges, which a copy may have as a list.
        WHEN a.atttypid = 'aclitem[]'::regtype AND NOT {quick}
            THEN 'ARRAY(SELECT u::text FROM unnest(' || coalesce('coalesce(t.' || a.attname || ', pg_catalog.acldefault('
                || b.kind || ', t.' || b.owner || '))', 't.' || a.attname) || ') AS u ORDER BY 1)'
        -- Attaching the index of a partition sets it; the parent says what counts.
        WHEN s.name = 'pg_constraint' AND a.attname = 'connoinherit' AND NOT {quick}
            THEN 't.conparentid = 0 AND t.connoinherit'
        WHEN s.name = 'pg_trigger' AND a.attname = 'tgparentid' AND NOT {quick}
            THEN '(SELECT ' || replace(k.trigger_name, 't.', 'x.') || ' FROM pg_catalog.pg_trigger AS x WHERE x.oid = t.tgparentid)'
        -- REINDEX CONCURRENTLY loses the place in a statement where an expression was.
        WHEN a.atttypid = 'pg_node_tree'::regtype AND {quick} AND s.name = 'pg_index'
            THEN 'regexp_replace(t.' || a.attname || '::text, '':location -?[0-9]+'', '''', ''g'')'
        WHEN a.atttypid = 'pg_node_tree'::regtype AND NOT {quick} THEN CASE
            WHEN a.attname = 'ev_action' THEN 'pg_catalog.pg_get_ruledef(t.oid)'
            WHEN a.attname = 'tgqual' THEN 'CASE WHEN NOT t.tgisinternal THEN pg_catalog.pg_get_triggerdef(t.oid) END'
            WHEN a.attname = 'prosqlbody' THEN 'pg_catalog.pg_get_function_sqlbody(t.oid)'
            ELSE 'pg_catalog.pg_get_expr(t.' || a.attname || ', ' || CASE s.name WHEN 'pg_class' THEN 't.oid'
                     WHEN 'pg_index' THEN 't.indrelid' ELSE coalesce('t.' || s.relation, '0') END || ')' END
        WHEN n.written IS NULL OR {quick} AND r.target <> 'pg_catalog.pg_class'::regclass THEN 't.' || a.attname
        WHEN r.many THEN 'ARRAY(SELECT ' || replace(n.written, '@', 'u.oid') || ' FROM unnest(t.' || a.attname
            || ') WITH ORDINALITY AS u(oid, place) ORDER BY u.place)'
        ELSE replace(n.written, '@', 't.' || a.attname) END AS written
    FROM source AS s CROSS JOIN repeated AS k
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = s.catalog AND a.attnum > 0 AND NOT a.attisdropped
        AND a.attname <> 'oid'
    LEFT JOIN reference AS r ON r.catalog = s.catalog AND r.name = a.attname
    LEFT JOIN naming AS n ON n.catalog = r.target
    LEFT JOIN numbered AS m ON m.catalog = s.catalog AND m.name = a.attname
    LEFT JOIN privileged AS b ON b.catalog = s.name
    WHERE a.attname IS DISTINCT FROM s.namespace AND a.attname IS DISTINCT FROM s.parent_column
      AND NOT EXISTS (SELECT FROM volatile AS v WHERE v.catalog = s.name AND v.name = a.attname)
), word(catalog, kind) AS (VALUES
    ('pg_class', '''relation'''), ('pg_namespace', '''schema'''), ('pg_attribute', '''columns of'''),
    ('pg_attrdef', '''default of'''),
    ('pg_rewrite', 'CASE t.rulename WHEN ''_RETURN'' THEN ''query of'' ELSE ''rule'' END'), ('pg_proc', '''routine'''), ('pg_aggregate', '''routine'''),
    ('pg_range', '''type'''), ('pg_enum', '''type'''), ('pg_sequence', '''sequence'''), ('pg_index', '''index'''),
    ('pg_partitioned_table', '''table'''), ('pg_foreign_table', '''foreign table'''), ('pg_inherits', '''parents of'''),
    ('pg_default_acl', '''default privileges'''), ('pg_statistic_ext', '''statistics'''),
    ('pg_opclass', '''operator class'''), ('pg_opfamily', '''operator family'''), ('pg_amop', '''operator family'''),
    ('pg_amproc', '''operator family'''), ('pg_ts_config', '''text search configuration'''),
    ('pg_ts_config_map', '''text search configuration'''), ('pg_ts_dict', '''text search dictionary'''),
    ('pg_ts_parser', '''text search parser'''), ('pg_ts_template', '''text search template''')
), branch AS (
    SELECT s.name, 'SELECT ' || s.catalog::oid || '::oid AS classid, ' || CASE WHEN s.has_oid THEN 't.oid' ELSE 'p.oid' END || ' AS oid, '
        || CASE s.name WHEN 'pg_class' THEN k.kind_of_relation
               ELSE coalesce(w.kind, quote_literal(replace(substr(s.name, 4), '_', ' '))) END || ' AS kind, '
        || CASE WHEN s.name = 'pg_default_acl' THEN 'pg_catalog.pg_get_userbyid(t.defaclrole)'
                WHEN s.name = 'pg_trigger' THEN k.trigger_name || ' || '' on '' || p.relname'
                WHEN s.name = 'pg_rewrite'
                    THEN 'CASE t.rulename WHEN ''_RETURN'' THEN p.relname::text ELSE t.rulename || '' on '' || p.relname END'
                WHEN s.name = 'pg_policy' THEN 't.polname || '' on '' || p.relname'
                WHEN s.parent IS NOT NULL THEN 'p.' || s.parent_label || '::text'
                ELSE 't.' || s.label || '::text' END || ' AS name, ROW('
        || (SELECT string_agg(f.written, ', ' ORDER BY f.number) FROM field AS f WHERE f.catalog = s.catalog)
        || ')::text AS content FROM pg_catalog.' || s.name || ' AS t'
        || coalesce(' JOIN pg_catalog.' || s.parent_name || ' AS p ON p.oid = t.' || s.parent_column, '')
        || ' WHERE ' || CASE WHEN s.name = 'pg_namespace' THEN 't.oid'
                             ELSE coalesce('t.' || s.namespace, 'p.' || s.parent_namespace) END || ' = ' || {oid}::oid
        || CASE WHEN s.name = 'pg_class' THEN ' AND t.oid NOT IN (SELECT oid FROM left_out)'
                ELSE coalesce(' AND t.' || s.relation || ' NOT IN (SELECT oid FROM left_out)', '') END
        || CASE s.name WHEN 'pg_attribute' THEN ' AND t.attnum > 0' || CASE WHEN {quick} THEN '' ELSE ' AND NOT t.attisdropped' END
                -- Those of a key from outside are no part of the table that it refers to.
                WHEN 'pg_trigger' THEN ' AND (NOT t.tgisinternal OR EXISTS (SELECT FROM pg_catalog.pg_constraint AS k'
                    ' WHERE k.oid = t.tgconstraint AND k.connamespace = p.relnamespace'
                    ' AND k.conrelid NOT IN (SELECT oid FROM left_out)))'
                -- The row type of a relation, and the arrays of these, are parts of the relation.
                WHEN 'pg_type' THEN ' AND NOT EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.relkind <> ''c'''
                    ' AND c.oid IN (t.typrelid, (SELECT e.typrelid FROM pg_catalog.pg_type AS e WHERE e.oid = t.typelem)))'
                ELSE '' END AS written
    FROM source AS s CROSS JOIN repeated AS k LEFT JOIN word AS w ON w.catalog = s.name
)
SELECT 'WITH left_out(oid) AS (SELECT unnest(' || quote_literal({left_out}::oid[]::text) || '::oid[])'
    -- REINDEX CONCURRENTLY makes such for a while, and pg_dump leaves those out that a failed one has left.
    ' UNION SELECT i.indexrelid FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid'
    ' WHERE c.relkind = ''i'' AND NOT i.indisvalid AND c.relnamespace = ' || {oid}::oid || '), part AS MATERIALIZED ('
    || (SELECT string_agg(b.written, ' UNION ALL ' ORDER BY b.name) FROM branch AS b)
    || '), object AS (SELECT DISTINCT classid, oid, kind, name FROM part), found AS ('
    'SELECT oid, kind, name, content FROM part'
    ' UNION ALL SELECT o.oid, ''comment on '' || o.kind, o.name, ROW('
    || CASE WHEN {quick} THEN 'd.objsubid' ELSE '(SELECT x.attname FROM pg_catalog.pg_attribute AS x'
        ' WHERE x.attrelid = d.objoid AND x.attnum = d.objsubid AND d.objsubid > 0)' END || ', d.description)::text'
    ' FROM object AS o JOIN pg_catalog.pg_description AS d ON d.classoid = o.classid AND d.objoid = o.oid'
    ' UNION ALL SELECT o.oid, ''label of '' || o.kind, o.name, ROW(d.objsubid, d.provider, d.label)::text'
    ' FROM object AS o JOIN pg_catalog.pg_seclabel AS d ON d.classoid = o.classid AND d.objoid = o.oid'
    ' UNION ALL SELECT o.oid, o.kind, o.name, ROW(d.objsubid, d.privtype, d.initprivs)::text'
    ' FROM object AS o JOIN pg_catalog.pg_init_privs AS d ON d.classoid = o.classid AND d.objoid = o.oid'
    -- Those of objects that initdb made, such as public, never change.
    ' AND d.privtype <> ''i'''
    -- The column that owns a sequence, and extensions that an object belongs to or depends on; definitions have the rest.
    ' UNION ALL SELECT o.oid, o.kind, o.name, ROW(d.deptype, i.identity)::text'
    ' FROM object AS o JOIN pg_catalog.pg_depend AS d ON d.classid = o.classid AND d.objid = o.oid'
    ' AND (d.deptype IN (''x'', ''e'') OR d.deptype = ''a'' AND o.kind = ''sequence''),'
    ' pg_catalog.pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) AS i) '
    || CASE WHEN {quick} THEN
        'SELECT count(*) || '' '' || coalesce(sum(pg_catalog.hashtextextended(concat_ws('' '', kind, name, content), 0)::numeric), 0)'
        ' FROM found'
       ELSE 'SELECT kind, min(oid) AS oid, name COLLATE "C" AS name, md5(string_agg(content, '' '' ORDER BY content COLLATE "C")) AS digest'
        ' FROM (SELECT kind, oid, ' || replace({renaming}, '@', 'name') || ' AS name, ' || replace({renaming}, '@', 'content')
        || ' AS content FROM found) AS renamed GROUP BY kind, name COLLATE "C"' END

-- name: other_objects
-- Returns the text of a query for the objects of a schema in catalogs that catalog.objects does not know: kind, no table,
-- name. It is made from the server's own list of catalogs, as above.
SELECT string_agg(
    'SELECT i.type AS kind, NULL::text AS "table", replace(i.identity, quote_ident(n.nspname) || ''.'', '''') AS name'
    ' FROM pg_catalog.' || c.relname || ' AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.' || f.fkcols[1]
    || ', pg_catalog.pg_identify_object(t.tableoid, t.oid, 0) AS i WHERE n.oid = ' || %(oid)s::oid,
    ' UNION ALL ' ORDER BY c.relname)
FROM pg_catalog.pg_get_catalog_foreign_keys() AS f JOIN pg_catalog.pg_class AS c ON c.oid = f.fktable
WHERE f.pktable = 'pg_catalog.pg_namespace'::regclass
  AND c.relname NOT IN ('pg_class', 'pg_proc', 'pg_type', 'pg_constraint', 'pg_statistic_ext',
                        -- The release gets live's default privileges, publications follow, extensions are refused.
                        'pg_default_acl', 'pg_publication_namespace', 'pg_extension')
