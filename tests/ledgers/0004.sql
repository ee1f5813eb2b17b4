--
-- PostgreSQL database dump
--


-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

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
-- Name: webflow; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA webflow;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: people; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.people (
    identity_key text,
    user_domain text,
    user_id text,
    identified_at timestamp with time zone
);


--
-- Name: sales; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.sales (
    conversion_id text,
    occurred_at timestamp with time zone,
    identity_key text,
    value numeric,
    event_name text
);


--
-- Name: acts; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.acts (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    person text NOT NULL,
    act text NOT NULL,
    filter jsonb NOT NULL,
    conversions integer DEFAULT 0 NOT NULL,
    outcome jsonb DEFAULT '{}'::jsonb NOT NULL,
    run_id text,
    CONSTRAINT acts_act_check CHECK ((act = ANY (ARRAY['send_again'::text, 'write_off'::text, 'download'::text])))
);


--
-- Name: COLUMN acts.filter; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.acts.filter IS 'Which conversions the person chose, as the page''s query parameters.';


--
-- Name: COLUMN acts.conversions; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.acts.conversions IS 'How many conversions it touched.';


--
-- Name: COLUMN acts.outcome; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.acts.outcome IS 'What it came to: conversions by their fate.';


--
-- Name: COLUMN acts.run_id; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.acts.run_id IS 'The run that was started with it.';


--
-- Name: acts_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.acts ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.acts_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: conversions; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.conversions (
    id bigint NOT NULL,
    destination text NOT NULL,
    source text NOT NULL,
    event_name text,
    conversion_id text,
    action_id text NOT NULL COLLATE pg_catalog."C",
    action_timestamp_ms bigint,
    value numeric(15,2),
    identity_key text,
    user_domain text,
    user_id text,
    state text NOT NULL,
    reason text,
    detail text,
    attempts integer DEFAULT 0 NOT NULL,
    attempts_in_doubt integer DEFAULT 0 NOT NULL,
    failures integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone,
    http_status smallint,
    trouble text,
    push_id bigint,
    refused_with text,
    first_seen_at timestamp with time zone NOT NULL,
    sent_at timestamp with time zone,
    settled_at timestamp with time zone,
    changed_after_sent_at timestamp with time zone,
    run_id text NOT NULL,
    CONSTRAINT conversions_state_check CHECK ((state = ANY (ARRAY['ready'::text, 'held'::text, 'future'::text, 'sending'::text, 'accepted'::text, 'rejected'::text, 'expired'::text]))),
    CONSTRAINT sendable_is_whole CHECK (((state <> ALL (ARRAY['ready'::text, 'sending'::text, 'accepted'::text])) OR (num_nonnulls(event_name, conversion_id, action_timestamp_ms, user_domain, user_id) = 5)))
)
WITH (fillfactor='90', autovacuum_vacuum_scale_factor='0.02', autovacuum_analyze_scale_factor='0.02');


--
-- Name: TABLE conversions; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON TABLE webflow.conversions IS 'One row a conversion: where it stands, and why.';


--
-- Name: COLUMN conversions.action_id; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.action_id IS 'The actionId sent to Webflow, derived from (destination, source, event_name, conversion_id) alone.';


--
-- Name: COLUMN conversions.detail; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.detail IS 'What the source gave where it is wrong.';


--
-- Name: COLUMN conversions.attempts; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.attempts IS 'Requests that left, or may have left.';


--
-- Name: COLUMN conversions.attempts_in_doubt; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.attempts_in_doubt IS 'Attempts without a known outcome: if another attempt followed, the conversion may have gone out more than once.';


--
-- Name: COLUMN conversions.failures; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.failures IS 'Attempts of the run run_id that are to be repeated.';


--
-- Name: COLUMN conversions.trouble; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.trouble IS 'How the last attempt went wrong.';


--
-- Name: COLUMN conversions.push_id; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.push_id IS 'The push that claimed the row last; a sending row of an ended push is in doubt.';


--
-- Name: COLUMN conversions.refused_with; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.refused_with IS 'Digest of the configuration with which the API refused the row.';


--
-- Name: COLUMN conversions.run_id; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.conversions.run_id IS 'The run that brought the row into its present state.';


--
-- Name: conversions_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.conversions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.conversions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1000
);


--
-- Name: daily_summary; Type: VIEW; Schema: webflow; Owner: -
--

