-- A store as version 5 of the schema made it in PostgreSQL; taken from that version, not to be changed with the code.
CREATE EXTENSION vector SCHEMA public;
SET check_function_bodies = false;
CREATE SCHEMA dionysus;
CREATE FUNCTION dionysus.graph_tell() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO graph_change(tenant, project, kind, ref) SELECT old.tenant, old.project, 'memory', old.id WHERE EXISTS (SELECT 1 FROM graph_mirror WHERE tenant = old.tenant AND project = old.project); RETURN NULL; END $$;
CREATE FUNCTION dionysus.memory_close() RETURNS trigger
    LANGUAGE plpgsql
    AS $$ BEGIN INSERT INTO closure (memory_seq) VALUES (old.seq); RETURN NULL; END $$;
CREATE TABLE dionysus.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE dionysus.closure (
    seq bigint NOT NULL,
    memory_seq bigint NOT NULL
);
CREATE SEQUENCE dionysus.closure_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE dionysus.closure_seq_seq OWNED BY dionysus.closure.seq;
CREATE TABLE dionysus.consolidation_action (
    seq bigint NOT NULL,
    run_id character varying NOT NULL,
    kind character varying NOT NULL,
    memory_seq bigint NOT NULL,
    other_seq bigint,
    similarity double precision,
    before character varying,
    after character varying,
    restored_seq bigint,
    hash character varying NOT NULL,
    other_hash character varying,
    undone_at timestamp without time zone,
    kept character varying
);
CREATE SEQUENCE dionysus.consolidation_action_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE dionysus.consolidation_action_seq_seq OWNED BY dionysus.consolidation_action.seq;
CREATE TABLE dionysus.consolidation_lease (
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    session_id character varying DEFAULT ''::character varying NOT NULL,
    holder character varying NOT NULL,
    until timestamp without time zone NOT NULL
);
CREATE TABLE dionysus.consolidation_run (
    id character varying NOT NULL,
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    session_id character varying DEFAULT ''::character varying NOT NULL,
    started_at timestamp without time zone NOT NULL,
    ended_at timestamp without time zone,
    undone_at timestamp without time zone,
    seen bigint NOT NULL
);
CREATE TABLE dionysus.graph_change (
    seq integer NOT NULL,
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    kind character varying NOT NULL,
    ref character varying NOT NULL
);
CREATE SEQUENCE dionysus.graph_change_seq_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE dionysus.graph_change_seq_seq OWNED BY dionysus.graph_change.seq;
CREATE TABLE dionysus.graph_entity (
    id character varying NOT NULL,
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    key character varying NOT NULL,
    head character varying NOT NULL,
    name character varying NOT NULL,
    kind character varying NOT NULL
);
CREATE TABLE dionysus.graph_mention (
    entity_id character varying NOT NULL,
    memory_seq integer NOT NULL,
    how character varying NOT NULL
);
CREATE TABLE dionysus.graph_mirror (
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    graph character varying NOT NULL
);
CREATE TABLE dionysus.graph_relation (
    id character varying NOT NULL,
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    session_id character varying DEFAULT ''::character varying NOT NULL,
    subject_id character varying NOT NULL,
    type character varying NOT NULL,
    object_id character varying NOT NULL,
    memory_seq integer,
    extractor character varying NOT NULL,
    told_by character varying,
    confidence double precision NOT NULL,
    first integer,
    last integer,
    valid_from timestamp without time zone,
    valid_to timestamp without time zone,
    recorded_from timestamp without time zone NOT NULL,
    recorded_to timestamp without time zone,
    ending_reason text
);
CREATE TABLE dionysus.graph_seen (
    memory_seq integer NOT NULL,
    reader character varying NOT NULL
);
CREATE TABLE dionysus.ingested (
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    session_id character varying DEFAULT ''::character varying NOT NULL,
    origin character varying NOT NULL,
    digest character varying NOT NULL,
    pieces integer NOT NULL,
    recorded_at timestamp without time zone NOT NULL
);
CREATE TABLE dionysus.memory (
    seq bigint NOT NULL,
    id character varying NOT NULL,
    tenant character varying DEFAULT 'local'::character varying NOT NULL,
    project character varying DEFAULT 'default'::character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    hash character varying NOT NULL,
    content text NOT NULL,
    context text DEFAULT ''::text NOT NULL,
    memory_type character varying NOT NULL,
    importance double precision NOT NULL,
    metadata json NOT NULL,
    speaker character varying,
    session_id character varying,
    source character varying,
    source_position character varying,
    origin character varying,
    occurred_at timestamp without time zone,
    valid_from timestamp without time zone,
    valid_to timestamp without time zone,
    recorded_from timestamp without time zone NOT NULL,
    recorded_to timestamp without time zone,
    lineage character varying,
    ending character varying,
    ending_reason text
);
CREATE TABLE dionysus.memory_link (
    kind character varying NOT NULL,
    from_seq bigint NOT NULL,
    to_seq bigint NOT NULL,
    similarity double precision,
    start integer,
    stop integer
);
CREATE SEQUENCE dionysus.memory_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE dionysus.memory_seq_seq OWNED BY dionysus.memory.seq;
CREATE TABLE dionysus.memory_strength (
    memory_seq bigint NOT NULL,
    recalls integer NOT NULL,
    recalled_at timestamp without time zone,
    stability double precision NOT NULL,
    band character varying NOT NULL
);
CREATE TABLE dionysus.memory_words (
    memory_seq bigint NOT NULL,
    length integer NOT NULL,
    words tsvector NOT NULL
);
CREATE TABLE dionysus.mental_model (
    id character varying NOT NULL,
    tenant character varying NOT NULL,
    project character varying NOT NULL,
    owner character varying DEFAULT ''::character varying NOT NULL,
    session_id character varying DEFAULT ''::character varying NOT NULL,
    domain character varying NOT NULL,
    statement text NOT NULL,
    concepts json NOT NULL,
    prediction_templates json NOT NULL,
    status character varying NOT NULL,
    version integer NOT NULL,
    alpha double precision NOT NULL,
    beta double precision NOT NULL,
    created_at timestamp without time zone NOT NULL
);
CREATE TABLE dionysus.model_revision (
    model_id character varying NOT NULL,
    version integer NOT NULL,
    statement text NOT NULL,
    reason text NOT NULL,
    at timestamp without time zone NOT NULL,
    accuracy double precision,
    resolved integer NOT NULL
);
CREATE TABLE dionysus.passage (
    memory_seq bigint NOT NULL,
    model character varying NOT NULL,
    spans bytea NOT NULL,
    vectors bytea NOT NULL
);
CREATE TABLE dionysus.piece (
    memory_seq bigint NOT NULL,
    model character varying NOT NULL,
    signs bytea NOT NULL
);
CREATE TABLE dionysus.prediction (
    id character varying NOT NULL,
    model_id character varying NOT NULL,
    model_version integer NOT NULL,
    statement text NOT NULL,
    probability double precision NOT NULL,
    context text,
    rule text,
    created_at timestamp without time zone NOT NULL,
    expires_at timestamp without time zone,
    status character varying NOT NULL,
    outcome boolean,
    observation text,
    resolved_at timestamp without time zone,
    brier double precision,
    log_score double precision
);
CREATE TABLE dionysus.vector (
    seq bigint NOT NULL,
    memory_seq bigint NOT NULL,
    model character varying NOT NULL,
    dimension integer NOT NULL,
    format character varying NOT NULL,
    vector public.halfvec NOT NULL,
    terms bytea NOT NULL,
    traits integer NOT NULL
);
CREATE SEQUENCE dionysus.vector_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE dionysus.vector_seq_seq OWNED BY dionysus.vector.seq;
ALTER TABLE ONLY dionysus.closure ALTER COLUMN seq SET DEFAULT nextval('dionysus.closure_seq_seq'::regclass);
ALTER TABLE ONLY dionysus.consolidation_action ALTER COLUMN seq SET DEFAULT nextval('dionysus.consolidation_action_seq_seq'::regclass);
ALTER TABLE ONLY dionysus.graph_change ALTER COLUMN seq SET DEFAULT nextval('dionysus.graph_change_seq_seq'::regclass);
ALTER TABLE ONLY dionysus.memory ALTER COLUMN seq SET DEFAULT nextval('dionysus.memory_seq_seq'::regclass);
ALTER TABLE ONLY dionysus.vector ALTER COLUMN seq SET DEFAULT nextval('dionysus.vector_seq_seq'::regclass);
ALTER TABLE ONLY dionysus.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY dionysus.closure
    ADD CONSTRAINT closure_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY dionysus.consolidation_action
    ADD CONSTRAINT consolidation_action_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY dionysus.consolidation_lease
    ADD CONSTRAINT consolidation_lease_pkey PRIMARY KEY (tenant, project, owner, session_id);
