-- What a cut-over inspects, and the statements that it sends.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: outside_dependents
-- The objects of other schemas that depend on an object of this schema, each with that object. The tables in `carried`
-- and their parts count as outside: they do not leave with the schema.
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
      -- A schema's own objects and default privileges depend on it; of the other dependents, publications count.
      AND (d.refclassid <> 'pg_catalog.pg_namespace'::regclass OR d.classid = 'pg_catalog.pg_publication_namespace'::regclass)
)
SELECT d.classid, d.objid, d.refclassid, d.refobjid FROM dependents AS d
WHERE (d.namespace IS DISTINCT FROM %(oid)s
       OR EXISTS (SELECT FROM carried AS c WHERE c.classid = d.classid AND c.oid = d.objid))
  AND NOT EXISTS (SELECT FROM inside AS i WHERE i.classid = d.classid AND i.oid = d.objid)
  -- Citus hides its shards in pg_class, but not their parts.
  AND NOT (d.namespace IS NULL
           AND d.classid IN ('pg_catalog.pg_class'::regclass, 'pg_catalog.pg_attrdef'::regclass,
                             'pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass,
                             'pg_catalog.pg_rewrite'::regclass))
  -- A foreign key to a partitioned table has a key for each partition, which is created and dropped with it.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k
                  WHERE d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid AND k.conparentid <> 0)

-- name: dependents_described
-- The names of dependents and of the objects that they depend on.
SELECT DISTINCT k.relname AS catalog, d.objid::bigint AS oid, o.type, o.identity, r.type AS on_type, r.identity AS on_identity
FROM ({dependents}) AS d
JOIN pg_catalog.pg_class AS k ON k.oid = d.classid
-- A view depends through its rule: name the view.
LEFT JOIN pg_catalog.pg_rewrite AS w
    ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = d.objid AND w.rulename = '_RETURN',
     pg_catalog.pg_identify_object(
         CASE WHEN w.oid IS NULL THEN d.classid ELSE 'pg_catalog.pg_class'::regclass END,
         coalesce(w.ev_class, d.objid), 0) AS o,
     pg_catalog.pg_identify_object(d.refclassid, d.refobjid, 0) AS r
ORDER BY o.type, o.identity

-- name: outside_parents
-- Tables of this schema with a parent (inheritance or partitioning) in another schema, each with that parent.
SELECT c.relname, n.nspname, p.relname
FROM pg_catalog.pg_inherits AS i
JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_class AS p ON p.oid = i.inhparent
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.relnamespace
WHERE c.relnamespace = %(oid)s AND p.relnamespace <> %(oid)s
ORDER BY 1, 2, 3