CREATE VIEW webflow.daily_summary AS
 SELECT ((to_timestamp((((action_timestamp_ms)::numeric / 1000.0))::double precision) AT TIME ZONE 'UTC'::text))::date AS day,
    destination,
    source,
    event_name,
    state,
    reason,
    count(*) AS conversions,
    COALESCE(sum(value), (0)::numeric) AS value,
    count(*) FILTER (WHERE ((state = 'accepted'::text) AND (attempts_in_doubt > 0))) AS sent_more_than_once,
    count(changed_after_sent_at) AS changed_after_sent
   FROM webflow.conversions
  GROUP BY (((to_timestamp((((action_timestamp_ms)::numeric / 1000.0))::double precision) AT TIME ZONE 'UTC'::text))::date), destination, source, event_name, state, reason;


--
-- Name: VIEW daily_summary; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON VIEW webflow.daily_summary IS 'Conversions and money by the UTC day on which they happened (null where no moment is known), and by what became of them.';


--
-- Name: COLUMN daily_summary.sent_more_than_once; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.daily_summary.sent_more_than_once IS 'Accepted after an attempt whose answer was lost: Webflow may have them twice.';


--
-- Name: deployment; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.deployment (
    is_only boolean DEFAULT true NOT NULL,
    id text NOT NULL,
    since timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT deployment_is_only_check CHECK (is_only)
);


--
-- Name: COLUMN deployment.id; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.deployment.id IS 'The Airflow Variable webflow_deployment of the Airflow that plans its runs; at most one row.';


--
-- Name: destinations; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.destinations (
    destination text NOT NULL,
    next_slot_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    paused_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
);


--
-- Name: extracted; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.extracted (
    extraction bigint NOT NULL,
    conversion bigint NOT NULL,
    value numeric(15,2),
    alike integer NOT NULL,
    is_kept boolean DEFAULT false NOT NULL,
    action_timestamp_ms bigint,
    identity_key text,
    fault text,
    detail text
);


--
-- Name: COLUMN extracted.alike; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.extracted.alike IS 'How many source rows said the same.';


--
-- Name: COLUMN extracted.is_kept; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.extracted.is_kept IS 'The ledger kept what it had, since a request has left or may have; the columns after this one are what the source said.';


--
-- Name: extractions; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.extractions (
    id bigint NOT NULL,
    run bigint NOT NULL,
    source text NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    read_rows bigint,
    read_value numeric,
    recorded_rows bigint,
    recorded_value numeric,
    duplicate_rows bigint,
    duplicate_value numeric,
    conflicting_rows bigint,
    outside_rows bigint,
    outside_value numeric,
    too_old_rows bigint,
    too_old_value numeric,
    changed_after_sent_rows bigint
);


--
-- Name: extractions_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.extractions ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.extractions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: history; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.history (
    id bigint NOT NULL,
    conversion bigint NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    what text NOT NULL,
    http_status smallint,
    detail text,
    run_id text,
    person text
);


--
-- Name: history_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: pushes; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.pushes (
    id bigint NOT NULL,
    run bigint NOT NULL,
    destination text NOT NULL,
    worker integer NOT NULL,
    try_number integer NOT NULL,
    host text NOT NULL,
    pid integer NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL
);


--
-- Name: COLUMN pushes.expires_at; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.pushes.expires_at IS 'The end of the lease on the rows it claimed; renewed while it lives.';


--
-- Name: COLUMN pushes.ended_at; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.pushes.ended_at IS 'When it ended in good order, or was declared dead.';


--
-- Name: pushes_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.pushes ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.pushes_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: runs; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.runs (
    id bigint NOT NULL,
    dag_id text NOT NULL,
    run_id text NOT NULL,
    run_type text NOT NULL,
    window_start timestamp with time zone NOT NULL,
    window_end timestamp with time zone NOT NULL,
    sources text[] NOT NULL,
    dry_run boolean DEFAULT false NOT NULL,
    forced boolean DEFAULT false NOT NULL,
    clock_offset_ms bigint,
    started_at timestamp with time zone NOT NULL,
    cleared_at timestamp with time zone,
    ended_at timestamp with time zone,
    outcome text,
    notes text[] DEFAULT '{}'::text[] NOT NULL,
    problems text[] DEFAULT '{}'::text[] NOT NULL,
    counts jsonb DEFAULT '{}'::jsonb NOT NULL,
    forecast jsonb,
    last_extraction_before bigint DEFAULT 0 NOT NULL,
    CONSTRAINT runs_outcome_check CHECK ((outcome = ANY (ARRAY['succeeded'::text, 'failed'::text])))
);


