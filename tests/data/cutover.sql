\set ON_ERROR_STOP on
-- begin
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
-- do not wait for the disk at the commit
SET LOCAL synchronous_commit = off;
-- qualify every name
SET LOCAL search_path = '';
-- limit the wait for locks
SET LOCAL lock_timeout = '500ms';
-- wait for a load that is cloning live
-- Held by every transaction that renames the live schema: two would fail with an internal error of the server.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bluegreen renaming ' || 'league', 0));
-- check that nothing has changed since it was inspected
DO 'BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = 102 AND status = ''ready'') THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''the release has been moved by another run'';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = ''league'' AND status = ''live'')
        IS DISTINCT FROM 101::bigint THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''another release went live meanwhile'';
    END IF;
    IF 1001::oid IS NOT NULL AND ''7 coffee'' <> (-- One value for all that a cut-over inspects: what a schema is made of, and what depends on it from outside, by what the
-- statements that make it again would set back. Where a row is replaced by nothing but DDL, its xmin stands for it.
SELECT count(*) || '' '' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, nspowner, nspacl::text), 0) FROM pg_catalog.pg_namespace WHERE oid = 1001::oid
    UNION ALL
    -- REFRESH, VACUUM FULL and TRUNCATE replace it too.
    SELECT hash_record_extended(ROW(oid, relname, relowner, relacl::text, reloptions, relrowsecurity, relforcerowsecurity), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(a.attrelid, a.attnum, a.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
    WHERE c.relnamespace = 1001::oid AND c.relkind IN (''r'', ''p'', ''v'', ''m'', ''f'', ''c'')
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_proc WHERE pronamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_type WHERE typnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(oid, xmin), 0) FROM pg_catalog.pg_default_acl WHERE defaclnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(t.oid, t.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = c.oid AND NOT t.tgisinternal
    WHERE c.relnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(p.oid, p.xmin), 0)
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_policy AS p ON p.polrelid = c.oid WHERE c.relnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(d.objoid, d.objsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_description AS d ON d.objoid = c.oid AND d.classoid = ''pg_catalog.pg_class''::regclass
    WHERE c.relnamespace = 1001::oid
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.refobjid, d.refobjsubid, d.xmin, coalesce(
        (SELECT ROW(r.ev_enabled, v.reloptions)::text FROM pg_catalog.pg_rewrite AS r
         JOIN pg_catalog.pg_class AS v ON v.oid = r.ev_class
         WHERE r.oid = d.objid AND d.classid = ''pg_catalog.pg_rewrite''::regclass),
        (SELECT xmin::text FROM pg_catalog.pg_proc WHERE oid = d.objid AND d.classid = ''pg_catalog.pg_proc''::regclass),
        (SELECT xmin::text FROM pg_catalog.pg_trigger WHERE oid = d.objid AND d.classid = ''pg_catalog.pg_trigger''::regclass),
        (SELECT ROW(k.conname, k.condeferrable, k.condeferred,
                    pg_catalog.obj_description(k.oid, ''pg_constraint''))::text FROM pg_catalog.pg_constraint AS k
         WHERE k.oid = d.objid AND d.classid = ''pg_catalog.pg_constraint''::regclass))), 0)
    FROM (SELECT ''pg_catalog.pg_class''::regclass::oid, oid FROM pg_catalog.pg_class
          WHERE relnamespace = 1001::oid AND relkind IN (''r'', ''p'', ''v'', ''m'', ''f'', ''S'')
          UNION ALL SELECT ''pg_catalog.pg_proc''::regclass, oid FROM pg_catalog.pg_proc WHERE pronamespace = 1001::oid
          UNION ALL SELECT ''pg_catalog.pg_type''::regclass, oid FROM pg_catalog.pg_type WHERE typnamespace = 1001::oid
          UNION ALL SELECT ''pg_catalog.pg_namespace''::regclass, 1001::oid) AS own(classid, oid)
    JOIN pg_catalog.pg_depend AS d ON d.refclassid = own.classid AND d.refobjid = own.oid
    WHERE d.deptype = ''n'' AND d.refclassid <> ''pg_catalog.pg_namespace''::regclass
       OR d.classid IN (''pg_catalog.pg_publication_rel''::regclass, ''pg_catalog.pg_publication_namespace''::regclass)
) AS found(hash)) THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''live, or what hangs on it, was changed meanwhile'';
    END IF;