-- name: dependents_in_place
-- The objects of a list that one statement re-creates in place, each with its relation and its statements. Privileges
-- and comments stay.
WITH wanted AS (
    SELECT * FROM unnest(%(catalogs)s::regclass[], %(oids)s::oid[]) AS w(classid, oid)
), needs AS (
    SELECT d.classid, d.objid, e.extname FROM pg_catalog.pg_depend AS d
    JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
    WHERE d.deptype = 'x' AND d.refclassid = 'pg_catalog.pg_extension'::regclass
), found(classid, oid, relation, statements) AS (
    -- CREATE OR REPLACE resets options that it does not name, security_invoker among them.
    SELECT w.classid, w.oid, c.oid, ARRAY['CREATE OR REPLACE VIEW ' || c.oid::regclass
               || coalesce(' WITH (' || array_to_string(c.reloptions, ', ') || ')', '')
               || ' AS ' || rtrim(pg_catalog.pg_get_viewdef(c.oid), ';')]
    FROM wanted AS w
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = w.oid AND w.classid = 'pg_catalog.pg_rewrite'::regclass
    JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'v'
    WHERE r.rulename = '_RETURN'
    UNION ALL
    SELECT w.classid, w.oid, NULL, ARRAY[rtrim(pg_catalog.pg_get_functiondef(p.oid), E'\n')]
           -- CREATE OR REPLACE forgets these dependencies.
           || ARRAY(SELECT 'ALTER ROUTINE ' || p.oid::regprocedure || ' DEPENDS ON EXTENSION ' || quote_ident(e.extname)
                    FROM needs AS e WHERE e.classid = w.classid AND e.objid = w.oid)
    FROM wanted AS w
    JOIN pg_catalog.pg_proc AS p ON p.oid = w.oid AND w.classid = 'pg_catalog.pg_proc'::regclass
    WHERE p.prosqlbody IS NOT NULL AND p.prokind IN ('f', 'p')
    UNION ALL
    SELECT w.classid, w.oid, t.tgrelid, ARRAY[
               regexp_replace(pg_catalog.pg_get_triggerdef(t.oid), '^CREATE TRIGGER', 'CREATE OR REPLACE TRIGGER')]
           || CASE t.tgenabled WHEN 'O' THEN '{{}}'::text[] ELSE ARRAY['ALTER TABLE ONLY ' || t.tgrelid::regclass
                  || CASE t.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' ELSE ' ENABLE ALWAYS' END
                  || ' TRIGGER ' || quote_ident(t.tgname)] END
           || ARRAY(SELECT 'ALTER TRIGGER ' || quote_ident(t.tgname) || ' ON ' || t.tgrelid::regclass
                           || ' DEPENDS ON EXTENSION ' || quote_ident(e.extname)
                    FROM needs AS e WHERE e.classid = w.classid AND e.objid = w.oid)
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
    SELECT w.classid, w.oid, d.adrelid, ARRAY['ALTER TABLE ONLY ' || d.adrelid::regclass || ' ALTER COLUMN ' || quote_ident(a.attname)
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
-- The publications with one of these members, each with the statement that sets all of its members again, by name.
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
-- The materialized views of these rules: the statements that create a replacement, that fill and describe it, and that
-- exchange the two. Names that begin with `bluegreen ` are the tool's own. Views with statistics objects or labels are
-- left out.
WITH indexes AS (
    SELECT i.*, x.relname, 'bluegreen incoming ' || i.indexrelid AS incoming
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
       || ARRAY(SELECT 'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX ' || quote_ident(i.incoming)
                       || ' ON ' || b.place || substr(pg_catalog.pg_get_indexdef(i.indexrelid), 1 + length(
                           'CREATE ' || CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX '
                           || quote_ident(i.relname) || ' ON ' || c.oid::regclass)) FROM indexes AS i WHERE i.indrelid = c.oid)
       || ARRAY(SELECT 'ALTER MATERIALIZED VIEW ' || b.place || ' CLUSTER ON ' || quote_ident(i.incoming)
                FROM indexes AS i WHERE i.indrelid = c.oid AND i.indisclustered)
       || ARRAY(SELECT 'COMMENT ON INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(i.incoming) || ' IS '
                       || quote_literal(pg_catalog.obj_description(i.indexrelid, 'pg_class'))
                FROM indexes AS i WHERE i.indrelid = c.oid AND pg_catalog.obj_description(i.indexrelid, 'pg_class') IS NOT NULL)
       || ARRAY(SELECT 'COMMENT ON ' || CASE d.objsubid WHEN 0 THEN 'MATERIALIZED VIEW ' || b.place
                           ELSE 'COLUMN ' || b.place || '.' || quote_ident(a.attname) END || ' IS ' || quote_literal(d.description)
                FROM pg_catalog.pg_description AS d
                LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.objsubid
                WHERE d.objoid = c.oid AND d.classoid = 'pg_catalog.pg_class'::regclass)
       -- Revoke what default privileges have granted on the replacement.
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
       || ARRAY(SELECT 'ALTER MATERIALIZED VIEW ' || b.place || ' DEPENDS ON EXTENSION ' || quote_ident(e.extname)
                FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'x'
                  AND d.refclassid = 'pg_catalog.pg_extension'::regclass)
       || ARRAY(SELECT 'ALTER INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(i.incoming) || ' DEPENDS ON EXTENSION '
                       || quote_ident(e.extname)
                FROM indexes AS i
                JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                    AND d.deptype = 'x' AND d.refclassid = 'pg_catalog.pg_extension'::regclass
                JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid
                WHERE i.indrelid = c.oid)
       || ARRAY['ANALYZE ' || b.place],
       ARRAY['ALTER MATERIALIZED VIEW ' || c.oid::regclass || ' RENAME TO ' || quote_ident('bluegreen outgoing ' || c.oid),
             'ALTER MATERIALIZED VIEW ' || b.place || ' RENAME TO ' || quote_ident(c.relname)],
       ARRAY['DROP MATERIALIZED VIEW ' || quote_ident(n.nspname) || '.' || quote_ident('bluegreen outgoing ' || c.oid)]
       || ARRAY(SELECT 'ALTER INDEX ' || quote_ident(n.nspname) || '.' || quote_ident(i.incoming) || ' RENAME TO '
                       || quote_ident(i.relname) FROM indexes AS i WHERE i.indrelid = c.oid),
       'DROP MATERIALIZED VIEW IF EXISTS ' || b.place
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_class AS c ON c.oid = r.ev_class AND c.relkind = 'm'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace,
     LATERAL (SELECT quote_ident(n.nspname) || '.' || quote_ident('bluegreen incoming ' || c.oid)) AS b(place)
WHERE r.oid = ANY (%(rules)s::oid[])
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_statistic_ext AS s WHERE s.stxrelid = c.oid)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_seclabel AS l WHERE l.objoid = c.oid AND l.classoid = 'pg_catalog.pg_class'::regclass)
ORDER BY c.oid

-- name: matviews_reading
-- The filled materialized views that read one of these views, directly or through others, and whether they can be
-- refreshed without blocking their readers.
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

-- name: keys
-- The foreign keys among these constraints, or from a schema's own tables to others, with what ADD CONSTRAINT needs.
SELECT k.oid::bigint, c.oid::bigint, n.nspname, c.relname, c.relkind::text, pg_catalog.pg_get_userbyid(c.relowner),
       jsonb_build_object(
           'table', c.relname, 'name', k.conname, 'definition', pg_catalog.pg_get_constraintdef(k.oid),
           'validated', k.convalidated, 'comment', pg_catalog.obj_description(k.oid, 'pg_constraint'),
           'columns', (SELECT jsonb_agg(a.attname ORDER BY p.position) FROM unnest(k.conkey) WITH ORDINALITY AS p(number, position)
                       JOIN pg_catalog.pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = p.number),
           -- Those that the server compares with: of the parent's column and the child's, in this order.
           'operators', (SELECT jsonb_agg('OPERATOR(' || quote_ident(n.nspname) || '.' || r.oprname || ')' ORDER BY p.position)
                         FROM unnest(k.conpfeqop) WITH ORDINALITY AS p(operator, position)
                         JOIN pg_catalog.pg_operator AS r ON r.oid = p.operator
                         JOIN pg_catalog.pg_namespace AS n ON n.oid = r.oprnamespace),
           'firing', (SELECT jsonb_agg(jsonb_build_object(
                          'on_parent', g.tgrelid <> k.conrelid, 'type', g.tgtype, 'state', CASE g.tgenabled
                              WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END)
                          ORDER BY g.tgrelid <> k.conrelid, g.tgtype)
                      FROM pg_catalog.pg_trigger AS g WHERE g.tgconstraint = k.oid AND g.tgenabled <> 'O'),
           'period', coalesce((to_jsonb(k) ->> 'conperiod')::boolean, false),
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

-- name: set_firing
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT g.tgrelid::pg_catalog.regclass AS place, g.tgname
        FROM pg_catalog.pg_trigger AS g JOIN pg_catalog.pg_constraint AS k ON k.oid = g.tgconstraint
        WHERE k.conrelid = {table}::pg_catalog.regclass AND k.conname = {name} AND g.tgtype = {type}
          AND (g.tgrelid <> k.conrelid) = {on_parent}
    LOOP
        EXECUTE 'ALTER TABLE ONLY ' || found.place || ' ' || {state} || ' TRIGGER ' || quote_ident(found.tgname);
    END LOOP;
END

-- name: is_partitioned
SELECT c.relkind = 'p' FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = %(table)s

-- name: count_orphans
SELECT pg_catalog.count(*) FROM ONLY {child} AS o WHERE {all_given} AND NOT {referred}

-- name: delete_orphans
DELETE FROM ONLY {child} AS o WHERE {all_given} AND NOT {referred}

-- name: null_orphans
UPDATE ONLY {child} AS o SET {nulls} WHERE {all_given} AND NOT {referred}

-- name: old_snapshots
-- Sessions of this database with a snapshot older than the end of the load, if rows of the release are not frozen.
SELECT {session}
FROM bluegreen.release AS r
JOIN pg_catalog.pg_stat_activity AS a
    ON a.datname = pg_catalog.current_database() AND a.pid <> pg_catalog.pg_backend_pid()
WHERE r.id = %(id)s
  -- The server hides the backend type of other roles from roles without pg_read_all_stats.
  AND coalesce(a.backend_type, 'client backend') = 'client backend'
  AND a.backend_xmin IS NOT NULL
  AND pg_catalog.age(a.backend_xmin) > pg_catalog.age(r.loaded_xid::xid)
  AND EXISTS (SELECT FROM bluegreen.loaded_table AS t WHERE t.release_id = r.id AND NOT t.frozen)
ORDER BY a.xact_start

-- name: remember_writes
INSERT INTO bluegreen.write_count (release_id, table_oid, written)
SELECT %(id)s, c.oid, pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                      + pg_catalog.pg_stat_get_tuples_deleted(c.oid)
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'r'

-- name: table_states
-- What writing leaves behind: the server's counts of rows, and another file after TRUNCATE.
SELECT c.oid::bigint, c.relname AS name, pg_catalog.pg_stat_get_tuples_inserted(c.oid) AS inserted,
       pg_catalog.pg_stat_get_tuples_updated(c.oid) AS updated, pg_catalog.pg_stat_get_tuples_deleted(c.oid) AS deleted,
       pg_catalog.pg_relation_filenode(c.oid)::bigint AS file
FROM pg_catalog.pg_class AS c
WHERE c.relnamespace = %(oid)s AND c.relkind = 'r' AND c.relname <> ALL (%(carried)s::text[])
ORDER BY c.relname

-- name: next_transaction
SELECT (pg_catalog.pg_snapshot_xmax(pg_catalog.pg_current_snapshot())::text::bigint %% (1::bigint << 32))::text

-- name: rows_of_later_transactions
-- The rows that later transactions have written, and those that a later one has deleted or replaced without effect: it
-- was rolled back, or has only locked them.
SELECT count(*) FILTER (WHERE pg_catalog.age(t.xmin) <= b.age),
       count(*) FILTER (WHERE t.xmax <> '0' AND pg_catalog.age(t.xmax) <= b.age)
FROM {table} AS t, (SELECT pg_catalog.age(%(begun)s::text::xid) AS age) AS b

-- name: written_since
SELECT c.relname AS "table", n.now - w.written AS rows
FROM bluegreen.write_count AS w
JOIN pg_catalog.pg_class AS c ON c.oid = w.table_oid,
LATERAL (SELECT pg_catalog.pg_stat_get_tuples_inserted(c.oid) + pg_catalog.pg_stat_get_tuples_updated(c.oid)
                + pg_catalog.pg_stat_get_tuples_deleted(c.oid)) AS n(now)
WHERE w.release_id = %(id)s AND n.now > w.written
ORDER BY c.relname

-- name: open_writers
SELECT DISTINCT {session}
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relnamespace = %(oid)s AND c.relkind IN ('r', 'p')
    AND c.relname <> ALL (%(carried)s::text[])
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'RowExclusiveLock' AND a.pid <> pg_catalog.pg_backend_pid()

-- name: blockers
-- Sessions that hold a lock on one of these relations, or that change one of the schemas: an exclusive lock waits for
-- them.
SELECT DISTINCT {session}
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.granted AND l.pid <> pg_catalog.pg_backend_pid()
  AND (l.locktype = 'relation' AND l.relation = ANY (%(relations)s::oid[])
       AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
       -- A transaction that has replaced the row of the schema and has not ended.
       OR l.locktype = 'transactionid'
       AND l.transactionid IN (SELECT n.xmax FROM pg_catalog.pg_namespace AS n WHERE n.oid = ANY (%(schemas)s::oid[])))
ORDER BY age DESC NULLS LAST

-- name: prepared_blockers
-- Prepared transactions that hold a lock on one of these relations; they have no session.
SELECT DISTINCT x.gid, x.owner, extract(epoch FROM clock_timestamp() - x.prepared)::float8
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_prepared_xacts AS x ON l.virtualtransaction = '-1/' || x.transaction::text
WHERE l.granted AND l.pid IS NULL AND l.locktype = 'relation' AND l.relation = ANY (%(relations)s::oid[])
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
ORDER BY 1

-- name: cancel_autovacuum
-- The server does the same for a session that waits for deadlock_timeout, which a swap never does. It spares an
-- autovacuum that prevents wraparound, too.
SELECT a.pid, a.query
FROM pg_catalog.pg_stat_activity AS a
WHERE CASE WHEN a.backend_type = 'autovacuum worker' AND strpos(a.query, '(to prevent wraparound)') = 0
                AND a.pid IN (
                    SELECT l.pid FROM pg_catalog.pg_locks AS l
                    WHERE l.granted AND l.locktype = 'relation' AND l.relation = ANY (%(relations)s::oid[])
                      AND l.database = (
                          SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()))
           THEN pg_catalog.pg_cancel_backend(a.pid) END

-- name: exclusive_holders
-- Sessions that hold a lock on a relation of a schema that blocks readers.
SELECT DISTINCT {session}
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = %(schema)s
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid AND a.datname = pg_catalog.current_database()
WHERE l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'

-- name: cancel
-- Only a transaction of that age: by now the session may run another one.
SELECT pid FROM pg_catalog.pg_stat_activity
WHERE CASE WHEN pid = %(pid)s AND state = 'active' AND backend_type = 'client backend'
                AND extract(epoch FROM clock_timestamp() - xact_start) >= %(age)s
           THEN pg_catalog.pg_cancel_backend(pid) END

-- name: unvalidated_keys
SELECT c.relname, k.conname
FROM pg_catalog.pg_constraint AS k JOIN pg_catalog.pg_class AS c ON c.oid = k.conrelid
WHERE k.connamespace = %(oid)s AND k.contype = 'f' AND NOT k.convalidated AND k.conparentid = 0
ORDER BY c.relpages DESC, k.conname

-- name: fingerprint
-- One value for the relations of a schema and all their dependents: what a session can still change while the cut-over
-- waits for its locks. It is read under the locks, so it only hashes. An object that is replaced gets new rows in
-- pg_depend.
SELECT count(*) || ' ' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, relacl::text, reloptions), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = {oid}::oid AND relkind IN ('r', 'p', 'v', 'm', 'f')
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = 'pg_catalog.pg_class'::regclass
    WHERE c.relnamespace = {oid}::oid AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND d.deptype = 'n'
) AS found(hash)

