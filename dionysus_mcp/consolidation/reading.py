"""The current memories of a scope as consolidation sees them, and their vectors. Reads only."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import ColumnElement, Connection, and_, func, select

from dionysus_mcp.embedding import DIMENSION, MODEL_ID
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.scoping import owned

if TYPE_CHECKING:
    import numpy as np

memory, vector, passage, closure = schema.memory, schema.vector, schema.passage, schema.closure
_BATCH = 400


@dataclass(frozen=True, slots=True)
class Held:
    """One current memory.

    Attributes:
        place: What makes it this memory, beside its content: two memories with another place are never one.
        thread: What it stands in: its session.
        order: How many current memories stand before it in its thread.
    """

    seq: int
    id: str
    hash: str
    content: str
    memory_type: str
    importance: float
    metadata: Mapping[str, Any]
    speaker: str | None
    session_id: str | None
    origin: str | None
    occurred_at: datetime | None
    recorded_from: datetime
    place: tuple[Any, ...]
    order: int


def own(scope: Scope) -> ColumnElement[bool]:
    """The predicate for memories that a scope may change: consolidation looks at no others."""
    return owned(memory, scope)


def held(connection: Connection, scope: Scope) -> Iterator[Held]:
    """The current memories of a scope, the oldest first."""
    columns = (
        *(memory.c.seq, memory.c.id, memory.c.hash, memory.c.content, memory.c.memory_type, memory.c.importance),
        *(memory.c.metadata, memory.c.speaker, memory.c.session_id, memory.c.origin, memory.c.occurred_at),
        *(memory.c.recorded_from, memory.c.context, memory.c.source, memory.c.valid_to),
    )
    query = select(*columns).where(own(scope), memory.c.recorded_to.is_(None)).order_by(memory.c.seq)
    orders: dict[str | None, int] = {}
    for row in connection.execute(query, execution_options={"yield_per": 1000}):
        order = orders[row.session_id] = orders.get(row.session_id, -1) + 1
        place = (row.memory_type, row.context, row.speaker, row.session_id, row.origin or row.source)
        yield Held(*row[:-3], place=(*place, row.occurred_at, row.valid_to), order=order)


def seen(connection: Connection) -> int:
    """A number that grows with every memory that is stored or ended."""
    last, ended = (connection.execute(select(func.max(table.c.seq))).scalar() or 0 for table in (memory, closure))
    return last + ended


def vectors(connection: Connection, seqs: Iterable[int]) -> "dict[int, np.ndarray[Any, Any]]":
    """Vectors of some memories by number, `(384,)` float16; those without one are left out."""
    import numpy as np

    found: dict[int, np.ndarray[Any, Any]] = {}
    mine = and_(vector.c.model == MODEL_ID, vector.c.dimension == DIMENSION)
    for part in _parts(seqs):
        query = select(vector.c.memory_seq, vector.c.vector).where(mine, vector.c.memory_seq.in_(part))
        rows = connection.execute(query)
        # A damaged one is `verify`'s to tell of.
        found |= {seq: np.frombuffer(raw, dtype="<f2") for seq, raw in rows if len(raw) == 2 * DIMENSION}
    return found


def passages(
    connection: Connection, seqs: Iterable[int]
) -> "dict[int, tuple[list[tuple[int, int]], np.ndarray[Any, Any]]]":
    """Places and vectors, `(n, 384)` float16, of the passages of those memories that have several."""
    import numpy as np

    found: dict[int, tuple[list[tuple[int, int]], Any]] = {}
    for part in _parts(seqs):
        query = select(passage.c.memory_seq, passage.c.spans, passage.c.vectors).where(
            passage.c.model == MODEL_ID, passage.c.memory_seq.in_(part)
        )
        for seq, spans, raw in connection.execute(query):
            places = np.frombuffer(spans, dtype="<u4").tolist()
            pairs = list(zip(places[::2], places[1::2], strict=True))
            if len(raw) == 2 * DIMENSION * len(pairs):  # as above
                found[seq] = pairs, np.frombuffer(raw, dtype="<f2").reshape(-1, DIMENSION)
    return found


def _parts(seqs: Iterable[int]) -> Iterator[list[int]]:
    held = list(seqs)
    for start in range(0, len(held), _BATCH):
        yield held[start : start + _BATCH]