--
-- Name: TABLE runs; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON TABLE webflow.runs IS 'One row a run: its window, and what became of the rows that it read, by source, state and reason.';


--
-- Name: COLUMN runs.clock_offset_ms; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.runs.clock_offset_ms IS 'The API''s Date header minus our clock, when the run began.';


--
-- Name: COLUMN runs.cleared_at; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.runs.cleared_at IS 'When the guards let the run send; a push of a run that is not cleared sends nothing.';


--
-- Name: COLUMN runs.last_extraction_before; Type: COMMENT; Schema: webflow; Owner: -
--

COMMENT ON COLUMN webflow.runs.last_extraction_before IS 'The last extraction of the run when plan opened it anew; only those after it count.';


--
-- Name: runs_id_seq; Type: SEQUENCE; Schema: webflow; Owner: -
--

ALTER TABLE webflow.runs ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME webflow.runs_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: schema_migrations; Type: TABLE; Schema: webflow; Owner: -
--

CREATE TABLE webflow.schema_migrations (
    version integer NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp with time zone DEFAULT now() NOT NULL
);


--
-- Data for Name: people; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.people (identity_key, user_domain, user_id, identified_at) FROM stdin;
k1	crm	u1	2026-11-14 22:00:00+00
\.


--
-- Data for Name: sales; Type: TABLE DATA; Schema: public; Owner: -
--

COPY public.sales (conversion_id, occurred_at, identity_key, value, event_name) FROM stdin;
accepted-0	2026-11-22 16:00:00+00	k1	10.00	\N
accepted-1	2026-11-22 15:59:00+00	k1	10.00	\N
accepted-2	2026-11-22 15:58:00+00	k1	10.00	\N
accepted-3	2026-11-22 15:57:00+00	k1	10.00	\N
accepted-4	2026-11-22 15:56:00+00	k1	10.00	\N
accepted-5	2026-11-22 15:55:00+00	k1	10.00	\N
accepted-6	2026-11-22 15:54:00+00	k1	10.00	\N
accepted-7	2026-11-22 15:53:00+00	k1	10.00	\N
accepted-8	2026-11-22 15:52:00+00	k1	10.00	\N
accepted-9	2026-11-22 15:51:00+00	k1	10.00	\N
accepted-10	2026-11-22 15:50:00+00	k1	10.00	\N
accepted-11	2026-11-22 15:49:00+00	k1	10.00	\N
accepted-12	2026-11-22 15:48:00+00	k1	10.00	\N
accepted-13	2026-11-22 15:47:00+00	k1	10.00	\N
accepted-14	2026-11-22 15:46:00+00	k1	10.00	\N
accepted-15	2026-11-22 15:45:00+00	k1	10.00	\N
accepted-16	2026-11-22 15:44:00+00	k1	10.00	\N
accepted-17	2026-11-22 15:43:00+00	k1	10.00	\N
accepted-18	2026-11-22 15:42:00+00	k1	10.00	\N
accepted-19	2026-11-22 15:41:00+00	k1	10.00	\N
refused	2026-11-23 19:00:00+00	k1	10.00	\N
in-flight-0	2026-11-23 02:00:00+00	k1	10.00	\N
in-flight-1	2026-11-23 02:00:00+00	k1	10.00	\N
in-flight-2	2026-11-23 02:00:00+00	k1	10.00	\N
ready	2026-11-23 20:00:00+00	k1	10.00	\N
held	2026-11-23 21:00:00+00	stranger	10.00	\N
future	2026-11-24 00:00:00+00	k1	10.00	\N
rejected	2026-11-23 21:00:00+00	k1	-1	\N
expired	2026-11-21 20:00:00+00	k1	10.00	\N
\.


--
-- Data for Name: acts; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.acts (id, at, person, act, filter, conversions, outcome, run_id) FROM stdin;
\.


