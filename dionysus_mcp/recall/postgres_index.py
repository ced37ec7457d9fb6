"""Recall's index where PostgreSQL keeps the vectors: nothing is held in memory but what one recall looks at.

Each recall gets an index of its own, filled with what the database finds near and what stands beside that. What ranks
the candidates is the same code over the same arrays as with SQLite. See decision 28.
"""

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from dionysus_mcp.recall import postgres_vectors
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.index import MemoryIndex
from dionysus_mcp.recall.postgres_vectors import Known, Neighbours
from dionysus_mcp.store.vectors import Vectors

if TYPE_CHECKING:
    import numpy as np

_FEW = 5_000
"""Memories up to which a scope is counted anew whenever something was indexed."""
_LONG = 60.0
"""Seconds after which what is new in a larger one is counted."""
_VERY_LONG = 600.0
"""Seconds after which all of it is: what was closed since is taken off the figures then, and what was numbered before
the newest that was counted, but stored after the count, is put to them."""


class PostgresIndex:
    """What is known of one scope and model as a whole. Thread-safe."""

    def __init__(self, vectors: Vectors) -> None:
        self._vectors = vectors
        self._lock = threading.Lock()
        self._known = Known()
        self._neighbours = Neighbours(vectors)
        self._counted_up_to = -1
        self._looked_at = self._counted_at = 0.0

    def __len__(self) -> int:
        return self._known.memories

    def catch_up(self) -> None:
        """Count what has changed, if counting is quick or was long ago."""
        with self._lock, self._vectors.store.read() as connection:
            newest, now = postgres_vectors.newest(connection), time.monotonic()
            if newest == self._counted_up_to:
                return
            if self._known.memories < _FEW or now - self._counted_at > _VERY_LONG:
                self._known, self._counted_at = postgres_vectors.known(connection, self._vectors), now
            elif now - self._looked_at > _LONG:
                self._known += postgres_vectors.known(connection, self._vectors, self._counted_up_to)
            else:
                return
            self._counted_up_to, self._looked_at = newest, now

    def within(self, connection: Connection) -> MemoryIndex:
        """An index for one recall."""
        return _Excerpt(self._vectors, self._known, self._neighbours, connection)


class _Excerpt(MemoryIndex):
    """The part of a scope that one recall looks at, read as it looks there. For one thread."""

    def __init__(self, vectors: Vectors, known: Known, neighbours: Neighbours, connection: Connection) -> None:
        super().__init__(vectors)
        self._neighbours = neighbours
        self._known = known
        self._connection = connection
        for speaker in known.speakers:
            self._speaker(speaker)

    @property
    def mean_length(self) -> float:
        """Stems of an average memory of the scope."""
        return self._known.mean_length

    @property
    def is_told(self) -> bool:
        """Whether at least half of the scope's memories have a speaker."""
        return 2 * self._known.spoken >= max(1, self._known.memories)

    def catch_up(self) -> None:
        """Nothing: what is read is of now."""

    def nearest(
        self, query: "np.ndarray[Any, Any]", admitted: Filter, count: int, also: Sequence[int] = ()
    ) -> "np.ndarray[Any, Any]":
        """Places of the memories nearest to a query; reads those of the numbers in `also` with them."""
        found = postgres_vectors.nearest(self._connection, self.vectors, query, admitted, count)
        if len(found) < min(count, self._known.memories):
            # So few are admitted that the index has given up, or there are no more.
            found = postgres_vectors.nearest(self._connection, self.vectors, query, admitted, count, exact=True)
        return self.places([*found, *also])[: len(found)]

    def places(self, seqs: Sequence[int]) -> "np.ndarray[Any, Any]":
        """Places of memories by their numbers; what isn't here yet is read, with its neighbours."""
        held = set(self._seqs.values.tolist())
        missing = [seq for seq in seqs if seq not in held]
        read = self._neighbours.of(self._connection, missing) if missing else []
        if new := [row for row in read if row.memory_seq not in held]:
            self._append(new)
        return super().places(seqs)


def index_of(vectors: Vectors) -> MemoryIndex | PostgresIndex:
    """The index for the database that keeps the vectors."""
    return PostgresIndex(vectors) if vectors.store.in_postgres else MemoryIndex(vectors)
