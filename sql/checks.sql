-- Around the checks: settings, and tables for offending rows.
-- psycopg fills {places} with identifiers or SQL; %(names)s are parameters.

-- name: begin_check
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT {snapshot}

-- name: check_settings
SELECT pg_catalog.set_config('search_path',
                             pg_catalog.quote_ident({schema}) || ', ' || pg_catalog.current_setting('search_path'), true),
       pg_catalog.set_config('statement_timeout', {timeout}, true),
       pg_catalog.set_config('standard_conforming_strings', 'on', true)

-- name: offending_rows
-- The first rows of a check's query.
SELECT {columns} FROM (
{query}
) AS offending{aliases} LIMIT {limit}

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
