"""What a new version of an extract keeps of it: its sources."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, select

from dionysus_mcp.consolidation.tables import link
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import in_scope
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.store.upserts import insert_new

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
        # A store that once took an extract for both has each source twice.
        connection.execute(insert_new(connection, link), values)


def is_extract(source: str | None, metadata: Mapping[str, Any]) -> bool:
    """Whether consolidation made a memory, or what somebody edited since."""
    return source == EXTRACTED and isinstance(metadata.get("drawn_from"), list)


def refuse_reserved(source: str | None) -> None:
    """Keep what somebody tells from passing for what consolidation made.

    Raises:
        MemoryStoreError: if it names that as its source.
    """
    if source == EXTRACTED:
        raise MemoryStoreError(
            f"The source {EXTRACTED!r} is that of memories which consolidation draws from others; name where this one "
            "comes from, or leave the source out."
        )


def link_sources(connection: Connection, scope: Scope, memory_id: str, sources: Sequence[str], *, edited: bool) -> None:
    """Link an extract that came from elsewhere to its sources, as far as they are the scope's own.

    One that has sources keeps them: whether it was edited is known better here than by what its metadata say.

    Args:
        connection: Of the transaction that imports.
        scope: Whose memories.
        memory_id: Of the extract.
        sources: Ids of what it was drawn from.
        edited: Whether it says something else since.
    """
    mine = select(memory.c.id, memory.c.seq).where(owned(memory, scope), memory.c.id.in_([memory_id, *sources]))
    seqs = {row.id: row.seq for row in connection.execute(mine)}
    made = seqs.pop(memory_id, None)
    kind = EDITED if edited else EXTRACT
    if made is not None and seqs and not _has_sources(connection, made):
        values = [{"kind": kind, "from_seq": made, "to_seq": seq} for seq in seqs.values()]
        connection.execute(insert_new(connection, link), values)


def _has_sources(connection: Connection, seq: int) -> bool:
    query = select(link.c.to_seq).where(link.c.from_seq == seq, link.c.kind.in_((EXTRACT, EDITED)))
    return connection.execute(query.limit(1)).first() is not None


def sources_of_versions(connection: Connection, scope: Scope, seqs: Sequence[int]) -> list[str]:
    """Ids of what any of these versions was drawn from and the scope may read, the oldest first."""
    drawn = select(link.c.to_seq).where(link.c.from_seq.in_(seqs), link.c.kind.in_((EXTRACT, EDITED)))
    return list(
        connection.execute(
            select(memory.c.id).where(in_scope(scope), memory.c.seq.in_(drawn)).order_by(memory.c.seq)
        ).scalars()
    )