END';
-- check that both schemas have their names
DO 'BEGIN
    IF (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ''league'') IS DISTINCT FROM 1001::oid THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''live is not the schema that was inspected'';
    END IF;
    IF (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = ''league__r2'') IS DISTINCT FROM 1002::oid THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''the release''''s schema is not where the ledger says'';
    END IF;
END';
-- rename live to the outgoing release
ALTER SCHEMA "league" RENAME TO "league__r1";
-- rename the incoming release to live
ALTER SCHEMA "league__r2" RENAME TO "league";
-- read the clock before the locks
SELECT clock_timestamp();
-- lock the relations of live and its dependents
ALTER VIEW "app"."report" OWNER TO "ann";
ALTER VIEW "league__r1"."squads" OWNER TO "ann";
ALTER MATERIALIZED VIEW "league__r1"."sizes" OWNER TO "ann";
LOCK TABLE "league__r1"."Teams" IN ACCESS EXCLUSIVE MODE;
ALTER FOREIGN TABLE "league__r1"."abroad" OWNER TO "ann";
-- check again what could change until now
DO 'BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = 102 AND status = ''ready'') THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''the release has been moved by another run'';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = ''league'' AND status = ''live'')
        IS DISTINCT FROM 101::bigint THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''another release went live meanwhile'';
    END IF;
    IF 1001::oid IS NOT NULL AND ''3 cafe'' <> (-- One value for the relations of a schema and what depends on them from anywhere: what a session can still change while
-- the cut-over waits for its locks. Read under them, and so by no more than hashing. What is replaced gets its rows in
-- pg_depend anew.
SELECT count(*) || '' '' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, relacl::text, reloptions), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = 1001::oid AND relkind IN (''r'', ''p'', ''v'', ''m'', ''f'')
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = ''pg_catalog.pg_class''::regclass
    WHERE c.relnamespace = 1001::oid AND c.relkind IN (''r'', ''p'', ''v'', ''m'', ''f'') AND d.deptype = ''n''
) AS found(hash)) THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''live, or what hangs on it, was changed meanwhile'';
    END IF;
END';
-- advance sequence teams_id_seq
SELECT pg_catalog.setval('"league"."teams_id_seq"', live.last_value, live.is_called)
FROM "league__r1"."teams_id_seq" AS live, "league"."teams_id_seq" AS own
WHERE live.last_value > own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called;
-- advance sequence countdown
SELECT pg_catalog.setval('"league"."countdown"', live.last_value, live.is_called)
FROM "league__r1"."countdown" AS live, "league"."countdown" AS own
WHERE live.last_value < own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called;
-- re-create the dependents
DO '-- What stands in the way of one of them is told with its statement; a lock that was not to be had is tried again.
DECLARE
    statements CONSTANT text[] := ''{"CREATE OR REPLACE VIEW app.report AS SELECT 1"}''::text[];
    current int := 0;
BEGIN
    FOR current_one IN 1 .. cardinality(statements) LOOP
        current := current_one;
        EXECUTE statements[current];
    END LOOP;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN RAISE;
    WHEN OTHERS THEN
        RAISE EXCEPTION USING ERRCODE = ''BG002'', MESSAGE = SQLERRM, DETAIL = statements[current];
END';
-- retire the outgoing release
UPDATE bluegreen.release SET status = 'previous', retired_at = clock_timestamp() WHERE id = 101;
-- record the release as live
UPDATE bluegreen.release SET status = 'live', promoted_at = clock_timestamp(), retired_at = NULL WHERE id = 102;
-- record the cut-over
INSERT INTO bluegreen.cutover (token, live_schema, direction, to_release, from_release, tries, waited, via)
VALUES ('00000000000000000000000000000007'::uuid, 'league', 'promote', 102, 101, 3, 0.25, 'locks');
-- record the event
INSERT INTO bluegreen.event (live_schema, number, kind, detail) VALUES ('league', 2, 'promoted', 'release 1 before');
-- notify listeners
SELECT pg_catalog.pg_notify('bluegreen', '{"schema":"league","release":2,"direction":"promote"}');
-- end the transaction
COMMIT;
-- read the clock after the commit
SELECT clock_timestamp();
-- begin
BEGIN;
-- wait for the disk at this commit
-- Has this transaction's commit wait for the disk; what was committed before it is there then, too.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') = 'off';
-- record what was measured
-- What is written by now holds the cut-over, and hardly more.
UPDATE bluegreen.cutover SET held = coalesce(NULL, held), lsn = coalesce(lsn, pg_catalog.pg_current_wal_insert_lsn())
WHERE token = '00000000000000000000000000000007'::uuid;
-- flush to disk
COMMIT;