--
-- Data for Name: conversions; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.conversions (id, destination, source, event_name, conversion_id, action_id, action_timestamp_ms, value, identity_key, user_domain, user_id, state, reason, detail, attempts, attempts_in_doubt, failures, retry_at, http_status, trouble, push_id, refused_with, first_seen_at, sent_at, settled_at, changed_after_sent_at, run_id) FROM stdin;
20	webflow_default	sales	offline-purchase	accepted-19	webflow_default/sales/offline-purchase/accepted-19	1795362060000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.827182+00	\N	accepted
19	webflow_default	sales	offline-purchase	accepted-18	webflow_default/sales/offline-purchase/accepted-18	1795362120000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833249+00	\N	accepted
12	webflow_default	sales	offline-purchase	accepted-11	webflow_default/sales/offline-purchase/accepted-11	1795362540000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833358+00	\N	accepted
18	webflow_default	sales	offline-purchase	accepted-17	webflow_default/sales/offline-purchase/accepted-17	1795362180000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833369+00	\N	accepted
17	webflow_default	sales	offline-purchase	accepted-16	webflow_default/sales/offline-purchase/accepted-16	1795362240000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833376+00	\N	accepted
16	webflow_default	sales	offline-purchase	accepted-15	webflow_default/sales/offline-purchase/accepted-15	1795362300000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833382+00	\N	accepted
15	webflow_default	sales	offline-purchase	accepted-14	webflow_default/sales/offline-purchase/accepted-14	1795362360000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833387+00	\N	accepted
14	webflow_default	sales	offline-purchase	accepted-13	webflow_default/sales/offline-purchase/accepted-13	1795362420000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833392+00	\N	accepted
13	webflow_default	sales	offline-purchase	accepted-12	webflow_default/sales/offline-purchase/accepted-12	1795362480000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833398+00	\N	accepted
11	webflow_default	sales	offline-purchase	accepted-10	webflow_default/sales/offline-purchase/accepted-10	1795362600000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833403+00	\N	accepted
5	webflow_default	sales	offline-purchase	accepted-4	webflow_default/sales/offline-purchase/accepted-4	1795362960000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934711+00	\N	accepted
6	webflow_default	sales	offline-purchase	accepted-5	webflow_default/sales/offline-purchase/accepted-5	1795362900000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934811+00	\N	accepted
1	webflow_default	sales	offline-purchase	accepted-0	webflow_default/sales/offline-purchase/accepted-0	1795363200000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934826+00	\N	accepted
2	webflow_default	sales	offline-purchase	accepted-1	webflow_default/sales/offline-purchase/accepted-1	1795363140000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934841+00	\N	accepted
3	webflow_default	sales	offline-purchase	accepted-2	webflow_default/sales/offline-purchase/accepted-2	1795363080000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934849+00	\N	accepted
4	webflow_default	sales	offline-purchase	accepted-3	webflow_default/sales/offline-purchase/accepted-3	1795363020000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.934856+00	\N	accepted
21	webflow_default	sales	offline-purchase	refused	webflow_default/sales/offline-purchase/refused	1795460400000	10.00	k1	crm	u1	rejected	refused_422	\N	1	0	0	\N	422	{"error": "The simulator was told to answer 422."}	2	configuration	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:43.163121+00	\N	refused
22	webflow_default	sales	offline-purchase	in-flight-0	webflow_default/sales/offline-purchase/in-flight-0	1795399200000	10.00	k1	crm	u1	sending	\N	\N	0	0	0	\N	\N	\N	3	\N	2026-11-23 22:00:00+00	\N	\N	\N	dying
23	webflow_default	sales	offline-purchase	in-flight-1	webflow_default/sales/offline-purchase/in-flight-1	1795399200000	10.00	k1	crm	u1	sending	\N	\N	0	0	0	\N	\N	\N	3	\N	2026-11-23 22:00:00+00	\N	\N	\N	dying
24	webflow_default	sales	offline-purchase	in-flight-2	webflow_default/sales/offline-purchase/in-flight-2	1795399200000	10.00	k1	crm	u1	sending	\N	\N	0	0	0	\N	\N	\N	3	\N	2026-11-23 22:00:00+00	\N	\N	\N	dying
25	webflow_default	sales	offline-purchase	ready	webflow_default/sales/offline-purchase/ready	1795464000000	10.00	k1	crm	u1	ready	\N	\N	0	0	0	\N	\N	\N	\N	\N	2026-11-23 22:00:00+00	\N	\N	\N	waiting
26	webflow_default	sales	offline-purchase	held	webflow_default/sales/offline-purchase/held	1795467600000	10.00	stranger	\N	\N	held	unknown_user	\N	0	0	0	\N	\N	\N	\N	\N	2026-11-23 22:00:00+00	\N	\N	\N	waiting
27	webflow_default	sales	offline-purchase	future	webflow_default/sales/offline-purchase/future	1795478400000	10.00	k1	\N	\N	future	\N	\N	0	0	0	\N	\N	\N	\N	\N	2026-11-23 22:00:00+00	\N	\N	\N	waiting
28	webflow_default	sales	offline-purchase	rejected	webflow_default/sales/offline-purchase/rejected	1795467600000	\N	k1	\N	\N	rejected	negative_value	value = -1	0	0	0	\N	\N	\N	\N	\N	2026-11-23 22:00:00+00	\N	2026-11-23 22:00:00+00	\N	waiting
29	webflow_default	sales	offline-purchase	expired	webflow_default/sales/offline-purchase/expired	1795291200000	10.00	k1	\N	\N	expired	expired_before_seen	\N	0	0	0	\N	\N	\N	\N	\N	2026-11-23 22:00:00+00	\N	2026-11-23 22:00:00+00	\N	waiting
10	webflow_default	sales	offline-purchase	accepted-9	webflow_default/sales/offline-purchase/accepted-9	1795362660000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833409+00	\N	accepted
9	webflow_default	sales	offline-purchase	accepted-8	webflow_default/sales/offline-purchase/accepted-8	1795362720000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833708+00	\N	accepted
8	webflow_default	sales	offline-purchase	accepted-7	webflow_default/sales/offline-purchase/accepted-7	1795362780000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833717+00	\N	accepted
7	webflow_default	sales	offline-purchase	accepted-6	webflow_default/sales/offline-purchase/accepted-6	1795362840000	10.00	k1	crm	u1	accepted	\N	\N	1	0	0	\N	200	\N	1	\N	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	2026-11-24 00:17:42.833723+00	\N	accepted
\.


