-- A store as version 5 of the schema made it; taken from that version, not to be changed with the code.
PRAGMA journal_mode=WAL;
CREATE TABLE memory (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id VARCHAR NOT NULL,
    tenant VARCHAR DEFAULT 'local' NOT NULL,
    project VARCHAR DEFAULT 'default' NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    hash VARCHAR NOT NULL,
    content TEXT NOT NULL,
    context TEXT DEFAULT '' NOT NULL,
    memory_type VARCHAR NOT NULL,
    importance FLOAT NOT NULL,
    metadata JSON NOT NULL,
    speaker VARCHAR,
    session_id VARCHAR,
    source VARCHAR,
    source_position VARCHAR,
    origin VARCHAR,
    occurred_at DATETIME,
    valid_from DATETIME,
    valid_to DATETIME,
    recorded_from DATETIME NOT NULL,
    recorded_to DATETIME,
    lineage VARCHAR,
    ending VARCHAR,
    ending_reason TEXT,
    UNIQUE (id)
);
CREATE TABLE closure (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    memory_seq INTEGER NOT NULL
);
CREATE TABLE ingested (
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    session_id VARCHAR DEFAULT '' NOT NULL,
    origin VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    pieces INTEGER NOT NULL,
    recorded_at DATETIME NOT NULL,
    PRIMARY KEY (tenant, project, owner, session_id, origin)
);
CREATE TABLE mental_model (
    id VARCHAR NOT NULL,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    session_id VARCHAR DEFAULT '' NOT NULL,
    domain VARCHAR NOT NULL,
    statement TEXT NOT NULL,
    concepts JSON NOT NULL,
    prediction_templates JSON NOT NULL,
    status VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    alpha FLOAT NOT NULL,
    beta FLOAT NOT NULL,
    created_at DATETIME NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE graph_entity (
    id VARCHAR NOT NULL,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    "key" VARCHAR NOT NULL,
    head VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE graph_mirror (
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    graph VARCHAR NOT NULL,
    PRIMARY KEY (tenant, project)
);
CREATE TABLE graph_change (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    ref VARCHAR NOT NULL
);
CREATE TABLE consolidation_run (
    id VARCHAR NOT NULL,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    session_id VARCHAR DEFAULT '' NOT NULL,
    started_at DATETIME NOT NULL,
    ended_at DATETIME,
    undone_at DATETIME,
    seen INTEGER NOT NULL,
    PRIMARY KEY (id)
);
CREATE TABLE consolidation_lease (
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    session_id VARCHAR DEFAULT '' NOT NULL,
    holder VARCHAR NOT NULL,
    until DATETIME NOT NULL,
    PRIMARY KEY (tenant, project, owner, session_id)
);
CREATE TABLE vector (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    memory_seq INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    dimension INTEGER NOT NULL,
    format VARCHAR NOT NULL,
    vector BLOB NOT NULL,
    terms BLOB NOT NULL,
    traits INTEGER NOT NULL,
    UNIQUE (memory_seq, model),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE passage (
    memory_seq INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    spans BLOB NOT NULL,
    vectors BLOB NOT NULL,
    PRIMARY KEY (memory_seq, model),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE model_revision (
    model_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    statement TEXT NOT NULL,
    reason TEXT NOT NULL,
    at DATETIME NOT NULL,
    accuracy FLOAT,
    resolved INTEGER NOT NULL,
    PRIMARY KEY (model_id, version),
    FOREIGN KEY(model_id) REFERENCES mental_model (id)
);
CREATE TABLE prediction (
    id VARCHAR NOT NULL,
    model_id VARCHAR NOT NULL,
    model_version INTEGER NOT NULL,
    statement TEXT NOT NULL,
    probability FLOAT NOT NULL,
    context TEXT,
    rule TEXT,
    created_at DATETIME NOT NULL,
    expires_at DATETIME,
    status VARCHAR NOT NULL,
    outcome BOOLEAN,
    observation TEXT,
    resolved_at DATETIME,
    brier FLOAT,
    log_score FLOAT,
    PRIMARY KEY (id),
    FOREIGN KEY(model_id) REFERENCES mental_model (id)
);
CREATE TABLE piece (
    memory_seq INTEGER NOT NULL,
    model VARCHAR NOT NULL,
    signs BLOB NOT NULL,
    PRIMARY KEY (memory_seq, model),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE graph_mention (
    entity_id VARCHAR NOT NULL,
    memory_seq INTEGER NOT NULL,
    how VARCHAR NOT NULL,
    PRIMARY KEY (entity_id, memory_seq),
    FOREIGN KEY(entity_id) REFERENCES graph_entity (id),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE graph_relation (
    id VARCHAR NOT NULL,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    owner VARCHAR DEFAULT '' NOT NULL,
    session_id VARCHAR DEFAULT '' NOT NULL,
    subject_id VARCHAR NOT NULL,
    type VARCHAR NOT NULL,
    object_id VARCHAR NOT NULL,
    memory_seq INTEGER,
    extractor VARCHAR NOT NULL,
    told_by VARCHAR,
    confidence FLOAT NOT NULL,
    first INTEGER,
    last INTEGER,
    valid_from DATETIME,
    valid_to DATETIME,
    recorded_from DATETIME NOT NULL,
    recorded_to DATETIME,
    ending_reason TEXT,
    PRIMARY KEY (id),
    FOREIGN KEY(subject_id) REFERENCES graph_entity (id),
    FOREIGN KEY(object_id) REFERENCES graph_entity (id),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE graph_seen (
    memory_seq INTEGER NOT NULL,
    reader VARCHAR NOT NULL,
    PRIMARY KEY (memory_seq),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE consolidation_action (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    run_id VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    memory_seq INTEGER NOT NULL,
    other_seq INTEGER,
    similarity FLOAT,
    "before" VARCHAR,
    "after" VARCHAR,
    restored_seq INTEGER,
    hash VARCHAR NOT NULL,
    other_hash VARCHAR,
    undone_at DATETIME,
    kept VARCHAR,
    FOREIGN KEY(run_id) REFERENCES consolidation_run (id) ON DELETE CASCADE,
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE,
    FOREIGN KEY(other_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE memory_link (
    kind VARCHAR NOT NULL,
    from_seq INTEGER NOT NULL,
    to_seq INTEGER NOT NULL,
    similarity FLOAT,
    start INTEGER,
    stop INTEGER,
    PRIMARY KEY (kind, from_seq, to_seq),
    FOREIGN KEY(from_seq) REFERENCES memory (seq) ON DELETE CASCADE,
    FOREIGN KEY(to_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE memory_strength (
    memory_seq INTEGER NOT NULL,
    recalls INTEGER NOT NULL,
    recalled_at DATETIME,
    stability FLOAT NOT NULL,
    band VARCHAR NOT NULL,
    PRIMARY KEY (memory_seq),
    FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE
);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num));
CREATE VIRTUAL TABLE memory_fts USING fts5(content, context, source, content='memory', content_rowid='seq', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE memory_terms USING fts5vocab(memory_fts, row);
CREATE INDEX memory_origin ON memory (tenant, project, owner, origin);
CREATE INDEX memory_session ON memory (tenant, project, owner, session_id);
CREATE INDEX memory_lineage ON memory (lineage) WHERE lineage IS NOT NULL;
CREATE UNIQUE INDEX memory_current ON memory (tenant, project, owner, hash) WHERE recorded_to IS NULL;
CREATE INDEX mental_model_scope ON mental_model (tenant, project, owner, status);
CREATE INDEX graph_entity_head ON graph_entity (tenant, project, head);
CREATE UNIQUE INDEX graph_entity_key ON graph_entity (tenant, project, "key");
CREATE INDEX graph_change_scope ON graph_change (tenant, project, seq);
CREATE INDEX consolidation_run_scope ON consolidation_run (tenant, project, started_at);
CREATE INDEX prediction_model ON prediction (model_id, status);
CREATE INDEX graph_mention_memory ON graph_mention (memory_seq);
CREATE INDEX graph_relation_memory ON graph_relation (memory_seq);
CREATE INDEX graph_relation_object ON graph_relation (object_id, type);
CREATE INDEX graph_relation_subject ON graph_relation (subject_id, type);
CREATE INDEX consolidation_action_other ON consolidation_action (other_seq);
CREATE INDEX consolidation_action_hash ON consolidation_action (hash);
CREATE INDEX consolidation_action_run ON consolidation_action (run_id);
CREATE INDEX consolidation_action_memory ON consolidation_action (memory_seq);
CREATE INDEX memory_link_from ON memory_link (from_seq);
CREATE INDEX memory_link_to ON memory_link (to_seq);
CREATE TRIGGER graph_memory_closed AFTER UPDATE OF recorded_to ON memory WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN INSERT INTO graph_change(tenant, project, kind, ref) SELECT old.tenant, old.project, 'memory', old.id WHERE EXISTS (SELECT 1 FROM graph_mirror WHERE tenant = old.tenant AND project = old.project); END;
CREATE TRIGGER graph_memory_purged AFTER DELETE ON memory BEGIN INSERT INTO graph_change(tenant, project, kind, ref) SELECT old.tenant, old.project, 'memory', old.id WHERE EXISTS (SELECT 1 FROM graph_mirror WHERE tenant = old.tenant AND project = old.project); END;
CREATE TRIGGER memory_indexed AFTER INSERT ON memory BEGIN INSERT INTO memory_fts(rowid, content, context, source) VALUES (new.seq, new.content, new.context, new.source); END;
CREATE TRIGGER memory_unindexed AFTER DELETE ON memory BEGIN INSERT INTO memory_fts(memory_fts, rowid, content, context, source) VALUES ('delete', old.seq, old.content, old.context, old.source); END;
CREATE TRIGGER memory_reindexed AFTER UPDATE OF content, context, source ON memory BEGIN INSERT INTO memory_fts(memory_fts, rowid, content, context, source) VALUES ('delete', old.seq, old.content, old.context, old.source); INSERT INTO memory_fts(rowid, content, context, source) VALUES (new.seq, new.content, new.context, new.source); END;
CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON memory WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN INSERT INTO closure(memory_seq) VALUES (new.seq); END;
CREATE TRIGGER memory_purged AFTER DELETE ON memory WHEN old.recorded_to IS NULL BEGIN INSERT INTO closure(memory_seq) VALUES (old.seq); END;
INSERT INTO alembic_version VALUES ('5');
PRAGMA application_id=1145655117;
PRAGMA user_version=5;
