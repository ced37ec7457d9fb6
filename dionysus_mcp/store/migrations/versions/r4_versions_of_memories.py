"""Memories have versions, and a purge is told to other processes. SQLite only."""

from alembic import op

revision = "4"
down_revision = "3"


def upgrade() -> None:
    """Add what a version knows of its first one and of its end, and let go of the foreign key of closures."""
    for name, kind in (("lineage", "VARCHAR"), ("ending", "VARCHAR"), ("ending_reason", "TEXT")):
        op.execute(f"ALTER TABLE memory ADD COLUMN {name} {kind}")
    op.execute("CREATE INDEX memory_lineage ON memory (lineage) WHERE lineage IS NOT NULL")
    # A foreign key can't be dropped, so the table is made anew. Its numbers stay: caches know how far they have read.
    op.execute("DROP TRIGGER memory_closed")
    op.execute("ALTER TABLE closure RENAME TO closure_3")
    op.execute("CREATE TABLE closure (seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, memory_seq INTEGER NOT NULL)")
    op.execute("INSERT INTO closure (seq, memory_seq) SELECT seq, memory_seq FROM closure_3")
    op.execute("DROP TABLE closure_3")
    op.execute(
        "CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON memory "
        "WHEN old.recorded_to IS NULL AND new.recorded_to IS NOT NULL BEGIN "
        "INSERT INTO closure(memory_seq) VALUES (new.seq); END"
    )
    op.execute(
        "CREATE TRIGGER memory_purged AFTER DELETE ON memory WHEN old.recorded_to IS NULL BEGIN "
        "INSERT INTO closure(memory_seq) VALUES (old.seq); END"
    )