--
-- Data for Name: deployment; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.deployment (is_only, id, since) FROM stdin;
\.


--
-- Data for Name: destinations; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.destinations (destination, next_slot_at, paused_until) FROM stdin;
webflow_default	-infinity	-infinity
\.


--
-- Data for Name: extracted; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.extracted (extraction, conversion, value, alike, is_kept, action_timestamp_ms, identity_key, fault, detail) FROM stdin;
1	1	10.00	1	f	\N	\N	\N	\N
1	2	10.00	1	f	\N	\N	\N	\N
1	3	10.00	1	f	\N	\N	\N	\N
1	4	10.00	1	f	\N	\N	\N	\N
1	5	10.00	1	f	\N	\N	\N	\N
1	6	10.00	1	f	\N	\N	\N	\N
1	7	10.00	1	f	\N	\N	\N	\N
1	8	10.00	1	f	\N	\N	\N	\N
1	9	10.00	1	f	\N	\N	\N	\N
1	10	10.00	1	f	\N	\N	\N	\N
1	11	10.00	1	f	\N	\N	\N	\N
1	12	10.00	1	f	\N	\N	\N	\N
1	13	10.00	1	f	\N	\N	\N	\N
1	14	10.00	1	f	\N	\N	\N	\N
1	15	10.00	1	f	\N	\N	\N	\N
1	16	10.00	1	f	\N	\N	\N	\N
1	17	10.00	1	f	\N	\N	\N	\N
1	18	10.00	1	f	\N	\N	\N	\N
1	19	10.00	1	f	\N	\N	\N	\N
1	20	10.00	1	f	\N	\N	\N	\N
2	1	10.00	1	f	\N	\N	\N	\N
2	2	10.00	1	f	\N	\N	\N	\N
2	3	10.00	1	f	\N	\N	\N	\N
2	4	10.00	1	f	\N	\N	\N	\N
2	5	10.00	1	f	\N	\N	\N	\N
2	6	10.00	1	f	\N	\N	\N	\N
2	7	10.00	1	f	\N	\N	\N	\N
2	8	10.00	1	f	\N	\N	\N	\N
2	9	10.00	1	f	\N	\N	\N	\N
2	10	10.00	1	f	\N	\N	\N	\N
2	11	10.00	1	f	\N	\N	\N	\N
2	12	10.00	1	f	\N	\N	\N	\N
2	13	10.00	1	f	\N	\N	\N	\N
2	14	10.00	1	f	\N	\N	\N	\N
2	15	10.00	1	f	\N	\N	\N	\N
2	16	10.00	1	f	\N	\N	\N	\N
2	17	10.00	1	f	\N	\N	\N	\N
2	18	10.00	1	f	\N	\N	\N	\N
2	19	10.00	1	f	\N	\N	\N	\N
2	20	10.00	1	f	\N	\N	\N	\N
2	21	10.00	1	f	\N	\N	\N	\N
3	1	10.00	1	f	\N	\N	\N	\N
3	2	10.00	1	f	\N	\N	\N	\N
3	3	10.00	1	f	\N	\N	\N	\N
3	4	10.00	1	f	\N	\N	\N	\N
3	5	10.00	1	f	\N	\N	\N	\N
3	6	10.00	1	f	\N	\N	\N	\N
3	7	10.00	1	f	\N	\N	\N	\N
3	8	10.00	1	f	\N	\N	\N	\N
3	9	10.00	1	f	\N	\N	\N	\N
3	10	10.00	1	f	\N	\N	\N	\N
3	11	10.00	1	f	\N	\N	\N	\N
3	12	10.00	1	f	\N	\N	\N	\N
3	13	10.00	1	f	\N	\N	\N	\N
3	14	10.00	1	f	\N	\N	\N	\N
3	15	10.00	1	f	\N	\N	\N	\N
3	16	10.00	1	f	\N	\N	\N	\N
3	17	10.00	1	f	\N	\N	\N	\N
3	18	10.00	1	f	\N	\N	\N	\N
3	19	10.00	1	f	\N	\N	\N	\N
3	20	10.00	1	f	\N	\N	\N	\N
3	21	10.00	1	f	\N	\N	\N	\N
3	22	10.00	1	f	\N	\N	\N	\N
3	23	10.00	1	f	\N	\N	\N	\N
3	24	10.00	1	f	\N	\N	\N	\N
4	1	10.00	1	f	\N	\N	\N	\N
4	2	10.00	1	f	\N	\N	\N	\N
4	3	10.00	1	f	\N	\N	\N	\N
4	4	10.00	1	f	\N	\N	\N	\N
4	5	10.00	1	f	\N	\N	\N	\N
4	6	10.00	1	f	\N	\N	\N	\N
4	7	10.00	1	f	\N	\N	\N	\N
4	8	10.00	1	f	\N	\N	\N	\N
4	9	10.00	1	f	\N	\N	\N	\N
4	10	10.00	1	f	\N	\N	\N	\N
4	11	10.00	1	f	\N	\N	\N	\N
4	12	10.00	1	f	\N	\N	\N	\N
4	13	10.00	1	f	\N	\N	\N	\N
4	14	10.00	1	f	\N	\N	\N	\N
4	15	10.00	1	f	\N	\N	\N	\N
4	16	10.00	1	f	\N	\N	\N	\N
4	17	10.00	1	f	\N	\N	\N	\N
4	18	10.00	1	f	\N	\N	\N	\N
4	19	10.00	1	f	\N	\N	\N	\N
4	20	10.00	1	f	\N	\N	\N	\N
4	21	10.00	1	f	\N	\N	\N	\N
4	22	10.00	1	f	\N	\N	\N	\N
4	23	10.00	1	f	\N	\N	\N	\N
4	24	10.00	1	f	\N	\N	\N	\N
4	25	10.00	1	f	\N	\N	\N	\N
4	26	10.00	1	f	\N	\N	\N	\N
4	27	10.00	1	f	\N	\N	\N	\N
4	28	\N	1	f	\N	\N	\N	\N
4	29	10.00	1	f	\N	\N	\N	\N
\.


