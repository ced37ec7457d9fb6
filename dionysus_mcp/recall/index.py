"""What recall knows of every memory of a scope, in memory: vectors, stems, who, when, and what stands next to what.

The rows are the truth, this is a cache. Vectors and closures are numbered, so catching up with what other processes
wrote is reading the rows after the last number seen. A memory's place is where it stands in all the arrays.
"""

import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.matrix import Matrix
from dionysus_mcp.recall.views import name_words
from dionysus_mcp.store.vectors import VectorRow, Vectors

if TYPE_CHECKING:
    import numpy as np

_AT_A_TIME = 5_000
NOBODY = -1
"""A place, thread or speaker that there isn't."""


class Column:
    """A growing array of one type. Not thread-safe."""

    def __init__(self, dtype: Any) -> None:
        import numpy as np

        self._held = np.zeros(1024, dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def values(self) -> "np.ndarray[Any, Any]":
        """What was appended; a view, which may be written to."""
        return self._held[: self._size]

    def extend(self, values: Any) -> None:
        """Append values."""
        import numpy as np

        end = self._size + len(values)
        if end > len(self._held):
            grown = np.zeros(max(end, len(self._held) * 3 // 2), dtype=self._held.dtype)
            grown[: self._size] = self.values
            self._held = grown
        self._held[self._size : end] = values
        self._size = end


class MemoryIndex:
    """The indexed memories of one scope and model. Its `lock` is held by whoever reads the arrays.

    Attributes:
        lock: Guards everything here.
        matrix: Vectors by place.
        seqs: Numbers of the memories by place.
        before: Place of what stands before it in its thread, or `NOBODY`.
        after: Place of what stands after it, or `NOBODY`.
        threads: Number of its thread, or `NOBODY`.
        speakers: Number of its speaker, or `NOBODY`.
        days: Day on which it happened, as days since 1970-01-01; `NOBODY` where unknown.
        names: Numbers of speakers by what they are called.
    """

    def __init__(self, vectors: Vectors) -> None:
        import numpy as np

        self.vectors = vectors
        self.lock = threading.RLock()
        self.matrix = Matrix(vectors.dimension)
        self._seqs, self._ends = Column(np.int64), Column(np.int64)
        self._terms = Column(np.uint32)
        self._before, self._after = Column(np.int32), Column(np.int32)
        self._threads, self._speakers, self._days = Column(np.int32), Column(np.int32), Column(np.int32)
        self._traits, self._live = Column(np.uint8), Column(bool)
        # Type and session of each memory as a number: a filter is asked once a type, not once a memory.
        self._type_of, self._session_of = Column(np.int32), Column(np.int32)
        self._types: dict[str, int] = {}
        self._sessions: dict[str | None, int] = {None: NOBODY}
        self._spoken = 0
        self._thread_numbers: dict[str, int] = {}
        self._thread_ends: list[int] = []
        self._speaker_numbers: dict[str, int] = {}
        self.names: dict[str, set[int]] = {}
        self._ordered = True
        self._last_vector = 0
        self._last_closure = 0

    def __len__(self) -> int:
        return len(self._seqs)

    @property
    def mean_length(self) -> float:
        """Stems of an average memory."""
        return max(1.0, len(self._terms) / max(1, len(self)))

    @property
    def is_told(self) -> bool:
        """Whether at least half of the memories have a speaker, as a conversation's have; notes mostly have none."""
        return 2 * self._spoken >= max(1, len(self))

    def catch_up(self) -> None:
        """Take in what was stored and closed since the last time."""
        with self.lock:
            last, closed = self.vectors.last()
            rows = iter(self.vectors.since(self._last_vector) if last > self._last_vector else ())
            while part := list(islice(rows, _AT_A_TIME)):
                self._append(part)
            # Past those of other scopes and models too: they needn't be passed over again.
            self._last_vector = max(self._last_vector, last)
            news = self.vectors.closed_since(self._last_closure) if closed > self._last_closure else ()
            for number, memory in news:
                self._last_closure = number
                place = self.places([memory])[0]
                if place != NOBODY:
                    self._live.values[place] = False

    def within(self, connection: Connection) -> "MemoryIndex":
        """What one recall looks at; here all is in memory already."""
        return self

    def nearest(
        self, query: "np.ndarray[Any, Any]", admitted: Filter, count: int, also: Sequence[int] = ()
    ) -> "np.ndarray[Any, Any]":
        """Places of the memories nearest to a query.

        Args:
            query: Shape `(dimension,)`.
            admitted: What may be returned.
            count: At most so many.
            also: Numbers of memories whose places are asked for next, for an index that has to read them.
        """
        return self.matrix.nearest(query, self._allowed(admitted), count)

    def admits(self, places: "np.ndarray[Any, Any]", admitted: Filter) -> "np.ndarray[Any, Any]":
        """Which of the places a recall may return."""
        types, sessions = self._type_of.values[places], self._session_of.values[places]
        return self._live.values[places] & self._fits(types, sessions, admitted)

    def places(self, seqs: Sequence[int]) -> "np.ndarray[Any, Any]":
        """Places of memories by their numbers; `NOBODY` where one isn't indexed."""
        import numpy as np

        held, wanted = self._seqs.values, np.asarray(seqs, dtype=np.int64)
        if not len(held) or not len(wanted):
            return np.full(len(wanted), NOBODY)
        order = None if self._ordered else np.argsort(held, kind="stable")
        found = np.minimum(np.searchsorted(held, wanted, sorter=order), len(held) - 1)
        if order is not None:
            found = order[found]
        return np.where(held[found] == wanted, found, NOBODY)

    def beside(self, places: "np.ndarray[Any, Any]", step: int) -> "np.ndarray[Any, Any]":
        """Places of what stands one before (-1) or after (1) in the same thread, `NOBODY` where nothing does."""
        import numpy as np

        links = (self._before if step < 0 else self._after).values
        found = np.where(places == NOBODY, NOBODY, links[places])
        return np.where((found != NOBODY) & self._live.values[found], found, NOBODY)

    def terms(self, places: "np.ndarray[Any, Any]") -> "tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]":
        """Stems of memories one after the other, and how many each has."""
        import numpy as np

        ends = self._ends.values
        starts = np.where(places > 0, ends[places - 1], 0)
        lengths = ends[places] - starts
        total = int(lengths.sum())
        shifts = np.repeat(starts - np.concatenate([[0], np.cumsum(lengths)[:-1]]), lengths)
        return self._terms.values[np.arange(total) + shifts], lengths

    def column(self, name: str, places: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        """Values of "seqs", "threads", "speakers", "days" or "traits" at some places."""
        return getattr(self, f"_{name}").values[places]

    def _allowed(self, admitted: Filter) -> "np.ndarray[Any, Any]":
        live = self._live.values
        if admitted == Filter():
            return live
        return live & self._fits(self._type_of.values, self._session_of.values, admitted)

    def _fits(self, types: Any, sessions: Any, admitted: Filter) -> "np.ndarray[Any, Any]":
        """Which of some memories, told by the numbers of their types and sessions, a filter admits."""
        import numpy as np

        ok = np.fromiter((admitted.admits_type(one) for one in self._types), dtype=bool, count=len(self._types))
        fits = ok[types]
        if admitted.session_id is not None:
            # A session that no memory is of has a number that none has.
            fits &= sessions == self._sessions.get(admitted.session_id, NOBODY - 1)
        return fits

    def _append(self, rows: Sequence[VectorRow]) -> None:
        import numpy as np

        first = len(self)
        vectors = np.frombuffer(b"".join(row.vector for row in rows), dtype="<f2").astype(np.float32)
        self.matrix.extend(vectors.reshape(len(rows), -1))
        seqs = [row.memory_seq for row in rows]
        held = [int(self._seqs.values[-1])] if first else []
        self._ordered = self._ordered and sorted(held + seqs) == held + seqs
        self._seqs.extend(seqs)
        lengths = np.array([len(row.terms) // 4 for row in rows])
        self._ends.extend(np.cumsum(lengths) + len(self._terms))
        self._terms.extend(np.frombuffer(b"".join(row.terms for row in rows), dtype="<u4"))
        self._traits.extend([row.traits for row in rows])
        self._live.extend([True] * len(rows))
        types, sessions = self._types, self._sessions
        self._type_of.extend([types.setdefault(row.memory_type, len(types)) for row in rows])
        self._session_of.extend([sessions.setdefault(row.session_id, len(sessions)) for row in rows])
        self._spoken += sum(row.speaker is not None for row in rows)
        self._days.extend([NOBODY if row.occurred_at is None else row.occurred_at.toordinal() for row in rows])
        self._speakers.extend([self._speaker(row.speaker) for row in rows])
        self._link(first, rows)
        self._last_vector = rows[-1].seq

    def _speaker(self, speaker: str | None) -> int:
        if speaker is None:
            return NOBODY
        number = self._speaker_numbers.get(speaker)
        if number is None:
            number = self._speaker_numbers[speaker] = len(self._speaker_numbers)
            for name in name_words([speaker]):
                self.names.setdefault(name, set()).add(number)
        return number

    def _link(self, first: int, rows: Iterable[VectorRow]) -> None:
        threads = [self._thread(row.thread) for row in rows]
        self._threads.extend(threads)
        self._before.extend([NOBODY] * len(threads))
        self._after.extend([NOBODY] * len(threads))
        before, after, seqs, ends = self._before.values, self._after.values, self._seqs.values, self._thread_ends
        for place, thread in enumerate(threads, start=first):
            if thread == NOBODY:
                continue
            earlier, later = ends[thread], NOBODY
            # Several processes index at once, so one may come late: then its place is further back.
            while earlier != NOBODY and seqs[earlier] > seqs[place]:
                earlier, later = int(before[earlier]), earlier
            before[place], after[place] = earlier, later
            if earlier != NOBODY:
                after[earlier] = place
            if later == NOBODY:
                ends[thread] = place
            else:
                before[later] = place

    def _thread(self, thread: str | None) -> int:
        if thread is None:
            return NOBODY
        number = self._thread_numbers.get(thread)
        if number is None:
            number = self._thread_numbers[thread] = len(self._thread_numbers)
            self._thread_ends.append(NOBODY)
        return number
