--
-- PostgreSQL database dump
--

\restrict XTH7t2DUXyi3nRHkwD8ovpsqHdkO0fAeYVVcQEmd1xijRYLmcON9bVTbp4oKpN3

-- Dumped from database version 18.6
-- Dumped by pg_dump version 18.6

-- Started on 2026-11-23 21:35:12 UTC

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- TOC entry 10 (class 2615 OID 17776)
-- Name: league; Type: SCHEMA; Schema: -; Owner: postgres
--

CREATE SCHEMA league;


ALTER SCHEMA league OWNER TO postgres;

--
-- TOC entry 301 (class 1255 OID 17807)
-- Name: never(); Type: FUNCTION; Schema: league; Owner: postgres
--

CREATE FUNCTION league.never() RETURNS trigger
    LANGUAGE plpgsql
    AS $$BEGIN
SET default_tablespace = inside;
RETURN NULL; END$$;


ALTER FUNCTION league.never() OWNER TO postgres;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- TOC entry 300 (class 1259 OID 17826)
-- Name: a "name"; Type: x; Type: TABLE; Schema: league; Owner: postgres
--

CREATE TABLE league."a ""name""; Type: x" (
    id integer
);


ALTER TABLE league."a ""name""; Type: x" OWNER TO postgres;

SET default_tablespace = fast;

--
-- TOC entry 294 (class 1259 OID 17777)
-- Name: aaa; Type: TABLE; Schema: league; Owner: postgres; Tablespace: fast
--

CREATE TABLE league.aaa (
    id integer
);


ALTER TABLE league.aaa OWNER TO postgres;

SET default_tablespace = '';

--
-- TOC entry 297 (class 1259 OID 17804)
-- Name: goals; Type: TABLE; Schema: league; Owner: postgres
--

CREATE TABLE league.goals (
    season integer
)
PARTITION BY RANGE (season);


ALTER TABLE league.goals OWNER TO postgres;

--
-- TOC entry 296 (class 1259 OID 17789)
-- Name: matches; Type: TABLE; Schema: league; Owner: postgres
--

CREATE TABLE league.matches (
    id integer NOT NULL,
    home integer NOT NULL,
    season integer NOT NULL,
    CONSTRAINT matches_season_check CHECK ((season > 1900))
);


ALTER TABLE league.matches OWNER TO postgres;

--
-- TOC entry 298 (class 1259 OID 17809)
-- Name: squads; Type: VIEW; Schema: league; Owner: postgres
--

CREATE VIEW league.squads AS
SELECT
    NULL::integer AS id,
    NULL::text AS name;


ALTER VIEW league.squads OWNER TO postgres;

--
-- TOC entry 295 (class 1259 OID 17780)
-- Name: teams; Type: TABLE; Schema: league; Owner: postgres
--

CREATE TABLE league.teams (
    id integer NOT NULL,
    name text
);


ALTER TABLE league.teams OWNER TO postgres;

--
-- TOC entry 2817 (class 0 OID 0)
-- Dependencies: 295
-- Name: TABLE teams; Type: COMMENT; Schema: league; Owner: postgres
--

COMMENT ON TABLE league.teams IS 'SET default_tablespace = elsewhere;
SET default_tablespace = nowhere;
';


--
-- TOC entry 2655 (class 2606 OID 17787)
-- Name: teams teams_pkey; Type: CONSTRAINT; Schema: league; Owner: postgres
--

ALTER TABLE ONLY league.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);


--
-- TOC entry 2819 (class 0 OID 0)
-- Dependencies: 2655
-- Name: CONSTRAINT teams_pkey ON teams; Type: COMMENT; Schema: league; Owner: postgres
--

COMMENT ON CONSTRAINT teams_pkey ON league.teams IS 'the key';


--
-- TOC entry 299 (class 1259 OID 17813)
-- Name: sizes; Type: MATERIALIZED VIEW; Schema: league; Owner: postgres
--

CREATE MATERIALIZED VIEW league.sizes AS
 SELECT id,
    name
   FROM league.teams
  GROUP BY id
  WITH NO DATA;


