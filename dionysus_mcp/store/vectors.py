"""The vectors of memories as rows: which are missing, which are new, which memories were closed since.

A vector carries the name of the model that made it; vectors of other models are as good as missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, and_, func, select
from sqlalchemy.dialects.sqlite import insert

from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import in_scope
from dionysus_mcp.store.sqlite import Store

if TYPE_CHECKING:
    import numpy as np

FLOAT32 = "f4"

memory, vector, closure = schema.memory, schema.vector, schema.closure


@dataclass(frozen=True, slots=True)
class Unembedded:
    """A memory without a vector, and the text to embed."""

    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A stored vector, little-endian float32, with what recall filters by."""

    seq: int
    memory_seq: int
    memory_type: str
    session_id: str | None
    vector: bytes


class Vectors:
    """The vectors of one scope of a store, for one model."""

    def __init__(self, store: Store, model: str, dimension: int) -> None:
        self._store = store
        self.model = model
        self.dimension = dimension

    def missing(self, count: int) -> list[Unembedded]:
        """Up to `count` current memories without a vector of this model, the oldest first."""
        query = select(memory.c.seq, memory.c.content, memory.c.context).select_from(self._joined())
        query = query.where(self._lacking()).order_by(memory.c.seq).limit(count)
        with self._store.read() as connection:
            return [Unembedded(row.seq, embedded_text(row.content, row.context)) for row in connection.execute(query)]

    def count_missing(self) -> int:
        """How many current memories have no vector of this model."""
        query = select(func.count()).select_from(self._joined()).where(self._lacking())
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def put(self, seqs: Sequence[int], vectors: "np.ndarray[Any, Any]") -> None:
        """Store the vectors, shape `(len(seqs), dimension)`; another process may have stored the same meanwhile."""
        little = vectors.astype("<f4", copy=False)
        rows = [
            {
                "memory_seq": seq,
                "model": self.model,
                "dimension": self.dimension,
                "format": FLOAT32,
                "vector": one.tobytes(),
            }
            for seq, one in zip(seqs, little, strict=True)
        ]

        def work(connection: Connection) -> None:
            connection.execute(insert(vector).on_conflict_do_nothing(), rows)

        if rows:
            self._store.write(work)

    def since(self, seq: int) -> Iterable[VectorRow]:
        """Vectors of current memories stored after vector `seq`, in order."""
        query = (
            select(vector.c.seq, vector.c.memory_seq, memory.c.memory_type, memory.c.session_id, vector.c.vector)
            .join_from(vector, memory, memory.c.seq == vector.c.memory_seq)
            .where(
                vector.c.seq > seq,
                vector.c.model == self.model,
                vector.c.dimension == self.dimension,
                memory.c.recorded_to.is_(None),
                in_scope(self._store.scope),
            )
            .order_by(vector.c.seq)
        )
        with self._store.read() as connection:
            for row in connection.execute(query):
                yield VectorRow(row.seq, row.memory_seq, row.memory_type, row.session_id, row.vector)

    def closed_since(self, seq: int) -> list[tuple[int, int]]:
        """`(closure, memory)` numbers of memories closed after closure `seq`, in order."""
        query = select(closure.c.seq, closure.c.memory_seq).where(closure.c.seq > seq).order_by(closure.c.seq)
        with self._store.read() as connection:
            return [(row.seq, row.memory_seq) for row in connection.execute(query)]

    def _joined(self) -> Any:
        mine = and_(
            vector.c.memory_seq == memory.c.seq, vector.c.model == self.model, vector.c.dimension == self.dimension
        )
        return memory.outerjoin(vector, mine)

    def _lacking(self) -> Any:
        return and_(in_scope(self._store.scope), memory.c.recorded_to.is_(None), vector.c.seq.is_(None))


def embedded_text(content: str, context: str) -> str:
    """What is embedded for a memory: its content below what stands around it."""
    return f"{context}\n{content}" if context else content