ALTER TABLE ONLY dionysus.consolidation_run
    ADD CONSTRAINT consolidation_run_pkey PRIMARY KEY (id);
ALTER TABLE ONLY dionysus.graph_change
    ADD CONSTRAINT graph_change_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY dionysus.graph_entity
    ADD CONSTRAINT graph_entity_pkey PRIMARY KEY (id);
ALTER TABLE ONLY dionysus.graph_mention
    ADD CONSTRAINT graph_mention_pkey PRIMARY KEY (entity_id, memory_seq);
ALTER TABLE ONLY dionysus.graph_mirror
    ADD CONSTRAINT graph_mirror_pkey PRIMARY KEY (tenant, project);
ALTER TABLE ONLY dionysus.graph_relation
    ADD CONSTRAINT graph_relation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY dionysus.graph_seen
    ADD CONSTRAINT graph_seen_pkey PRIMARY KEY (memory_seq);
ALTER TABLE ONLY dionysus.ingested
    ADD CONSTRAINT ingested_pkey PRIMARY KEY (tenant, project, owner, session_id, origin);
ALTER TABLE ONLY dionysus.memory
    ADD CONSTRAINT memory_id_key UNIQUE (id);
ALTER TABLE ONLY dionysus.memory_link
    ADD CONSTRAINT memory_link_pkey PRIMARY KEY (kind, from_seq, to_seq);
