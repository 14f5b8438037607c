-- Stand-ins for what Citus has: tables, functions and their signatures as its documentation has them, which do nothing
-- but write down that they were called. They show that our SQL is SQL and what it asks for, not what Citus does.
SET allow_system_table_mods = on;
CREATE SCHEMA standin;
CREATE TABLE standin.call (id serial, what text);
CREATE TABLE standin.node (nodeid int, stale text, failure text, recoverable boolean DEFAULT true);
-- The coordinator, which is not among the nodes that Citus knows, cannot log in to itself.
INSERT INTO standin.node VALUES (0, NULL, 'no password'), (1, NULL, NULL), (2, NULL, NULL);

INSERT INTO pg_catalog.pg_extension VALUES (99999, 'citus', 10, 11, false, '13.2-1', NULL, NULL);
CREATE TABLE pg_catalog.pg_dist_partition (
    logicalrelid regclass, partmethod "char", partkey text, colocationid int, repmodel "char", autoconverted boolean);
CREATE TABLE pg_catalog.pg_dist_schema (schemaid oid, colocationid int);
CREATE TABLE pg_catalog.pg_dist_node (nodeid int, groupid int);
INSERT INTO pg_catalog.pg_dist_node VALUES (1, 1), (2, 2);
CREATE TABLE pg_catalog.pg_dist_shard (logicalrelid regclass);
GRANT SELECT ON pg_catalog.pg_dist_partition, pg_catalog.pg_dist_schema, pg_catalog.pg_dist_node TO PUBLIC;

-- What changes a distributed table is handed to the nodes as the whole message, which must be one statement there.
CREATE FUNCTION standin.one_statement() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN
    IF current_query() ~ ';\s*\S' AND current_query() !~* '^\s*DO\M' AND EXISTS (
        SELECT FROM pg_event_trigger_ddl_commands() AS c
        LEFT JOIN pg_index AS i ON c.classid = 'pg_class'::regclass AND i.indexrelid = c.objid
        JOIN pg_dist_partition AS p ON p.logicalrelid = coalesce(i.indrelid, c.objid))
    THEN RAISE EXCEPTION 'cannot execute multiple utility events';
    END IF;
END $$;
CREATE EVENT TRIGGER one_statement ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE INDEX')
    EXECUTE FUNCTION standin.one_statement();

CREATE FUNCTION pg_catalog.column_to_column_name(table_name regclass, column_var_text text) RETURNS text
    LANGUAGE sql AS $$ SELECT column_var_text $$;

CREATE SCHEMA citus;
CREATE TYPE citus.distribution_type AS ENUM ('hash', 'range', 'append');
CREATE FUNCTION pg_catalog.create_distributed_table(
    table_name regclass, distribution_column text, distribution_type citus.distribution_type DEFAULT 'hash',
    colocate_with text DEFAULT 'default', shard_count int DEFAULT NULL) RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF EXISTS (SELECT FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid = table_name AND k.confrelid <> table_name
               AND NOT EXISTS (SELECT FROM pg_dist_partition AS p WHERE p.logicalrelid = k.confrelid))
    THEN RAISE EXCEPTION 'referenced table must be a distributed table or a reference table';
    END IF;
    INSERT INTO standin.call (what) VALUES (concat_ws(' ', table_name, distribution_type, coalesce(distribution_column, 'alone'),
        'like', colocate_with, shard_count));
    INSERT INTO pg_catalog.pg_dist_partition VALUES (
        table_name, CASE WHEN distribution_column IS NULL THEN 'n' ELSE 'h' END, distribution_column, 7, 's', false);
END $$;

CREATE FUNCTION pg_catalog.create_reference_table(table_name regclass) RETURNS void LANGUAGE sql AS $$
    INSERT INTO standin.call (what) VALUES (table_name || ' reference');
    INSERT INTO pg_catalog.pg_dist_partition VALUES (table_name, 'n', NULL, 8, 't', false) $$;

CREATE FUNCTION pg_catalog.citus_add_local_table_to_metadata(
    table_name regclass, cascade_via_foreign_keys boolean DEFAULT false) RETURNS void LANGUAGE sql AS $$
    INSERT INTO standin.call (what) VALUES (table_name || ' local');
    INSERT INTO pg_catalog.pg_dist_partition VALUES (table_name, 'n', NULL, 0, 's', false) $$;

CREATE FUNCTION pg_catalog.citus_schema_distribute(schemaname regnamespace) RETURNS void LANGUAGE sql AS $$
    INSERT INTO standin.call (what) VALUES ('schema ' || schemaname);
    INSERT INTO pg_catalog.pg_dist_schema VALUES (schemaname, 9) $$;

CREATE FUNCTION pg_catalog.run_command_on_all_nodes(
    command text, parallel bool DEFAULT true, give_warning_for_connection_errors bool DEFAULT false,
    OUT nodeid int, OUT success bool, OUT result text) RETURNS SETOF record LANGUAGE plpgsql AS $$
DECLARE
    own text;
BEGIN
    EXECUTE command INTO own;
    RETURN QUERY SELECT n.nodeid, n.failure IS NULL, coalesce(n.failure, n.stale, own) FROM standin.node AS n;
END $$;

CREATE FUNCTION pg_catalog.recover_prepared_transactions() RETURNS int LANGUAGE sql AS $$
    UPDATE standin.node SET stale = NULL WHERE recoverable;
    SELECT 1 $$;
RESET allow_system_table_mods;
