"""The first two versions of the schema: stores that old are brought up from here. SQLite only."""

revision = "2"
down_revision = None


def upgrade() -> None:
    """Nothing: whoever comes from here has these tables."""
