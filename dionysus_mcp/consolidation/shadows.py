"""What recall leaves out: an extract beside what it was drawn from, and one whose sources are no longer believed.

Called for the hits of every recall, so it asks the store only where there are semantic memories among them.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, select

from dionysus_mcp.consolidation.following import EDITED, EXTRACT
from dionysus_mcp.consolidation.tables import link
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import believed

memory = schema.memory
_DEPTH = 8
"""Duplicates of duplicates that are followed."""


def shadowed(connection: Connection, rows: Mapping[int, Row[Any]], as_of: datetime | None = None) -> set[int]:
    """Numbers of those memories that should not be shown.

    An extract says what its source says; the source has the day, the speaker's own context and its neighbours, so
    the source is shown where both were found.

    Args:
        connection: In a transaction that reads.
        rows: Memories that were found, by number.
        as_of: The moment that is asked about.
    """
    semantic = [seq for seq, row in rows.items() if row.memory_type == "semantic"]
    sources = sources_of(connection, semantic)
    beside = {seq for seq, of in sources.items() if not of.isdisjoint(rows)}
    rest = {seq: of for seq, of in sources.items() if seq not in beside}
    lost = lost_sources(connection, {one for of in rest.values() for one in of}, as_of)
    return beside | {seq for seq, of in rest.items() if of & lost}


def sources_of(connection: Connection, seqs: Sequence[int]) -> dict[int, set[int]]:
    """Numbers of what extracts were drawn from; memories that are no extracts are left out."""
    found: defaultdict[int, set[int]] = defaultdict(set)
    if seqs:
        query = select(link.c.from_seq, link.c.to_seq).where(link.c.kind == EXTRACT, link.c.from_seq.in_(seqs))
        for extract, source in connection.execute(query):
            found[extract].add(source)
    return dict(found)


def drawn_from(chosen: ColumnElement[bool]) -> ColumnElement[bool]:
    """The predicate for extracts of the memories that another predicate names: they hold words of theirs.

    One that somebody has edited since may hold some still.
    """
    return _linked((EXTRACT, EDITED), chosen)


def duplicates_of(chosen: ColumnElement[bool]) -> ColumnElement[bool]:
    """The predicate for what was superseded by the memories that another predicate names: it says the same."""
    return _linked(("duplicate",), chosen)


def _linked(kinds: Sequence[str], chosen: ColumnElement[bool]) -> ColumnElement[bool]:
    named = select(memory.c.seq).where(chosen).correlate(None)
    return memory.c.seq.in_(select(link.c.from_seq).where(link.c.kind.in_(kinds), link.c.to_seq.in_(named)))


def lost_sources(connection: Connection, seqs: Collection[int], as_of: datetime | None = None) -> set[int]:
    """Those memories that ended, unless they were restored or a duplicate that is believed says the same."""
    asked = {seq: {seq} for seq in seqs}
    for _ in range(_DEPTH):
        wanted = {one for of in asked.values() for one in of}
        if not wanted:
            return set()
        living = _living(connection, wanted, as_of)
        asked = {seq: of for seq, of in asked.items() if of.isdisjoint(living)}
        further = _duplicates(connection, {one for of in asked.values() for one in of})
        following = {seq: {next_ for one in of for next_ in further.get(one, ())} for seq, of in asked.items()}
        if not any(following.values()):
            return set(asked)
        asked = following
    return set(asked)


def _living(connection: Connection, seqs: Collection[int], as_of: datetime | None) -> set[int]:
    """Those that are believed, or whose like in the same scope is: what was restored has another number."""
    same = memory.alias()
    is_same = and_(
        *(same.c[name] == memory.c[name] for name in ("tenant", "project", "owner", "hash")),
        same.c.recorded_to.is_(None),
    )
    query = select(memory.c.seq, same.c.seq).join_from(memory, same, is_same, isouter=True)
    rows = connection.execute(query.where(memory.c.seq.in_(seqs))).all()
    believed_then = set(
        connection.execute(select(memory.c.seq).where(memory.c.seq.in_(seqs), believed(as_of))).scalars()
    )
    return believed_then | {seq for seq, other in rows if other is not None and as_of is None}


def _duplicates(connection: Connection, seqs: Collection[int]) -> dict[int, set[int]]:
    query = select(link.c.from_seq, link.c.to_seq).where(link.c.kind == "duplicate", link.c.from_seq.in_(seqs))
    found: defaultdict[int, set[int]] = defaultdict(set)
    for ended, survivor in connection.execute(query) if seqs else ():
        found[ended].add(survivor)
    return dict(found)