--
-- Data for Name: extractions; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.extractions (id, run, source, started_at, ended_at, read_rows, read_value, recorded_rows, recorded_value, duplicate_rows, duplicate_value, conflicting_rows, outside_rows, outside_value, too_old_rows, too_old_value, changed_after_sent_rows) FROM stdin;
1	1	sales	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	20	200	20	200	0	0	0	0	0	0	0	0
2	2	sales	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	21	210	21	210	0	0	0	0	0	0	0	0
3	3	sales	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	24	240	24	240	0	0	0	0	0	0	0	0
4	4	sales	2026-11-23 22:00:00+00	2026-11-23 22:00:00+00	29	280	29	280	0	0	0	0	0	0	0	0
\.


--
-- Data for Name: history; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.history (id, conversion, at, what, http_status, detail, run_id, person) FROM stdin;
1	21	2026-11-24 00:17:43.163601+00	attempt_failed	422	{"error": "The simulator was told to answer 422."}	refused	\N
\.


--
-- Data for Name: pushes; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.pushes (id, run, destination, worker, try_number, host, pid, started_at, expires_at, ended_at, counts) FROM stdin;
1	1	webflow_default	0	1	worker-1	1	2026-11-24 00:17:42.812857+00	2026-11-24 00:17:42.938624+00	2026-11-24 00:17:42.938624+00	{"claimed": 20, "expired": 0, "accepted": 20, "complete": true, "deferred": 0, "in_doubt": 0, "rejected": {}, "requests": 20, "recovered": 0}
2	2	webflow_default	0	1	worker-1	1	2026-11-24 00:17:43.049785+00	2026-11-24 00:17:43.165934+00	2026-11-24 00:17:43.165935+00	{"claimed": 1, "expired": 0, "accepted": 0, "complete": true, "deferred": 0, "in_doubt": 0, "rejected": {"refused_422": 1}, "requests": 1, "recovered": 0}
3	3	webflow_default	0	1	worker-1	1	2026-11-24 00:17:43.30261+00	2026-11-24 00:17:43.30261+00	\N	{}
\.


