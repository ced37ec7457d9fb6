"""What is known of how often memories were recalled, as rows; written in batches, by whoever recalled them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select

from dionysus_mcp.consolidation.reading import own
from dionysus_mcp.consolidation.retention import after_recall, first_stability, retention
from dionysus_mcp.consolidation.tables import strength
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema

if TYPE_CHECKING:
    from dionysus_mcp.consolidation.actions import Band

memory = schema.memory
_BATCH = 400


@dataclass(frozen=True, slots=True)
class Strength:
    """How often a memory was recalled, when last, and what that left of it."""

    recalls: int
    recalled_at: datetime | None
    stability: float
    band: "Band"

    def retention(self, recorded: datetime, now: datetime) -> float:
        """From 0 to 1, at a moment."""
        return retention(self.stability, self.recalled_at or recorded, now)


def unrecalled(importance: float) -> Strength:
    """The strength of a memory that nothing is known of."""
    return Strength(0, None, first_stability(importance), "strong")


def strengths(connection: Connection, scope: Scope) -> dict[int, Strength]:
    """By number of the memory; those that nothing is known of are left out."""
    query = (
        select(strength)
        .join_from(strength, memory, memory.c.seq == strength.c.memory_seq)
        .where(own(scope), memory.c.recorded_to.is_(None))
    )
    return {
        row.memory_seq: Strength(row.recalls, row.recalled_at, row.stability, row.band)
        for row in connection.execute(query)
    }


def put(connection: Connection, seq: int, new: Strength) -> None:
    """Store what is known of one memory."""
    connection.execute(delete(strength).where(strength.c.memory_seq == seq))
    values = {"recalls": new.recalls, "recalled_at": new.recalled_at, "stability": new.stability, "band": new.band}
    connection.execute(insert(strength), {"memory_seq": seq, **values})


def known(connection: Connection, seq: int) -> Strength | None:
    """What is known of one memory."""
    row = connection.execute(select(strength).where(strength.c.memory_seq == seq)).first()
    return None if row is None else Strength(row.recalls, row.recalled_at, row.stability, row.band)


def note_recalls(connection: Connection, scope: Scope, recalled: Mapping[str, tuple[int, datetime]]) -> None:
    """Strengthen memories of the scope that were recalled; ids of others are passed over.

    Args:
        connection: In a transaction that writes.
        scope: Whose memories.
        recalled: By id, how often and when last.
    """
    for seq, key, importance, recorded in list(_current(connection, scope, recalled)):
        times, at = recalled[key]
        old = known(connection, seq) or unrecalled(importance)
        since = old.recalled_at or recorded
        put(connection, seq, Strength(old.recalls + times, at, after_recall(old.stability, since, at), "strong"))


def _current(connection: Connection, scope: Scope, ids: Iterable[str]) -> Iterable[tuple[int, str, float, datetime]]:
    wanted = list(ids)
    for start in range(0, len(wanted), _BATCH):
        columns = (memory.c.seq, memory.c.id, memory.c.importance, memory.c.recorded_from)
        mine = select(*columns).where(own(scope), memory.c.recorded_to.is_(None))
        for row in connection.execute(mine.where(memory.c.id.in_(wanted[start : start + _BATCH]))):
            yield (row.seq, row.id, row.importance, row.recorded_from)