ALTER TABLE ONLY dionysus.memory
    ADD CONSTRAINT memory_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY dionysus.memory_strength
    ADD CONSTRAINT memory_strength_pkey PRIMARY KEY (memory_seq);
ALTER TABLE ONLY dionysus.memory_words
    ADD CONSTRAINT memory_words_pkey PRIMARY KEY (memory_seq);
ALTER TABLE ONLY dionysus.mental_model
    ADD CONSTRAINT mental_model_pkey PRIMARY KEY (id);
ALTER TABLE ONLY dionysus.model_revision
    ADD CONSTRAINT model_revision_pkey PRIMARY KEY (model_id, version);
ALTER TABLE ONLY dionysus.passage
    ADD CONSTRAINT passage_pkey PRIMARY KEY (memory_seq, model);
ALTER TABLE ONLY dionysus.piece
    ADD CONSTRAINT piece_pkey PRIMARY KEY (memory_seq, model);
ALTER TABLE ONLY dionysus.prediction
    ADD CONSTRAINT prediction_pkey PRIMARY KEY (id);
ALTER TABLE ONLY dionysus.vector
    ADD CONSTRAINT vector_memory_seq_model_key UNIQUE (memory_seq, model);
ALTER TABLE ONLY dionysus.vector
    ADD CONSTRAINT vector_pkey PRIMARY KEY (seq);
