-- Privileges: what a release has, compared with what live has.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: differences
-- The objects of a release whose privileges or owner differ from those of live's object of the same name, each with the
-- statements that make them equal. A null ACL stands for the server's defaults, so these are compared.
WITH object(schema, kind, key, target, owner, acl) AS (
    SELECT n.oid, 'SCHEMA', '', quote_ident(n.nspname), n.nspowner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner))
    FROM pg_catalog.pg_namespace AS n WHERE n.oid IN (%(own)s, %(live)s)
    UNION ALL
    SELECT c.relnamespace, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, c.relname,
           quote_ident(n.nspname) || '.' || quote_ident(c.relname), c.relowner,
           coalesce(c.relacl, pg_catalog.acldefault(CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END::"char", c.relowner))
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.oid IN (%(own)s, %(live)s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT p.pronamespace, 'ROUTINE',
           p.proname || (SELECT coalesce(string_agg(CASE WHEN t.typnamespace = p.pronamespace THEN '.' || t.typname
                                                         ELSE t.oid::text END, ' ' ORDER BY a.place), '')
                         FROM unnest(p.proargtypes) WITH ORDINALITY AS a(type, place)
                         JOIN pg_catalog.pg_type AS t ON t.oid = a.type),
           p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
    FROM pg_catalog.pg_proc AS p WHERE p.pronamespace IN (%(own)s, %(live)s)
    UNION ALL
    -- Privileges of arrays and multiranges are those of their elements, and row types have those of their relations.
    SELECT t.typnamespace, 'TYPE', t.typname, quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typowner,
           coalesce(t.typacl, pg_catalog.acldefault('T', t.typowner))
    FROM pg_catalog.pg_type AS t JOIN pg_catalog.pg_namespace AS n ON n.oid = t.typnamespace
    LEFT JOIN pg_catalog.pg_class AS c ON c.oid = t.typrelid
    WHERE n.oid IN (%(own)s, %(live)s)
      AND (t.typtype IN ('e', 'd', 'r') OR t.typtype = 'b' AND t.typelem = 0 OR t.typtype = 'c' AND c.relkind = 'c')
), pair AS (
    SELECT own.kind, own.target, '' AS name, own.owner, own.acl, live.owner AS live_owner, live.acl AS live_acl
    FROM object AS own JOIN object AS live USING (kind, key)
    WHERE own.schema = %(own)s AND live.schema = %(live)s
    UNION ALL
    SELECT 'COLUMN', quote_ident(n.nspname) || '.' || quote_ident(c.relname), quote_ident(a.attname),
           c.relowner, coalesce(a.attacl, pg_catalog.acldefault('c', c.relowner)), other.relowner,
           coalesce(o.attacl, pg_catalog.acldefault('c', other.relowner))
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class AS other ON other.relname = c.relname AND other.relnamespace = %(live)s
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid
    JOIN pg_catalog.pg_attribute AS o ON o.attrelid = other.oid AND o.attname = a.attname
    WHERE n.oid = %(own)s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT a.attisdropped AND NOT o.attisdropped
      AND a.attacl IS DISTINCT FROM o.attacl
), stated AS (
    SELECT pair.*, CASE kind WHEN 'COLUMN' THEN ' (' || name || ')' ELSE '' END AS part,
           ' ON ' || CASE kind WHEN 'COLUMN' THEN 'TABLE' ELSE kind END || ' ' || target AS place
    FROM pair WHERE owner <> live_owner OR acl <> live_acl
)
SELECT s.kind, s.target, s.name, pg_catalog.pg_get_userbyid(s.owner) AS owner,
       pg_catalog.pg_get_userbyid(s.live_owner) AS live_owner,
       (SELECT 'REVOKE ALL' || s.part || s.place || ' FROM '
               || string_agg(DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC'
                                      ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END, ', ') || ' CASCADE'
        FROM pg_catalog.aclexplode(s.acl) AS x) AS revoke,
       (SELECT coalesce(jsonb_agg(jsonb_build_object(
                   'grantor', CASE WHEN g.grantor <> s.live_owner THEN pg_catalog.pg_get_userbyid(g.grantor) END,
                   'statement', 'GRANT ' || g.privileges || s.place || ' TO ' || g.grantee
                                || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) ORDER BY g.place, g.is_grantable),
                        '[]')
        FROM (SELECT i.place, x.grantor, x.is_grantable, string_agg(x.privilege_type || s.part, ', ') AS privileges,
                     CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS grantee
              FROM unnest(s.live_acl) WITH ORDINALITY AS i(item, place), pg_catalog.aclexplode(ARRAY[i.item]) AS x
              GROUP BY i.place, x.grantor, x.grantee, x.is_grantable) AS g) AS grants,
       -- What a role may do differs; otherwise only who has granted it, or the order.
       s.owner <> s.live_owner
       OR EXISTS (SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(s.acl)
                  EXCEPT SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(s.live_acl))
       OR EXISTS (SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(s.live_acl)
                  EXCEPT SELECT grantee, privilege_type, is_grantable FROM pg_catalog.aclexplode(s.acl)) AS effective
FROM stated AS s
-- An owner and a grantor need the right to use the schema first.
ORDER BY s.kind <> 'SCHEMA', s.kind, s.target, s.name

-- name: default_privileges_of_others
-- Roles with default privileges in a schema that this role may not change for them.
SELECT DISTINCT pg_catalog.pg_get_userbyid(d.defaclrole) FROM pg_catalog.pg_default_acl AS d
WHERE d.defaclnamespace = %(oid)s
  AND NOT pg_catalog.pg_has_role(d.defaclrole, CASE WHEN pg_catalog.current_setting('server_version_num')::int >= 160000
                                                    THEN 'USAGE' ELSE 'MEMBER' END)
ORDER BY 1

-- name: role
SELECT pg_catalog.current_setting('role')

-- name: set_role
SELECT pg_catalog.set_config('role', %(role)s, true)
