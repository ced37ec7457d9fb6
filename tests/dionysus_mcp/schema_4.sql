-- A store as version 4 of the schema made it; taken from that version, not to be changed with the code.
CREATE TABLE memory (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    id VARCHAR NOT NULL,
    tenant VARCHAR DEFAULT 'local' NOT NULL,
    project VARCHAR DEFAULT 'default' NOT NULL,
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
CREATE INDEX memory_lineage ON memory (lineage) WHERE lineage IS NOT NULL;
CREATE INDEX memory_origin ON memory (tenant, project, origin);
CREATE UNIQUE INDEX memory_current ON memory (tenant, project, hash) WHERE recorded_to IS NULL;
CREATE INDEX memory_session ON memory (tenant, project, session_id);
CREATE TABLE closure (
    seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    memory_seq INTEGER NOT NULL
);
CREATE TABLE ingested (
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
    origin VARCHAR NOT NULL,
    digest VARCHAR NOT NULL,
    pieces INTEGER NOT NULL,
    recorded_at DATETIME NOT NULL,
    PRIMARY KEY (tenant, project, origin)
);
CREATE TABLE mental_model (
    id VARCHAR NOT NULL,
    tenant VARCHAR NOT NULL,
    project VARCHAR NOT NULL,
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
CREATE INDEX mental_model_scope ON mental_model (tenant, project, status);
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
CREATE INDEX prediction_model ON prediction (model_id, status);
CREATE VIRTUAL TABLE memory_fts USING fts5(content, context, source, content='memory', content_rowid='seq', tokenize='porter unicode61 remove_diacritics 2');
CREATE VIRTUAL TABLE memory_terms USING fts5vocab(memory_fts, row);
CREATE TRIGGER memory_indexed AFTER INSERT ON memory BEGIN INSERT INTO memory_fts(rowid, content, context, source) VALUES (new.seq, new.content, new.context, new.source); END;
CREATE TRIGGER memory_unindexed AFTER DELETE ON memory BEGIN INSERT INTO memory_fts(memory_fts, rowid, content, context, source) VALUES ('delete', old.seq, old.content, old.context, old.source); END;
CREATE TRIGGER memory_reindexed AFTER UPDATE OF content, context, source ON memory BEGIN INSERT INTO memory_fts(memory_fts, rowid, content, context, source) VALUES ('delete', old.seq, old.content, old.context, old.source); INSERT INTO memory_fts(rowid, content, context, source) VALUES (new.seq, new.content, new.context, new.source); END;
CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON memory WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN INSERT INTO closure(memory_seq) VALUES (new.seq); END;
CREATE TRIGGER memory_purged AFTER DELETE ON memory WHEN old.recorded_to IS NULL BEGIN INSERT INTO closure(memory_seq) VALUES (old.seq); END;
PRAGMA application_id=1145655117;
PRAGMA user_version=4;