ALTER MATERIALIZED VIEW league.sizes OWNER TO postgres;

--
-- TOC entry 2820 (class 0 OID 0)
-- Dependencies: 299
-- Name: MATERIALIZED VIEW sizes; Type: COMMENT; Schema: league; Owner: postgres
--

COMMENT ON MATERIALIZED VIEW league.sizes IS 'after a key';


--
-- TOC entry 2651 (class 2606 OID 17803)
-- Name: matches late_check; Type: CHECK CONSTRAINT; Schema: league; Owner: postgres
--

ALTER TABLE league.matches
    ADD CONSTRAINT late_check CHECK ((id > 0)) NOT VALID;


--
-- TOC entry 2657 (class 2606 OID 17797)
-- Name: matches matches_pkey; Type: CONSTRAINT; Schema: league; Owner: postgres
--

ALTER TABLE ONLY league.matches
    ADD CONSTRAINT matches_pkey PRIMARY KEY (id);


SET default_tablespace = fast;

--
-- TOC entry 2653 (class 1259 OID 17788)
-- Name: teams_name; Type: INDEX; Schema: league; Owner: postgres; Tablespace: fast
--

CREATE INDEX teams_name ON league.teams USING btree (name);


--
-- TOC entry 2821 (class 0 OID 0)
-- Dependencies: 2653
-- Name: INDEX teams_name; Type: COMMENT; Schema: league; Owner: postgres
--

COMMENT ON INDEX league.teams_name IS 'by name';


--
-- TOC entry 2807 (class 2618 OID 17812)
-- Name: squads _RETURN; Type: RULE; Schema: league; Owner: postgres
--

CREATE OR REPLACE VIEW league.squads AS
 SELECT id,
    name
   FROM league.teams
  GROUP BY id;


--
-- TOC entry 2659 (class 2620 OID 17808)
-- Name: teams never; Type: TRIGGER; Schema: league; Owner: postgres
--

CREATE TRIGGER never BEFORE INSERT ON league.teams FOR EACH STATEMENT EXECUTE FUNCTION league.never();


--
-- TOC entry 2658 (class 2606 OID 17798)
-- Name: matches matches_home_fkey; Type: FK CONSTRAINT; Schema: league; Owner: postgres
--

ALTER TABLE ONLY league.matches
    ADD CONSTRAINT matches_home_fkey FOREIGN KEY (home) REFERENCES league.teams(id);


--
-- TOC entry 2810 (class 3256 OID 17824)
-- Name: teams everybody; Type: POLICY; Schema: league; Owner: postgres
--

CREATE POLICY everybody ON league.teams USING (true);


--
-- TOC entry 2809 (class 0 OID 17780)
-- Dependencies: 295
-- Name: teams; Type: ROW SECURITY; Schema: league; Owner: postgres
--

ALTER TABLE league.teams ENABLE ROW LEVEL SECURITY;

--
-- TOC entry 2816 (class 0 OID 0)
-- Dependencies: 300
-- Name: TABLE "a ""name""; Type: x"; Type: ACL; Schema: league; Owner: postgres
--

GRANT SELECT ON TABLE league."a ""name""; Type: x" TO PUBLIC;


--
-- TOC entry 2818 (class 0 OID 0)
-- Dependencies: 295
-- Name: TABLE teams; Type: ACL; Schema: league; Owner: postgres
--

GRANT SELECT ON TABLE league.teams TO PUBLIC;


--
-- TOC entry 2285 (class 826 OID 17825)
-- Name: DEFAULT PRIVILEGES FOR TABLES; Type: DEFAULT ACL; Schema: league; Owner: postgres
--

ALTER DEFAULT PRIVILEGES FOR ROLE postgres IN SCHEMA league GRANT SELECT ON TABLES TO PUBLIC;


-- Completed on 2026-11-23 21:35:12 UTC

--
-- PostgreSQL database dump complete
--

\unrestrict XTH7t2DUXyi3nRHkwD8ovpsqHdkO0fAeYVVcQEmd1xijRYLmcON9bVTbp4oKpN3

