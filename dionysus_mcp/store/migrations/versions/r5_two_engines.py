"""Users and sessions, and the tables of word pieces, of the graph and of consolidation.

PostgreSQL came with this version: a store there begins with it, so this revision too meets SQLite alone.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Give what is there its owner, and make the tables that are new."""
    _name_owners()
    _keep_pieces()
    _keep_entities()
    _keep_relations()
    _keep_mirrors()
    _keep_runs()
    _keep_links()


def _name_owners() -> None:
    """What was there before belongs to no user: the project shares it."""
    op.execute("ALTER TABLE memory ADD COLUMN owner VARCHAR DEFAULT '' NOT NULL")
    for name in ("owner", "session_id"):
        op.execute(f"ALTER TABLE mental_model ADD COLUMN {name} VARCHAR DEFAULT '' NOT NULL")
    for index in ("memory_current", "memory_origin", "memory_session", "mental_model_scope"):
        op.execute(f"DROP INDEX IF EXISTS {index}")
    op.execute("CREATE UNIQUE INDEX memory_current ON memory (tenant, project, owner, hash) WHERE recorded_to IS NULL")
    op.execute("CREATE INDEX memory_origin ON memory (tenant, project, owner, origin)")
    op.execute("CREATE INDEX memory_session ON memory (tenant, project, owner, session_id)")
    op.execute("CREATE INDEX mental_model_scope ON mental_model (tenant, project, owner, status)")
    # A primary key can't be altered.
    op.execute("ALTER TABLE ingested RENAME TO ingested_4")
    op.execute(
        "CREATE TABLE ingested (tenant VARCHAR NOT NULL, project VARCHAR NOT NULL, owner VARCHAR DEFAULT '' NOT NULL, "
        "session_id VARCHAR DEFAULT '' NOT NULL, origin VARCHAR NOT NULL, digest VARCHAR NOT NULL, "
        "pieces INTEGER NOT NULL, recorded_at DATETIME NOT NULL, "
        "PRIMARY KEY (tenant, project, owner, session_id, origin))"
    )
    columns = "tenant, project, origin, digest, pieces, recorded_at"
    op.execute(f"INSERT INTO ingested ({columns}) SELECT {columns} FROM ingested_4")  # noqa: S608 -- constants
    op.execute("DROP TABLE ingested_4")


