"""The vectors of memories as rows: which are missing, which are new, which memories were closed since.

A vector carries the name of the model that made it; vectors of other models are as good as missing.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, and_, func, select
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
    """A memory without a vector, the text to embed, and its content, whose passages get vectors of their own."""

    seq: int
    text: str
    content: str


@dataclass(frozen=True, slots=True)
class VectorRow:
    """A stored vector, little-endian float32, with what recall filters by."""

    seq: int
    memory_seq: int
    memory_type: str
    session_id: str | None
    vector: bytes


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """The passages of one memory: their places in its content, and vectors of shape `(len(spans), dimension)`."""

    spans: Sequence[tuple[int, int]]
    vectors: "np.ndarray[Any, Any]"


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
            return [_unembedded(row) for row in connection.execute(query)]

    def count_missing(self) -> int:
        """How many current memories have no vector of this model."""
        query = select(func.count()).select_from(self._joined()).where(self._lacking())
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def put(
        self, seqs: Sequence[int], vectors: "np.ndarray[Any, Any]", passages: Sequence[PassageVectors | None]
    ) -> None:
        """Store the vectors, shape `(len(seqs), dimension)`, and those of passages where a memory has several.

        Another process may have stored the same meanwhile: then nothing is changed.
        """
        little = vectors.astype("<f4", copy=False)
        rows = [
            {
                "memory_seq": seq,
                "model": self.model,
                "dimension": self.dimension,
                "format": FLOAT32,
                "vector": one.tobytes(),
                "spans": None if pieces is None else [list(span) for span in pieces.spans],
                "passages": None if pieces is None else pieces.vectors.astype("<f2").tobytes(),
            }
            for seq, one, pieces in zip(seqs, little, passages, strict=True)
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

    def passages(self, connection: Connection, seqs: Iterable[int]) -> dict[int, PassageVectors]:
        """Return the passages of those memories that have several."""
        import numpy as np

        query = select(vector.c.memory_seq, vector.c.spans, vector.c.passages).where(
            vector.c.memory_seq.in_(list(seqs)), vector.c.model == self.model, vector.c.passages.is_not(None)
        )
        return {
            row.memory_seq: PassageVectors(
                [(first, last) for first, last in row.spans],
                np.frombuffer(row.passages, dtype="<f2").reshape(-1, self.dimension).astype(np.float32),
            )
            for row in connection.execute(query)
        }

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


def _unembedded(row: Row[Any, Any, Any]) -> Unembedded:
    return Unembedded(row.seq, embedded_text(row.content, row.context), row.content)


def embedded_text(content: str, context: str) -> str:
    """What is embedded for a memory: its content below what stands around it."""
    return f"{context}\n{content}" if context else content
