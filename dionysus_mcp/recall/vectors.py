"""Recall by meaning: exact cosines over the store's vectors, kept in memory and caught up before every query.

The rows are the truth, this is a cache. Vectors and closures are numbered, so catching up with what other processes
wrote is reading the rows after the last number seen.
"""

import threading
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.keywords import Filter
from dionysus_mcp.store.vectors import VectorRow, Vectors

if TYPE_CHECKING:
    import numpy as np

_FIRST_CAPACITY = 1024


class VectorCache:
    """The vectors of one scope and model, float32, 1.5 kB each. Thread-safe."""

    def __init__(self, vectors: Vectors) -> None:
        import numpy as np

        self.vectors = vectors
        self._lock = threading.Lock()
        self._matrix = np.zeros((_FIRST_CAPACITY, vectors.dimension), dtype=np.float32)
        self._memories = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._live = np.zeros(_FIRST_CAPACITY, dtype=bool)
        # Type and session of each vector as a number: a filter is asked once a kind, not once a memory.
        self._kind_of = np.zeros(_FIRST_CAPACITY, dtype=np.int32)
        self._kinds: dict[tuple[str, str | None], int] = {}
        self._place: dict[int, int] = {}
        self._size = 0
        self._last_vector = 0
        self._last_closure = 0

    def nearest(
        self, query: "np.ndarray[Any, Any]", admitted: Filter, count: int, also: Collection[int]
    ) -> dict[int, float]:
        """Cosines of the `count` nearest memories, and of those in `also` that have a vector, by memory number.

        Args:
            query: Shape `(dimension,)`, of length 1.
            admitted: Which memories count.
            count: How many of the nearest.
            also: Memories found otherwise whose cosine is wanted too.
        """
        import numpy as np

        with self._lock:
            self._catch_up()
            if not self._size:
                return {}
            cosines = self._matrix[: self._size] @ query
            allowed = np.flatnonzero(self._allowed(admitted))
            if len(allowed) > count:
                best = np.argpartition(-cosines[allowed], count - 1)[:count]
                allowed = allowed[best]
            places = {int(place) for place in allowed}
            places.update(self._place[seq] for seq in also if seq in self._place)
            return {int(self._memories[place]): float(cosines[place]) for place in places}

    def _allowed(self, admitted: Filter) -> "np.ndarray[Any, Any]":
        import numpy as np

        live = self._live[: self._size]
        if admitted == Filter():
            return live
        kinds = np.fromiter((admitted.admits(*kind) for kind in self._kinds), dtype=bool, count=len(self._kinds))
        return live & kinds[self._kind_of[: self._size]]

    def _catch_up(self) -> None:
        for row in self.vectors.since(self._last_vector):
            self._append(row)
        for number, memory in self.vectors.closed_since(self._last_closure):
            self._last_closure = number
            if memory in self._place:
                self._live[self._place[memory]] = False

    def _append(self, row: VectorRow) -> None:
        import numpy as np

        if self._size == len(self._memories):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
            self._memories = np.concatenate([self._memories, np.zeros_like(self._memories)])
            self._live = np.concatenate([self._live, np.zeros_like(self._live)])
            self._kind_of = np.concatenate([self._kind_of, np.zeros_like(self._kind_of)])
        place = self._size
        self._matrix[place] = np.frombuffer(row.vector, dtype="<f4")
        self._memories[place] = row.memory_seq
        self._live[place] = True
        self._kind_of[place] = self._kinds.setdefault((row.memory_type, row.session_id), len(self._kinds))
        self._place[row.memory_seq] = place
        self._last_vector = row.seq
        self._size += 1
