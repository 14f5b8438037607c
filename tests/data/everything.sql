-- A schema with one of everything that can live in a schema and hang on a table. Any object that a load left out,
-- changed or made in another order would show as a difference between two dumps.
CREATE SCHEMA league;
COMMENT ON SCHEMA league IS 'one of everything';
GRANT USAGE ON SCHEMA league TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA league GRANT SELECT ON TABLES TO pg_monitor;

-- types, functions
CREATE TYPE league.mood AS ENUM ('fine', 'so, "so"');
CREATE DOMAIN league.positive AS int CONSTRAINT above_zero CHECK (VALUE > 0);
COMMENT ON CONSTRAINT above_zero ON DOMAIN league.positive IS 'a comment on a constraint of a domain';
CREATE TYPE league.place AS (x int, y int);
CREATE COLLATION league.plain (provider = libc, locale = 'C');
CREATE FUNCTION league.doubled(value int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT value * 2';
CREATE FUNCTION league.never() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a trigger fired during the load';
END
$$;
CREATE AGGREGATE league.total(int) (SFUNC = pg_catalog.int4pl, STYPE = int, INITCOND = '0');
CREATE PROCEDURE league.nothing() LANGUAGE plpgsql AS $$ BEGIN NULL; END $$;

-- tables
CREATE TABLE league.teams (
    id int PRIMARY KEY,
    name text COLLATE league.plain NOT NULL,
    founded date,
    CONSTRAINT teams_name UNIQUE (name) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 70, autovacuum_enabled = false);
ALTER TABLE league.teams ALTER COLUMN name SET STATISTICS 500, ALTER COLUMN name SET STORAGE EXTERNAL;
ALTER TABLE league.teams REPLICA IDENTITY FULL;
CREATE TABLE league.players (
    id int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5) PRIMARY KEY,
    ticket serial NOT NULL,
    team_id int,
    name text NOT NULL,
    shirt league.positive,
    mood league.mood DEFAULT 'fine',
    place league.place,
    during daterange,
    twice int GENERATED ALWAYS AS (league.doubled(team_id)) STORED,
    CONSTRAINT has_a_name CHECK (name <> ''),
    CONSTRAINT one_at_a_time EXCLUDE USING gist (during WITH &&),
    CONSTRAINT players_team FOREIGN KEY (team_id) REFERENCES league.teams ON DELETE CASCADE DEFERRABLE
);
COMMENT ON CONSTRAINT players_team ON league.players IS 'a comment on a foreign key';
ALTER TABLE league.players ADD CONSTRAINT short_names CHECK (length(name) < 10) NOT VALID;
ALTER TABLE league.players ADD CONSTRAINT known_ticket FOREIGN KEY (ticket) REFERENCES league.teams NOT VALID;
CREATE INDEX players_lower ON league.players (lower(name)) WHERE team_id > 0;
CREATE UNIQUE INDEX players_cover ON league.players (ticket) INCLUDE (name) WITH (fillfactor = 80);
COMMENT ON INDEX league.players_cover IS 'a comment on an index';
ALTER TABLE league.players CLUSTER ON players_pkey;
CREATE STATISTICS league.players_related (dependencies) ON team_id, shirt FROM league.players;
COMMENT ON STATISTICS league.players_related IS 'a comment on statistics';
CREATE SEQUENCE league.countdown AS int INCREMENT -1 MINVALUE -1000 MAXVALUE -1 OWNED BY NONE;
CREATE TABLE league.veterans (since int) INHERITS (league.players);
CREATE UNLOGGED TABLE league.matches (
    id bigint NOT NULL DEFAULT nextval('league.countdown'),
    season int NOT NULL,
    home int NOT NULL REFERENCES league.teams,
    PRIMARY KEY (season, id)
);
CREATE TABLE league.goals (
    season int NOT NULL,
    id int NOT NULL,
    team_id int REFERENCES league.teams,
    PRIMARY KEY (season, id)
) PARTITION BY RANGE (season);
CREATE TABLE league.goals_old PARTITION OF league.goals FOR VALUES FROM (1900) TO (2000);
CREATE TABLE league.goals_other PARTITION OF league.goals DEFAULT;
CREATE INDEX goals_by_team ON league.goals (team_id);
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER nowhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE league.abroad (id int) SERVER nowhere;

-- what reads tables
CREATE VIEW league.named WITH (security_barrier) AS SELECT id, name FROM league.players;
CREATE VIEW league.counted AS SELECT count(*) AS players FROM league.named;
COMMENT ON VIEW league.counted IS 'a view on a view';
-- These three need the primary key, because they group by it alone.
CREATE VIEW league.squads AS
    SELECT t.id, t.name, count(*) AS players FROM league.teams t JOIN league.players p ON p.team_id = t.id GROUP BY t.id;
CREATE MATERIALIZED VIEW league.sizes AS
    SELECT t.id, t.name, count(*) AS players FROM league.teams t JOIN league.players p ON p.team_id = t.id GROUP BY t.id;
CREATE UNIQUE INDEX sizes_id ON league.sizes (id);
COMMENT ON MATERIALIZED VIEW league.sizes IS 'a comment on a materialized view that comes after a key';
CREATE FUNCTION league.roster(team int) RETURNS SETOF text LANGUAGE sql
    BEGIN ATOMIC SELECT name FROM league.teams WHERE id = team GROUP BY id; END;
CREATE MATERIALIZED VIEW league.largest AS SELECT max(players) AS players FROM league.sizes WITH NO DATA;

-- rules, triggers, policies
CREATE RULE no_update AS ON UPDATE TO league.matches DO INSTEAD NOTHING;
COMMENT ON RULE no_update ON league.matches IS 'a comment on a rule';
CREATE RULE no_insert AS ON INSERT TO league.matches DO INSTEAD NOTHING;
CREATE TRIGGER before_insert BEFORE INSERT ON league.players FOR EACH ROW EXECUTE FUNCTION league.never();
COMMENT ON TRIGGER before_insert ON league.players IS 'a comment on a trigger';
CREATE TRIGGER always BEFORE INSERT ON league.teams FOR EACH STATEMENT EXECUTE FUNCTION league.never();
ALTER TABLE league.teams ENABLE ALWAYS TRIGGER always;
CREATE TRIGGER switched_off AFTER DELETE ON league.teams FOR EACH ROW EXECUTE FUNCTION league.never();
ALTER TABLE league.teams DISABLE TRIGGER switched_off;
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON league.goals_old
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION league.never();
ALTER TABLE league.teams ENABLE ROW LEVEL SECURITY;
ALTER TABLE league.teams FORCE ROW LEVEL SECURITY;
CREATE POLICY founded_ones ON league.teams FOR SELECT TO pg_monitor USING (founded IS NOT NULL);
COMMENT ON POLICY founded_ones ON league.teams IS 'a comment on a policy';

-- owners and privileges
ALTER TABLE league.matches OWNER TO pg_monitor;
GRANT SELECT ON league.teams TO PUBLIC;
GRANT SELECT (id, name), UPDATE (name) ON league.players TO PUBLIC;
GRANT SELECT ON league.sizes, league.squads TO PUBLIC;
GRANT USAGE ON SEQUENCE league.countdown TO PUBLIC;
REVOKE EXECUTE ON FUNCTION league.doubled(int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION league.doubled(int) TO pg_monitor WITH GRANT OPTION;
REVOKE USAGE ON TYPE league.mood FROM PUBLIC;
