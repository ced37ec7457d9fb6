"""Users and sessions, and tables of the parts that came with PostgreSQL; there a store begins with this version."""

from alembic import op

from dionysus_mcp.store.tables import all_tables

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Make what isn't there yet.

    Until it is released this revision makes the tables as they are declared now; the next revision freezes it.
    """
    _name_owners()
    all_tables().create_all(op.get_bind())
    # What was said is described by its word pieces too, from now on: in the background, as if it were new.
    op.execute("DELETE FROM vector WHERE memory_seq IN (SELECT seq FROM memory WHERE speaker IS NOT NULL)")


def _name_owners() -> None:
    """What was there before belongs to no user: the project shares it. SQLite only."""
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
