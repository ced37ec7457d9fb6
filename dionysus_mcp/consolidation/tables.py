"""The tables of consolidation, on the store's own metadata. None of them holds a text.

What a purge deletes must be gone, so a quote is kept as a place within the memory that it is from, and rows about a
memory go with it.
"""

from typing import Any

from sqlalchemy import Column, Float, ForeignKey, Index, Integer, String, Table

from dionysus_mcp.store.schema import Moment, Number, metadata
from dionysus_mcp.store.scoping import scope_columns


def _memory(name: str, *, key: bool = False) -> "Column[Any]":
    reference = ForeignKey("memory.seq", ondelete="CASCADE")
    return Column(name, Number, reference, primary_key=key, nullable=False, autoincrement=False)


run = Table(
    "consolidation_run",
    metadata,
    Column("id", String, primary_key=True),
    *scope_columns(),
    Column("started_at", Moment, nullable=False),
    # Null while it goes on, and for ever where it was killed.
    Column("ended_at", Moment),
    Column("undone_at", Moment),
    # Memories and closures that there were: a schedule does nothing until there are more.
    Column("seen", Number, nullable=False),
)
Index("consolidation_run_scope", run.c.tenant, run.c.project, run.c.started_at)

action = Table(
    "consolidation_action",
    metadata,
    Column("seq", Number, primary_key=True),
    Column("run_id", String, ForeignKey("consolidation_run.id", ondelete="CASCADE"), nullable=False),
    Column("kind", String, nullable=False),
    # What was superseded, linked, made, ended or rated; and what it was superseded by or linked to.
    _memory("memory_seq"),
    Column("other_seq", Number, ForeignKey("memory.seq", ondelete="CASCADE")),
    Column("similarity", Float),
    # Bands of retention; for what was restored, the number of the new version.
    Column("before", String),
    Column("after", String),
    Column("restored_seq", Number),
    # Digests, by which what was undone isn't done again after its rows have other numbers.
    Column("hash", String, nullable=False),
    Column("other_hash", String),
    Column("undone_at", Moment),
    # Why it could not be undone.
    Column("kept", String),
    sqlite_autoincrement=True,
)
Index("consolidation_action_run", action.c.run_id)
Index("consolidation_action_memory", action.c.memory_seq)
Index("consolidation_action_other", action.c.other_seq)
Index("consolidation_action_hash", action.c.hash)

link = Table(
    "memory_link",
    metadata,
    # "duplicate": the second says all that the first does; "similar": it says much the same; "extract": the first was
    # drawn from the second, where `start` and `stop` are; "edited": it was, and has been said otherwise since.
    Column("kind", String, primary_key=True),
    _memory("from_seq", key=True),
    _memory("to_seq", key=True),
    Column("similarity", Float),
    Column("start", Integer),
    Column("stop", Integer),
)
Index("memory_link_from", link.c.from_seq)
Index("memory_link_to", link.c.to_seq)

strength = Table(
    "memory_strength",
    metadata,
    _memory("memory_seq", key=True),
    Column("recalls", Integer, nullable=False),
    Column("recalled_at", Moment),
    # Days after which nine of ten such memories would still be in mind.
    Column("stability", Float, nullable=False),
    # "strong", "fading" or "faded", as a run has seen it last.
    Column("band", String, nullable=False),
)

lease = Table(
    "consolidation_lease",
    metadata,
    *scope_columns(key=True),
    Column("holder", String, nullable=False),
    Column("until", Moment, nullable=False),
)

TABLES = (run, action, link, strength, lease)