--
-- Data for Name: runs; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.runs (id, dag_id, run_id, run_type, window_start, window_end, sources, dry_run, forced, clock_offset_ms, started_at, cleared_at, ended_at, outcome, notes, problems, counts, forecast, last_extraction_before) FROM stdin;
1	nightly	accepted	manual	2026-11-21 22:00:00+00	2026-11-23 22:00:00+00	{sales}	f	f	\N	2026-11-23 22:00:00+00	2026-11-24 00:17:42.801626+00	\N	\N	{}	{}	{}	\N	0
2	nightly	refused	manual	2026-11-21 22:00:00+00	2026-11-23 22:00:00+00	{sales}	f	f	\N	2026-11-23 22:00:00+00	2026-11-24 00:17:43.037087+00	\N	\N	{}	{}	{}	\N	0
3	nightly	dying	manual	2026-11-21 22:00:00+00	2026-11-23 22:00:00+00	{sales}	f	f	\N	2026-11-23 22:00:00+00	2026-11-24 00:17:43.293677+00	\N	\N	{}	{}	{}	\N	0
4	nightly	waiting	manual	2026-11-21 22:00:00+00	2026-11-23 22:00:00+00	{sales}	f	f	\N	2026-11-23 22:00:00+00	2026-11-24 00:17:43.433951+00	\N	\N	{}	{}	{}	\N	0
\.


--
-- Data for Name: schema_migrations; Type: TABLE DATA; Schema: webflow; Owner: -
--

COPY webflow.schema_migrations (version, name, checksum, applied_at) FROM stdin;
1	0001_ledger.sql	e4d616bd182a21b6b268c6d450e741e3be2633e45b0cef1c1b13c68f957c5d14	2026-11-24 00:17:42.361229+00
2	0002_deployment.sql	fa183bfc635d916e25a66b5af058296f11428463e7e98e231b23495667d2889a	2026-11-24 00:17:42.361229+00
3	0003_decided.sql	426928166e5fb9d17a57645bbf0b1400982b0a3268b61e34accc671753364c12	2026-11-24 00:17:42.361229+00
4	0004_passes.sql	2ad290daa5a2398b80f6f48bdd6aba623f66a1df341daea47794455c152c92b8	2026-11-24 00:17:42.361229+00
\.


--
-- Name: acts_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.acts_id_seq', 1, false);


--
-- Name: conversions_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.conversions_id_seq', 1000, true);


--
-- Name: extractions_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.extractions_id_seq', 4, true);


--
-- Name: history_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.history_id_seq', 1, true);


--
-- Name: pushes_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.pushes_id_seq', 3, true);


--
-- Name: runs_id_seq; Type: SEQUENCE SET; Schema: webflow; Owner: -
--

SELECT pg_catalog.setval('webflow.runs_id_seq', 4, true);


