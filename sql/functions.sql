-- Functions whose search path or body names the schema that they are in.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: paths_name
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p, unnest(p.proconfig) AS c(entry)
    WHERE p.pronamespace = %(oid)s AND pg_catalog.starts_with(c.entry, 'search_path=')
      AND substr(c.entry, 13) ~ %(pattern)s
)

-- name: repoint_paths
-- A path is text of the function's owner, and need not be a list of well-formed names: it never becomes part of a
-- statement. While it is set, nothing is called but what is qualified.
DECLARE
    each record;
BEGIN
    FOR each IN
        SELECT 'ALTER ROUTINE ' || p.oid::pg_catalog.regprocedure || ' SET search_path FROM CURRENT' AS statement,
               regexp_replace(substr(c.entry, 13), {pattern}, quote_ident({new}), 'g') AS path
        FROM pg_catalog.pg_proc AS p, unnest(p.proconfig) AS c(entry)
        WHERE p.pronamespace = {oid} AND pg_catalog.starts_with(c.entry, 'search_path=')
          AND substr(c.entry, 13) ~ {pattern}
    LOOP
        PERFORM pg_catalog.set_config('search_path', each.path, true);
        EXECUTE each.statement;
        PERFORM pg_catalog.set_config('search_path', '', true);
    END LOOP;
END

-- name: used_bodies
-- The functions of a schema whose body is a text, and the objects of it that call them while rows are loaded: check
-- constraints, generated columns, indexes and materialized views. Directly, or by views and parsed bodies.
WITH RECURSIVE used(classid, objid, routine) AS (
    SELECT 'pg_catalog.pg_proc'::regclass::oid, p.oid, p.oid FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
    WHERE p.pronamespace = %(oid)s AND p.prosqlbody IS NULL AND l.lanname NOT IN ('c', 'internal')
    UNION
    SELECT n.classid, n.objid, u.routine
    FROM used AS u CROSS JOIN LATERAL (
        SELECT d.classid, d.objid FROM pg_catalog.pg_depend AS d
        WHERE d.refclassid = u.classid AND d.refobjid = u.objid AND d.deptype IN ('n', 'a', 'i')
        UNION ALL
        -- From the query of a view to the view.
        SELECT 'pg_catalog.pg_class'::regclass::oid, w.ev_class FROM pg_catalog.pg_rewrite AS w
        WHERE u.classid = 'pg_catalog.pg_rewrite'::regclass AND w.oid = u.objid AND w.rulename = '_RETURN') AS n
)
SELECT DISTINCT p.oid::pg_catalog.regprocedure::text AS routine, p.prosrc AS body, i.type, i.identity
FROM used AS u
JOIN pg_catalog.pg_proc AS p ON p.oid = u.routine
LEFT JOIN pg_catalog.pg_constraint AS k ON u.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = u.objid
LEFT JOIN pg_catalog.pg_attrdef AS f ON u.classid = 'pg_catalog.pg_attrdef'::regclass AND f.oid = u.objid
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
LEFT JOIN pg_catalog.pg_class AS x ON u.classid = 'pg_catalog.pg_class'::regclass AND x.oid = u.objid,
     pg_catalog.pg_identify_object(u.classid, u.objid, 0) AS i
WHERE k.contype = 'c' OR a.attgenerated <> '' OR x.relkind IN ('i', 'I', 'm')
ORDER BY 1, 3, 4
