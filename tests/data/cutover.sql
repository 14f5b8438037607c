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
-- Every transaction that renames the live schema holds this lock: two at once would fail with an internal error.
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('bluegreen renaming ' || 'league', 0));
-- check that nothing has changed since it was inspected
DO 'DECLARE
    found text;
BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = 102 AND status = ''ready'') THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''the release has been moved by another run'';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = ''league'' AND status = ''live'')
        IS DISTINCT FROM 101::bigint THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''another release went live meanwhile'';
    END IF;
    IF 1001::oid IS NOT NULL THEN
        EXECUTE '''' INTO found;
        IF found IS DISTINCT FROM ''7 coffee'' THEN
            RAISE EXCEPTION USING ERRCODE = ''BG003'', MESSAGE = ''live, or what depends on it, was changed meanwhile'';
        END IF;
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
DO 'DECLARE
    found text;
BEGIN
    IF NOT EXISTS (SELECT FROM bluegreen.release WHERE id = 102 AND status = ''ready'') THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''the release has been moved by another run'';
    END IF;
    IF (SELECT id FROM bluegreen.release WHERE live_schema = ''league'' AND status = ''live'')
        IS DISTINCT FROM 101::bigint THEN
        RAISE EXCEPTION USING ERRCODE = ''BG001'', MESSAGE = ''another release went live meanwhile'';
    END IF;
    IF 1001::oid IS NOT NULL THEN
        found := (-- One value for the relations of a schema and all their dependents: what a session can still change while the cut-over
-- waits for its locks. It is read under the locks, so it only hashes. An object that is replaced gets new rows in
-- pg_depend.
SELECT count(*) || '' '' || coalesce(bit_xor(found.hash), 0) FROM (
    SELECT hash_record_extended(ROW(oid, relacl::text, reloptions), 0)
    FROM pg_catalog.pg_class WHERE relnamespace = 1001::oid AND relkind IN (''r'', ''p'', ''v'', ''m'', ''f'')
    UNION ALL
    SELECT hash_record_extended(ROW(d.classid, d.objid, d.objsubid, d.refobjid, d.refobjsubid, d.xmin), 0)
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_depend AS d ON d.refobjid = c.oid AND d.refclassid = ''pg_catalog.pg_class''::regclass
    WHERE c.relnamespace = 1001::oid AND c.relkind IN (''r'', ''p'', ''v'', ''m'', ''f'') AND d.deptype = ''n''
) AS found(hash));
        IF found IS DISTINCT FROM ''3 cafe'' THEN
            RAISE EXCEPTION USING ERRCODE = ''BG003'', MESSAGE = ''live, or what depends on it, was changed meanwhile'';
        END IF;
    END IF;
END';
-- advance sequence teams_id_seq
-- A sequence with narrower bounds than live's goes to their end.
SELECT pg_catalog.setval('"league"."teams_id_seq"', greatest(least(live.last_value, q.seqmax), q.seqmin),
                         live.is_called OR live.last_value NOT BETWEEN q.seqmin AND q.seqmax)
FROM "league__r1"."teams_id_seq" AS live, "league"."teams_id_seq" AS own JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = '"league"."teams_id_seq"'::regclass
WHERE live.last_value > own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called;
-- advance sequence countdown
-- A sequence with narrower bounds than live's goes to their end.
SELECT pg_catalog.setval('"league"."countdown"', greatest(least(live.last_value, q.seqmax), q.seqmin),
                         live.is_called OR live.last_value NOT BETWEEN q.seqmin AND q.seqmax)
FROM "league__r1"."countdown" AS live, "league"."countdown" AS own JOIN pg_catalog.pg_sequence AS q ON q.seqrelid = '"league"."countdown"'::regclass
WHERE live.last_value < own.last_value
   OR live.last_value = own.last_value AND live.is_called AND NOT own.is_called;
-- re-create the dependents
DO '-- An error is reported with its statement; the caller retries a lock timeout.
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
-- Makes the commit of this transaction wait for the disk; earlier commits are on disk then, too.
SELECT pg_catalog.set_config('synchronous_commit', 'on', true)
WHERE pg_catalog.current_setting('synchronous_commit') = 'off';
-- record what was measured
-- What is written by now holds the cut-over, and hardly more.
UPDATE bluegreen.cutover SET held = coalesce(NULL, held), lsn = coalesce(lsn, pg_catalog.pg_current_wal_insert_lsn())
WHERE token = '00000000000000000000000000000007'::uuid;
-- flush to disk
COMMIT;
