"""What a new version of an extract keeps of it: its sources."""

from collections.abc import Sequence

from sqlalchemy import Connection, insert, select

from dionysus_mcp.consolidation.tables import link
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import in_scope

memory = schema.memory
EXTRACTED = "consolidation"
"""The source of memories that consolidation made."""
EXTRACT = "extract"
EDITED = "edited"
"""Drawn from the second, and then said otherwise by somebody: its words are theirs."""


def follow_extract(connection: Connection, old: int, new: int, *, same_words: bool) -> None:
    """Let a new version of an extract have its sources; one that says something else is an extract no longer.

    Args:
        connection: Of the transaction that makes the version.
        old: Number of the version before.
        new: Number of the new one.
        same_words: Whether both say the same.
    """
    rows = connection.execute(select(link).where(link.c.from_seq == old, link.c.kind.in_((EXTRACT, EDITED)))).all()
    values = [
        {
            "kind": row.kind if same_words else EDITED,
            "from_seq": new,
            "to_seq": row.to_seq,
            "start": row.start,
            "stop": row.stop,
        }
        for row in rows
    ]
    if values:
        connection.execute(insert(link), values)


def sources_of_versions(connection: Connection, scope: Scope, seqs: Sequence[int]) -> list[str]:
    """Ids of what any of these versions was drawn from and the scope may read, the oldest first."""
    drawn = select(link.c.to_seq).where(link.c.from_seq.in_(seqs), link.c.kind.in_((EXTRACT, EDITED)))
    return list(
        connection.execute(
            select(memory.c.id).where(in_scope(scope), memory.c.seq.in_(drawn)).order_by(memory.c.seq)
        ).scalars()
    )