def _keep_pieces() -> None:
    op.create_table(
        "piece",
        sa.Column("memory_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("model", sa.String, primary_key=True),
        sa.Column("signs", sa.LargeBinary, nullable=False),
    )
    # What was said is described by its word pieces too, from now on: in the background, as if it were new.
    op.execute("DELETE FROM vector WHERE memory_seq IN (SELECT seq FROM memory WHERE speaker IS NOT NULL)")


def _keep_entities() -> None:
    op.create_table(
        "graph_entity",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("head", sa.String, nullable=False),
        sa.Column("name", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
    )
    op.create_index("graph_entity_head", "graph_entity", ["tenant", "project", "head"])
    op.create_index("graph_entity_key", "graph_entity", ["tenant", "project", "key"], unique=True)
    op.create_table(
        "graph_mention",
        sa.Column("entity_id", sa.String, sa.ForeignKey("graph_entity.id"), primary_key=True),
        sa.Column("memory_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("how", sa.String, nullable=False),
    )
    op.create_index("graph_mention_memory", "graph_mention", ["memory_seq"])
    op.create_table(
        "graph_seen",
        sa.Column("memory_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("reader", sa.String, nullable=False),
    )


def _keep_relations() -> None:
    op.create_table(
        "graph_relation",
        sa.Column("id", sa.String, primary_key=True),
        *_scope(),
        sa.Column("subject_id", sa.String, sa.ForeignKey("graph_entity.id"), nullable=False),
        sa.Column("type", sa.String, nullable=False),
        sa.Column("object_id", sa.String, sa.ForeignKey("graph_entity.id"), nullable=False),
        sa.Column("memory_seq", sa.Integer, _memory()),
        sa.Column("extractor", sa.String, nullable=False),
        sa.Column("told_by", sa.String),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("first", sa.Integer),
        sa.Column("last", sa.Integer),
        sa.Column("valid_from", sa.DateTime),
        sa.Column("valid_to", sa.DateTime),
        sa.Column("recorded_from", sa.DateTime, nullable=False),
        sa.Column("recorded_to", sa.DateTime),
        sa.Column("ending_reason", sa.Text),
    )
    op.create_index("graph_relation_memory", "graph_relation", ["memory_seq"])
    op.create_index("graph_relation_object", "graph_relation", ["object_id", "type"])
    op.create_index("graph_relation_subject", "graph_relation", ["subject_id", "type"])


def _keep_mirrors() -> None:
    op.create_table(
        "graph_mirror",
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("project", sa.String, primary_key=True),
        sa.Column("graph", sa.String, nullable=False),
    )
    op.create_table(
        "graph_change",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("project", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("ref", sa.String, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("graph_change_scope", "graph_change", ["tenant", "project", "seq"])
    tell = (
        "INSERT INTO graph_change(tenant, project, kind, ref) SELECT old.tenant, old.project, 'memory', old.id "
        "WHERE EXISTS (SELECT 1 FROM graph_mirror WHERE tenant = old.tenant AND project = old.project)"
    )
    op.execute(
        "CREATE TRIGGER graph_memory_closed AFTER UPDATE OF recorded_to ON memory "
        f"WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN {tell}; END"
    )
    op.execute(f"CREATE TRIGGER graph_memory_purged AFTER DELETE ON memory BEGIN {tell}; END")


def _keep_runs() -> None:
    op.create_table(
        "consolidation_run",
        sa.Column("id", sa.String, primary_key=True),
        *_scope(),
        sa.Column("started_at", sa.DateTime, nullable=False),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("undone_at", sa.DateTime),
        sa.Column("seen", sa.Integer, nullable=False),
    )
    op.create_index("consolidation_run_scope", "consolidation_run", ["tenant", "project", "started_at"])
    op.create_table(
        "consolidation_action",
        sa.Column("seq", sa.Integer, primary_key=True),
        sa.Column("run_id", sa.String, sa.ForeignKey("consolidation_run.id", ondelete="CASCADE"), nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("memory_seq", sa.Integer, _memory(), nullable=False),
        sa.Column("other_seq", sa.Integer, _memory()),
        sa.Column("similarity", sa.Float),
        sa.Column("before", sa.String),
        sa.Column("after", sa.String),
        sa.Column("restored_seq", sa.Integer),
        sa.Column("hash", sa.String, nullable=False),
        sa.Column("other_hash", sa.String),
        sa.Column("undone_at", sa.DateTime),
        sa.Column("kept", sa.String),
        sqlite_autoincrement=True,
    )
    op.create_index("consolidation_action_hash", "consolidation_action", ["hash"])
    op.create_index("consolidation_action_memory", "consolidation_action", ["memory_seq"])
    op.create_index("consolidation_action_other", "consolidation_action", ["other_seq"])
    op.create_index("consolidation_action_run", "consolidation_action", ["run_id"])


def _keep_links() -> None:
    op.create_table(
        "memory_link",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("from_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("to_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("similarity", sa.Float),
        sa.Column("start", sa.Integer),
        sa.Column("stop", sa.Integer),
    )
    op.create_index("memory_link_from", "memory_link", ["from_seq"])
    op.create_index("memory_link_to", "memory_link", ["to_seq"])
    op.create_table(
        "memory_strength",
        sa.Column("memory_seq", sa.Integer, _memory(), primary_key=True),
        sa.Column("recalls", sa.Integer, nullable=False),
        sa.Column("recalled_at", sa.DateTime),
        sa.Column("stability", sa.Float, nullable=False),
        sa.Column("band", sa.String, nullable=False),
    )
    op.create_table(
        "consolidation_lease",
        *_scope(primary_key=True),
        sa.Column("holder", sa.String, nullable=False),
        sa.Column("until", sa.DateTime, nullable=False),
    )


def _memory() -> "sa.ForeignKey":
    return sa.ForeignKey("memory.seq", ondelete="CASCADE")


def _scope(**key: Any) -> "list[sa.Column[Any]]":
    return [
        sa.Column("tenant", sa.String, nullable=False, **key),
        sa.Column("project", sa.String, nullable=False, **key),
        sa.Column("owner", sa.String, nullable=False, server_default="", **key),
        sa.Column("session_id", sa.String, nullable=False, server_default="", **key),
    ]