--
-- Name: acts acts_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.acts
    ADD CONSTRAINT acts_pkey PRIMARY KEY (id);


--
-- Name: conversions conversions_action_id_key; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.conversions
    ADD CONSTRAINT conversions_action_id_key UNIQUE (action_id);


--
-- Name: conversions conversions_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.conversions
    ADD CONSTRAINT conversions_pkey PRIMARY KEY (id);


--
-- Name: deployment deployment_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.deployment
    ADD CONSTRAINT deployment_pkey PRIMARY KEY (is_only);


--
-- Name: destinations destinations_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.destinations
    ADD CONSTRAINT destinations_pkey PRIMARY KEY (destination);


--
-- Name: extracted extracted_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.extracted
    ADD CONSTRAINT extracted_pkey PRIMARY KEY (extraction, conversion);


--
-- Name: extractions extractions_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.extractions
    ADD CONSTRAINT extractions_pkey PRIMARY KEY (id);


--
-- Name: history history_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (id);


--
-- Name: pushes pushes_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.pushes
    ADD CONSTRAINT pushes_pkey PRIMARY KEY (id);


--
-- Name: runs runs_dag_id_run_id_key; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.runs
    ADD CONSTRAINT runs_dag_id_run_id_key UNIQUE (dag_id, run_id);


--
-- Name: runs runs_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (id);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: conversions_accepted; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_accepted ON webflow.conversions USING btree (push_id) WHERE (state = 'accepted'::text);


--
-- Name: conversions_changed; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_changed ON webflow.conversions USING btree (id) WHERE (changed_after_sent_at IS NOT NULL);


--
-- Name: conversions_decided; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_decided ON webflow.conversions USING btree (settled_at) WHERE ((state = ANY (ARRAY['rejected'::text, 'expired'::text])) AND (reason IS DISTINCT FROM 'expired_before_seen'::text));


--
-- Name: conversions_doubted; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_doubted ON webflow.conversions USING btree (id) WHERE (attempts_in_doubt > 0);


--
-- Name: conversions_lost; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_lost ON webflow.conversions USING btree (run_id) WHERE ((state = 'expired'::text) AND (reason = ANY (ARRAY['expired_unsent'::text, 'expired_in_doubt'::text])));


--
-- Name: conversions_ready; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_ready ON webflow.conversions USING btree (destination, action_timestamp_ms, id) WHERE (state = 'ready'::text);


--
-- Name: conversions_sending; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_sending ON webflow.conversions USING btree (push_id) WHERE (state = 'sending'::text);


--
-- Name: conversions_turned_away; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_turned_away ON webflow.conversions USING btree (state, settled_at, id) WHERE (state = ANY (ARRAY['rejected'::text, 'expired'::text]));


--
-- Name: conversions_user; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_user ON webflow.conversions USING hash (user_id) WHERE (state = ANY (ARRAY['accepted'::text, 'rejected'::text, 'expired'::text]));


--
-- Name: conversions_waiting; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX conversions_waiting ON webflow.conversions USING btree (state, action_timestamp_ms, id) WHERE (state = ANY (ARRAY['held'::text, 'future'::text]));


--
-- Name: extracted_kept; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX extracted_kept ON webflow.extracted USING btree (extraction) WHERE is_kept;


--
-- Name: extractions_run; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX extractions_run ON webflow.extractions USING btree (run);


--
-- Name: history_conversion; Type: INDEX; Schema: webflow; Owner: -
--

CREATE INDEX history_conversion ON webflow.history USING btree (conversion);


--
-- Name: extractions extractions_run_fkey; Type: FK CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.extractions
    ADD CONSTRAINT extractions_run_fkey FOREIGN KEY (run) REFERENCES webflow.runs(id) ON DELETE CASCADE;


--
-- Name: history history_conversion_fkey; Type: FK CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.history
    ADD CONSTRAINT history_conversion_fkey FOREIGN KEY (conversion) REFERENCES webflow.conversions(id) ON DELETE CASCADE;


--
-- Name: pushes pushes_run_fkey; Type: FK CONSTRAINT; Schema: webflow; Owner: -
--

ALTER TABLE ONLY webflow.pushes
    ADD CONSTRAINT pushes_run_fkey FOREIGN KEY (run) REFERENCES webflow.runs(id) ON DELETE CASCADE;


--
-- PostgreSQL database dump complete
--


