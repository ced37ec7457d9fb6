"""The tables of a memory store, and the text index kept beside them by triggers.

Nothing is deleted but by a purge: a memory that is replaced or forgotten gets a `recorded_to`. `closure` lists what is
current no longer, in order, so that caches of other processes can follow. `valid_*` is when a fact held in the world,
`recorded_*` when the store believed it.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    text,
)

from dionysus_mcp.store.halves import Halves
from dionysus_mcp.store.scoping import scope_columns
from dionysus_mcp.store.tokenizer import TOKENIZER


class Moment(TypeDecorator[datetime]):
    """An aware datetime, stored in UTC; SQLite itself keeps no time zone."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC, without zone."""
        return None if value is None else value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """The zone given back."""
        return None if value is None else value.replace(tzinfo=UTC)


Number = BigInteger().with_variant(Integer, "sqlite")
"""Of rows; SQLite counts by itself only what it calls INTEGER."""

metadata = MetaData()

memory = Table(
    "memory",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("tenant", String, nullable=False, server_default="local"),
    Column("project", String, nullable=False, server_default="default"),
    # The user whose it is; empty for what the project shares.
    Column("owner", String, nullable=False, server_default=""),
    Column("hash", String, nullable=False),
    Column("content", Text, nullable=False),
    # What stands around the content and helps to find it: the speaker, the headings above it.
    Column("context", Text, nullable=False, server_default=""),
    Column("memory_type", String, nullable=False),
    Column("importance", Float, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("speaker", String),
    Column("session_id", String),
    Column("source", String),
    Column("source_position", String),
    # What the source is, independent of where it was named from: an absolute path, a repository's commit.
    Column("origin", String),
    Column("occurred_at", Moment),
    Column("valid_from", Moment),
    Column("valid_to", Moment),
    Column("recorded_from", Moment, nullable=False),
    Column("recorded_to", Moment),
    # The id of its first version, which it shares with all others; null in that first one.
    Column("lineage", String),
    # How it ended: superseded or forgotten, and why somebody wanted that.
    Column("ending", String),
    Column("ending_reason", Text),
    sqlite_autoincrement=True,
)
Index(
    "memory_current",
    memory.c.tenant,
    memory.c.project,
    memory.c.owner,
    memory.c.hash,
    unique=True,
    sqlite_where=memory.c.recorded_to.is_(None),
    postgresql_where=memory.c.recorded_to.is_(None),
)
Index("memory_origin", memory.c.tenant, memory.c.project, memory.c.owner, memory.c.origin)
Index("memory_session", memory.c.tenant, memory.c.project, memory.c.owner, memory.c.session_id)
Index(
    "memory_lineage",
    memory.c.lineage,
    sqlite_where=memory.c.lineage.is_not(None),
    postgresql_where=memory.c.lineage.is_not(None),
)

vector = Table(
    "vector",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("memory_seq", Number, ForeignKey("memory.seq", ondelete="CASCADE"), nullable=False),
    Column("model", String, nullable=False),
    Column("dimension", Integer, nullable=False),
    Column("format", String, nullable=False),
    Column("vector", Halves, nullable=False),
    # Its stems as numbers and what can be seen in it, so that a query need not read the text again.
    Column("terms", LargeBinary, nullable=False),
    Column("traits", Integer, nullable=False),
    UniqueConstraint("memory_seq", "model"),
    sqlite_autoincrement=True,
)

# Apart from `vector`, which is read as a whole when a server starts; of these, only those of a query's candidates.
passage = Table(
    "passage",
    metadata,
    Column("memory_seq", Number, ForeignKey("memory.seq", ondelete="CASCADE"), primary_key=True),
    Column("model", String, primary_key=True),
    # Where they stand in the content, start and end in turn, and their vectors one after the other.
    Column("spans", LargeBinary, nullable=False),
    Column("vectors", LargeBinary, nullable=False),
)

closure = Table(
    "closure",
    metadata,
    Column("seq", Number, primary_key=True),
    # No foreign key: that a purged memory is gone must be told after it is gone.
    Column("memory_seq", Number, nullable=False),
    sqlite_autoincrement=True,
)

ingested = Table(
    "ingested",
    metadata,
    *scope_columns(key=True),
    Column("origin", String, primary_key=True),
    # Digest of the file and of how it was split: the same digest means that all its pieces are there.
    Column("digest", String, nullable=False),
    Column("pieces", Integer, nullable=False),
    Column("recorded_at", Moment, nullable=False),
)

mental_model = Table(
    "mental_model",
    metadata,
    Column("id", String, primary_key=True),
    *scope_columns(),
    Column("domain", String, nullable=False),
    Column("statement", Text, nullable=False),
    Column("concepts", JSON, nullable=False),
    Column("prediction_templates", JSON, nullable=False),
    Column("status", String, nullable=False),
    Column("version", Integer, nullable=False),
    Column("alpha", Float, nullable=False),
    Column("beta", Float, nullable=False),
    Column("created_at", Moment, nullable=False),
)
Index(
    "mental_model_scope",
    mental_model.c.tenant,
    mental_model.c.project,
    mental_model.c.owner,
    mental_model.c.status,
)

model_revision = Table(
    "model_revision",
    metadata,
    Column("model_id", String, ForeignKey("mental_model.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("statement", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("at", Moment, nullable=False),
    # How the version had fared when it was left; null for the current one.
    Column("accuracy", Float),
    Column("resolved", Integer, nullable=False),
)

prediction = Table(
    "prediction",
    metadata,
    Column("id", String, primary_key=True),
    Column("model_id", String, ForeignKey("mental_model.id"), nullable=False),
    Column("model_version", Integer, nullable=False),
    Column("statement", Text, nullable=False),
    Column("probability", Float, nullable=False),
    Column("context", Text),
    Column("rule", Text),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment),
    Column("status", String, nullable=False),
    Column("outcome", Boolean),
    Column("observation", Text),
    Column("resolved_at", Moment),
    Column("brier", Float),
    Column("log_score", Float),
)
Index("prediction_model", prediction.c.model_id, prediction.c.status)

# An external-content index: the text is stored once, in `memory`. The index must be told of every change with the old
# values, which is what its 'delete' command is for. `memory_terms` reads document frequencies from the index itself.
TEXT_INDEX = tuple(
    text(statement)
    for statement in (
        "CREATE VIRTUAL TABLE memory_fts USING fts5(content, context, source, content='memory', content_rowid='seq', "
        f"tokenize='{TOKENIZER}')",
        "CREATE VIRTUAL TABLE memory_terms USING fts5vocab(memory_fts, row)",
        "CREATE TRIGGER memory_indexed AFTER INSERT ON memory BEGIN "
        "INSERT INTO memory_fts(rowid, content, context, source) "
        "VALUES (new.seq, new.content, new.context, new.source); END",
        "CREATE TRIGGER memory_unindexed AFTER DELETE ON memory BEGIN "
        "INSERT INTO memory_fts(memory_fts, rowid, content, context, source) "
        "VALUES ('delete', old.seq, old.content, old.context, old.source); END",
        "CREATE TRIGGER memory_reindexed AFTER UPDATE OF content, context, source ON memory BEGIN "
        "INSERT INTO memory_fts(memory_fts, rowid, content, context, source) "
        "VALUES ('delete', old.seq, old.content, old.context, old.source); "
        "INSERT INTO memory_fts(rowid, content, context, source) "
        "VALUES (new.seq, new.content, new.context, new.source); END",
    )
)

CLOSURES = tuple(
    text(statement)
    for statement in (
        "CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON memory "
        "WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN "
        "INSERT INTO closure(memory_seq) VALUES (new.seq); END",
        "CREATE TRIGGER memory_purged AFTER DELETE ON memory WHEN old.recorded_to IS NULL BEGIN "
        "INSERT INTO closure(memory_seq) VALUES (old.seq); END",
    )
)
