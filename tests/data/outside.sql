-- One of everything that can hang on the schema of everything.sql from outside of it, and follow. Whatever a cut-over
-- forgot, changed or left behind would show as a difference between two dumps of the database.
CREATE SCHEMA app;
COMMENT ON SCHEMA app IS 'hangs on league';

-- views
CREATE VIEW app.teams WITH (security_invoker = true, security_barrier = true, check_option = cascaded) AS
    SELECT id, name COLLATE "C" AS "the {name}; so called" FROM league.teams WHERE founded IS NOT NULL;
ALTER VIEW app.teams ALTER COLUMN id SET DEFAULT 7;
COMMENT ON VIEW app.teams IS 'a view';
COMMENT ON COLUMN app.teams.id IS 'a column of a view';
GRANT SELECT ON app.teams TO PUBLIC;
GRANT UPDATE (id) ON app.teams TO pg_monitor WITH GRANT OPTION;
CREATE VIEW app.moods AS SELECT id, name, mood::text, league.doubled(id) AS twice, place::text FROM league.players;
ALTER VIEW app.moods OWNER TO pg_monitor;
CREATE VIEW app.on_a_view AS SELECT count(*) AS n FROM app.moods;
CREATE RECURSIVE VIEW app.chain(id) AS SELECT id FROM league.teams UNION SELECT id + 100 FROM chain WHERE id < 100;
CREATE FUNCTION app.instead() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON app.moods FOR EACH ROW EXECUTE FUNCTION app.instead();
CREATE RULE quiet AS ON DELETE TO app.on_a_view DO INSTEAD NOTHING;

-- materialized views
CREATE MATERIALIZED VIEW app.sizes AS SELECT t.id, count(*) AS n FROM league.teams t LEFT JOIN league.players p ON p.team_id = t.id GROUP BY t.id;
CREATE UNIQUE INDEX sizes_id ON app.sizes (id);
COMMENT ON INDEX app.sizes_id IS 'an index of a materialized view';
GRANT SELECT ON app.sizes TO PUBLIC;
CREATE VIEW app.on_a_materialized_view AS SELECT max(n) AS n FROM app.sizes;
CREATE MATERIALIZED VIEW app.of_a_view AS SELECT id FROM app.moods;
CREATE UNIQUE INDEX ON app.of_a_view (id);

-- functions
CREATE FUNCTION app.count_teams() RETURNS bigint LANGUAGE sql STABLE SECURITY DEFINER SET work_mem = '8MB'
    BEGIN ATOMIC SELECT count(*) FROM league.teams; END;
COMMENT ON FUNCTION app.count_teams() IS 'a function with a parsed body';
REVOKE EXECUTE ON FUNCTION app.count_teams() FROM PUBLIC;
CREATE PROCEDURE app.forget(n int) LANGUAGE sql BEGIN ATOMIC DELETE FROM league.matches WHERE season = n; END;
CREATE FUNCTION app.by_name() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM league.teams';

-- tables
CREATE TABLE app.bookings (
    id int PRIMARY KEY DEFAULT league.doubled(4),
    team_id int,
    player_id int CONSTRAINT booked REFERENCES league.players ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    season int, number int,
    CONSTRAINT of_a_goal FOREIGN KEY (season, number) REFERENCES league.goals (season, id) MATCH FULL
);
ALTER TABLE app.bookings ADD CONSTRAINT never_checked FOREIGN KEY (team_id) REFERENCES league.teams NOT VALID;
COMMENT ON CONSTRAINT booked ON app.bookings IS 'a foreign key';
CREATE FUNCTION app.fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER by_live BEFORE INSERT ON app.bookings FOR EACH ROW WHEN (NEW.id > 0) EXECUTE FUNCTION league.never();
COMMENT ON TRIGGER by_live ON app.bookings IS 'a trigger that calls a function of live';
ALTER TABLE app.bookings DISABLE TRIGGER by_live;
CREATE TRIGGER when_live AFTER UPDATE ON app.bookings FOR EACH ROW WHEN (league.doubled(NEW.id) > 0) EXECUTE FUNCTION app.fires();
ALTER TABLE app.bookings ENABLE ALWAYS TRIGGER when_live;
ALTER TABLE app.bookings ENABLE ROW LEVEL SECURITY;
CREATE POLICY known ON app.bookings FOR UPDATE TO pg_monitor USING (EXISTS (SELECT FROM league.teams t WHERE t.id = team_id))
    WITH CHECK (league.doubled(id) > 0);
COMMENT ON POLICY known ON app.bookings IS 'a policy that reads live';

-- publications
CREATE PUBLICATION some_tables FOR TABLE league.players (id, name) WHERE (id > 0), TABLE app.bookings WITH (publish = 'insert, delete');
COMMENT ON PUBLICATION some_tables IS 'a publication';
CREATE PUBLICATION whole_schema FOR TABLES IN SCHEMA league;