-- name: dependents_inspected
-- One value for what depends on a schema from outside, by what the statements that re-create it would set back.
-- definition.digests has the schema itself.
SELECT count(*) || ' ' || coalesce(bit_xor(found.hash), 0) FROM (
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
-- Every transaction that renames the live schema holds this lock: two at once would fail with an internal error.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bluegreen renaming ' || {schema}, 0))

-- name: follow_one_by_one
-- An error is reported with its statement; the caller retries a lock timeout.
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
-- lock_timeout bounds the wait for all of the locks together, so that no reader waits for longer. A lock that is not
-- free at once is waited for, unless a transaction holds it that lasts: pg_dump began it, or it is older than the wait.
DECLARE
    waits CONSTANT boolean := {waits};
    deadline CONSTANT timestamptz := clock_timestamp() + pg_catalog.current_setting('lock_timeout')::interval;
    statements CONSTANT text[] := {statements}::text[];
    names CONSTANT text[] := {names}::text[];
    oids CONSTANT oid[] := {oids}::oid[];
    current int := 0;
BEGIN
    FOR current_one IN 1 .. cardinality(statements) LOOP
        current := current_one;
        IF waits THEN
            BEGIN
                PERFORM pg_catalog.set_config('lock_timeout', '1', true);
                EXECUTE statements[current] || CASE WHEN starts_with(statements[current], 'LOCK TABLE ') THEN ' NOWAIT' ELSE '' END;
                CONTINUE;
            EXCEPTION WHEN lock_not_available THEN
                PERFORM pg_catalog.pg_stat_clear_snapshot();
                IF EXISTS (
                    SELECT FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
                    WHERE l.locktype = 'relation' AND l.relation = oids[current] AND l.granted
                      AND (l.pid IS NULL OR starts_with(a.application_name, 'pg_dump') OR a.xact_start < clock_timestamp() - {patience})
                ) THEN
                    RAISE;
                END IF;
            END;
        END IF;
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
DECLARE
    found text;
BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = {incoming_id} AND status = {incoming_status}) THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'the release has been moved by another run';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = {live} AND status = 'live')
        IS DISTINCT FROM {outgoing_id}::bigint THEN
        RAISE EXCEPTION USING ERRCODE = {conflict}, MESSAGE = 'another release went live meanwhile';
    END IF;
    IF {live_oid}::oid IS NOT NULL THEN
        {look};
        IF found IS DISTINCT FROM {expected} THEN
            RAISE EXCEPTION USING ERRCODE = {changed}, MESSAGE = 'live, or what depends on it, was changed meanwhile';
        END IF;
    END IF;
