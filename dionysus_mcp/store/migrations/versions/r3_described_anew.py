"""What recall knows of a memory changed its form; it is worked out again in the background. SQLite only."""

from alembic import op

revision = "3"
down_revision = "2"


def upgrade() -> None:
    """Drop the vectors, and make room for new ones with stems, traits and passages."""
    op.execute("DROP TABLE vector")
    op.execute("DROP TABLE IF EXISTS passage")
    op.execute(
        "CREATE TABLE vector ("
        "seq INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, "
        "memory_seq INTEGER NOT NULL, model VARCHAR NOT NULL, dimension INTEGER NOT NULL, format VARCHAR NOT NULL, "
        "vector BLOB NOT NULL, terms BLOB NOT NULL, traits INTEGER NOT NULL, "
        "UNIQUE (memory_seq, model), FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE)"
    )
    op.execute(
        "CREATE TABLE passage ("
        "memory_seq INTEGER NOT NULL, model VARCHAR NOT NULL, spans BLOB NOT NULL, vectors BLOB NOT NULL, "
        "PRIMARY KEY (memory_seq, model), FOREIGN KEY(memory_seq) REFERENCES memory (seq) ON DELETE CASCADE)"
    )