CREATE INDEX consolidation_action_hash ON dionysus.consolidation_action USING btree (hash);
CREATE INDEX consolidation_action_memory ON dionysus.consolidation_action USING btree (memory_seq);
CREATE INDEX consolidation_action_other ON dionysus.consolidation_action USING btree (other_seq);
CREATE INDEX consolidation_action_run ON dionysus.consolidation_action USING btree (run_id);
CREATE INDEX consolidation_run_scope ON dionysus.consolidation_run USING btree (tenant, project, started_at);
CREATE INDEX graph_change_scope ON dionysus.graph_change USING btree (tenant, project, seq);
CREATE INDEX graph_entity_head ON dionysus.graph_entity USING btree (tenant, project, head);
CREATE UNIQUE INDEX graph_entity_key ON dionysus.graph_entity USING btree (tenant, project, key);
CREATE INDEX graph_mention_memory ON dionysus.graph_mention USING btree (memory_seq);
CREATE INDEX graph_relation_memory ON dionysus.graph_relation USING btree (memory_seq);
CREATE INDEX graph_relation_object ON dionysus.graph_relation USING btree (object_id, type);
CREATE INDEX graph_relation_subject ON dionysus.graph_relation USING btree (subject_id, type);
CREATE UNIQUE INDEX memory_current ON dionysus.memory USING btree (tenant, project, owner, hash) WHERE (recorded_to IS NULL);
CREATE INDEX memory_lineage ON dionysus.memory USING btree (lineage) WHERE (lineage IS NOT NULL);
CREATE INDEX memory_link_from ON dionysus.memory_link USING btree (from_seq);
CREATE INDEX memory_link_to ON dionysus.memory_link USING btree (to_seq);
CREATE INDEX memory_origin ON dionysus.memory USING btree (tenant, project, owner, origin);
CREATE INDEX memory_scope ON dionysus.memory USING btree (tenant, project, seq);
CREATE INDEX memory_session ON dionysus.memory USING btree (tenant, project, owner, session_id);
CREATE INDEX memory_thread ON dionysus.memory USING btree (tenant, project, COALESCE(session_id, origin), seq);
CREATE INDEX memory_words_stems ON dionysus.memory_words USING gin (words) WITH (fastupdate=off);
CREATE INDEX mental_model_scope ON dionysus.mental_model USING btree (tenant, project, owner, status);
CREATE INDEX prediction_model ON dionysus.prediction USING btree (model_id, status);
CREATE INDEX vector_nearest ON dionysus.vector USING hnsw (((vector)::public.halfvec(384)) public.halfvec_ip_ops) WITH (m='16', ef_construction='64') WHERE (dimension = 384);
CREATE TRIGGER graph_memory_closed AFTER UPDATE OF recorded_to ON dionysus.memory FOR EACH ROW WHEN (((old.recorded_to IS NULL) AND (new.recorded_to IS NOT NULL))) EXECUTE FUNCTION dionysus.graph_tell();
CREATE TRIGGER graph_memory_purged AFTER DELETE ON dionysus.memory FOR EACH ROW EXECUTE FUNCTION dionysus.graph_tell();
CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON dionysus.memory FOR EACH ROW WHEN (((old.recorded_to IS NULL) AND (new.recorded_to IS NOT NULL))) EXECUTE FUNCTION dionysus.memory_close();
CREATE TRIGGER memory_purged AFTER DELETE ON dionysus.memory FOR EACH ROW WHEN ((old.recorded_to IS NULL)) EXECUTE FUNCTION dionysus.memory_close();
ALTER TABLE ONLY dionysus.consolidation_action
    ADD CONSTRAINT consolidation_action_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.consolidation_action
    ADD CONSTRAINT consolidation_action_other_seq_fkey FOREIGN KEY (other_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.consolidation_action
    ADD CONSTRAINT consolidation_action_run_id_fkey FOREIGN KEY (run_id) REFERENCES dionysus.consolidation_run(id) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.graph_mention
    ADD CONSTRAINT graph_mention_entity_id_fkey FOREIGN KEY (entity_id) REFERENCES dionysus.graph_entity(id);
ALTER TABLE ONLY dionysus.graph_mention
    ADD CONSTRAINT graph_mention_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.graph_relation
    ADD CONSTRAINT graph_relation_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.graph_relation
    ADD CONSTRAINT graph_relation_object_id_fkey FOREIGN KEY (object_id) REFERENCES dionysus.graph_entity(id);
ALTER TABLE ONLY dionysus.graph_relation
    ADD CONSTRAINT graph_relation_subject_id_fkey FOREIGN KEY (subject_id) REFERENCES dionysus.graph_entity(id);
ALTER TABLE ONLY dionysus.graph_seen
    ADD CONSTRAINT graph_seen_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.memory_link
    ADD CONSTRAINT memory_link_from_seq_fkey FOREIGN KEY (from_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.memory_link
    ADD CONSTRAINT memory_link_to_seq_fkey FOREIGN KEY (to_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.memory_strength
    ADD CONSTRAINT memory_strength_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.memory_words
    ADD CONSTRAINT memory_words_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.model_revision
    ADD CONSTRAINT model_revision_model_id_fkey FOREIGN KEY (model_id) REFERENCES dionysus.mental_model(id);
ALTER TABLE ONLY dionysus.passage
    ADD CONSTRAINT passage_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.piece
    ADD CONSTRAINT piece_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
ALTER TABLE ONLY dionysus.prediction
    ADD CONSTRAINT prediction_model_id_fkey FOREIGN KEY (model_id) REFERENCES dionysus.mental_model(id);
ALTER TABLE ONLY dionysus.vector
    ADD CONSTRAINT vector_memory_seq_fkey FOREIGN KEY (memory_seq) REFERENCES dionysus.memory(seq) ON DELETE CASCADE;
INSERT INTO dionysus.alembic_version VALUES ('5');