END

-- name: other_readers
-- Sessions of this database that can read from it: no background processes, no WAL senders. Without
-- pg_read_all_stats a role does not see the backend type of other roles.
SELECT {session}
FROM pg_catalog.pg_stat_activity AS a
WHERE a.datname = pg_catalog.current_database() AND a.usesysid IS NOT NULL AND a.pid <> ALL ({own}::int[])
  AND coalesce(a.backend_type, 'client backend') NOT IN ('walsender', 'parallel worker', 'autovacuum worker')
ORDER BY a.xact_start NULLS LAST, a.pid

-- name: still_held
-- Readers stay blocked until the commit; otherwise the whole attempt is rolled back and retried.
BEGIN
    IF clock_timestamp() > {until}::timestamptz THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'readers may have been resumed meanwhile';
    END IF;
    IF {alone} AND EXISTS ({others}) THEN
        RAISE EXCEPTION USING ERRCODE = 'lock_not_available', MESSAGE = 'a session has connected that no pooler blocks';
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

-- name: not_owned_dependents
-- The same for dependents in other schemas: views by their rules, tables by their foreign keys, routines, publications.
SELECT DISTINCT pg_catalog.pg_get_userbyid(o.owner) AS owner, o.kind, i.identity
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

-- name: schemas_of_dependents
-- The privileges that this role lacks on schemas of dependents: the swap re-creates views and routines there.
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

-- name: sessions_of_temporary_schemas
-- The sessions of the schemas pg_temp_N with these numbers. Before version 16 the server does not show the numbers.
SELECT {session}
FROM pg_catalog.pg_stat_activity AS a
WHERE pg_catalog.current_setting('server_version_num')::int >= 160000
  AND a.pid IN (SELECT pg_catalog.pg_stat_get_backend_pid(b.number) FROM pg_catalog.pg_stat_get_backend_idset() AS b(number)
                WHERE b.number = ANY (%(numbers)s::int[]))
ORDER BY a.pid
