"""Tables of the parts that came with PostgreSQL; there a store begins with this version."""

from alembic import op

from dionysus_mcp.store.tables import all_tables

revision = "5"
down_revision = "4"


def upgrade() -> None:
    """Make what isn't there yet.

    Until it is released this revision makes the tables as they are declared now; the next revision freezes it.
    """
    all_tables().create_all(op.get_bind())
    # What was said is described by its word pieces too, from now on: in the background, as if it were new.
    op.execute("DELETE FROM vector WHERE memory_seq IN (SELECT seq FROM memory WHERE speaker IS NOT NULL)")
