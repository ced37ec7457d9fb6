"""What recall knows of memories, as rows: which lack it, which are new, which memories were closed since.

A vector carries the name of the model that made it; vectors of other models are as good as missing. Vectors are
float16: next to float32 that moves a cosine by less than .001.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import Connection, and_, func, select

from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.halves import Size
from dionysus_mcp.store.memories import believed, in_scope, picked_in_scope
from dionysus_mcp.store.upserts import insert_new

if TYPE_CHECKING:
    import numpy as np

FLOAT16 = "f2"
_AT_A_TIME = 20_000
"""Rows of one read while a cache catches up."""

memory, vector, closure, passage = schema.memory, schema.vector, schema.closure, schema.passage


@dataclass(frozen=True, slots=True)
class Unindexed:
    """A memory without a vector, and what its view is made of; `speakers` are all of its session."""

    seq: int
    content: str
    context: str
    speaker: str | None
    speakers: frozenset[str]


# A million are made when a server starts: a tuple takes a quarter of the time of a frozen dataclass.
class VectorRow(NamedTuple):
    """One indexed memory: little-endian float16 and uint32, with what recall filters and orders by.

    Attributes:
        thread: What it is a part of, whose parts follow each other: its session, or the document it comes from.
    """

    seq: int
    memory_seq: int
    memory_type: str
    session_id: str | None
    thread: str | None
    speaker: str | None
    occurred_at: datetime | None
    vector: bytes
    terms: bytes
    traits: int


@dataclass(frozen=True, slots=True)
class PassageVectors:
    """The passages of one memory: their places in its content, and vectors of shape `(len(spans), dimension)`."""

    spans: Sequence[tuple[int, int]]
    vectors: "np.ndarray[Any, Any]"


@dataclass(frozen=True, slots=True)
class Indexed:
    """What is to be stored of one memory; `vector` has shape `(dimension,)`, `passages` only where it has several."""

    seq: int
    vector: "np.ndarray[Any, Any]"
    terms: "np.ndarray[Any, Any]"
    traits: int
    passages: PassageVectors | None = None


class Vectors:
    """The vectors of one scope of a store, for one model.

    Args:
        store: Where they are.
        model: Name of the model.
        dimension: Numbers in one of its vectors.
        as_of: Only those of memories that the store believed then, and nothing that was closed since; None for now.
    """

    def __init__(self, store: Store, model: str, dimension: int, as_of: datetime | None = None) -> None:
        self._store = store
        self._as_of = as_of
        self.model = model
        self.dimension = dimension
        # Up to this number every memory is known to have its vector, so nobody need look there again.
        self._complete = 0
        self._looked = False
        self._whole = 0

    @property
    def as_of(self) -> datetime | None:
        """The moment whose memories these are; None for now."""
        return self._as_of

    @property
    def store(self) -> Store:
        """Where they are."""
        return self._store

    def missing(self, count: int, *, newest: bool = False) -> list[Unindexed]:
        """Up to `count` current memories without a vector of this model: the oldest, or the newest, in their order."""
        query = (
            select(
                memory.c.seq, memory.c.content, memory.c.context, memory.c.speaker, memory.c.session_id, memory.c.owner
            )
            .select_from(self._joined())
            .where(self._lacking())
            .order_by(memory.c.seq.desc() if newest else memory.c.seq)
            .limit(count)
        )
        with self._store.read() as connection:
            rows = sorted(connection.execute(query).all(), key=lambda row: row.seq)
            last = connection.execute(self._last_memory()).scalar() or 0
            speakers = self._speakers(connection, {row.session_id for row in rows if row.session_id is not None})
        self._looked = True
        # Writers go one after another, so what comes later has a higher number.
        if not rows:
            self._complete = last
        elif not newest:
            self._complete = rows[0].seq - 1
        return [
            Unindexed(
                row.seq, row.content, row.context, row.speaker, speakers.get((row.owner, row.session_id), frozenset())
            )
            for row in rows
        ]

    def lacks(self, connection: Connection, last: int) -> bool:
        """Whether a memory up to number `last` still waits for its vector.

        Quick enough for every recall: it looks at what is new alone, and not before somebody has looked at the rest.
        """
        if not self._looked or last <= max(self._complete, self._whole):
            return False
        first = select(memory.c.seq).select_from(self._joined()).where(self._lacking()).limit(1)
        if connection.execute(first).first() is not None:
            return True
        self._whole = last
        return False

    def look_again(self) -> None:
        """Doubt that any memory has its vector: a repair of the store may have dropped some that were damaged."""
        self._complete, self._looked, self._whole = 0, False, 0

    def count_missing(self) -> int:
        """How many current memories have no vector of this model."""
        query = select(func.count()).select_from(self._joined()).where(self._lacking())
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def outdated(self) -> dict[str, int]:
        """Current memories that have a vector of another model but none of this one, counted by that model."""
        other = vector.alias()
        query = (
            select(other.c.model, func.count())
            .select_from(self._joined().join(other, other.c.memory_seq == memory.c.seq))
            .where(self._lacking())
            .group_by(other.c.model)
        )
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def put(self, indexed: Sequence[Indexed], also: Callable[[Connection], None] | None = None) -> None:
        """Store what is known of some memories.

        Another process may have stored the same meanwhile: then nothing is changed. `also` is done in the same
        transaction.
        """
        rows = [self._row(one) for one in indexed]
        pieces = [self._pieces(one.seq, one.passages) for one in indexed if one.passages is not None]

        def work(connection: Connection) -> None:
            connection.execute(insert_new(connection, vector), rows)
            if pieces:
                connection.execute(insert_new(connection, passage), pieces)
            if also is not None:
                also(connection)

        if rows:
            # What is there already stays, so nobody need wait for others who store memories.
            self._store.write(work, alone=False)

    def since(self, seq: int) -> Iterator[VectorRow]:
        """Vectors stored after vector `seq`, in order."""
        with self._store.read() as connection:
            last = connection.execute(select(func.max(vector.c.seq))).scalar() or 0
            while seq < last:
                upto = min(last, seq + _AT_A_TIME)
                for row in connection.execute(self._between(seq, upto)):
                    yield VectorRow._make(row)
                seq = upto

    def passages(self, connection: Connection, seqs: Iterable[int]) -> dict[int, PassageVectors]:
        """Return the passages of those memories that have several."""
        import numpy as np

        # A query of our own words: building one of SQLAlchemy's for some hundred numbers takes longer than running it.
        wanted = ",".join(str(int(seq)) for seq in seqs)
        mark = "%s" if self._store.in_postgres else "?"
        rows = connection.exec_driver_sql(
            f"SELECT memory_seq, spans, vectors FROM passage WHERE model = {mark} AND memory_seq IN ({wanted or 0})",  # noqa: S608 -- whole numbers
            (self.model,),
        )
        found: dict[int, PassageVectors] = {}
        for seq, spans, vectors in rows:
            places = np.frombuffer(spans, dtype="<u4").tolist()
            pairs = list(zip(places[::2], places[1::2], strict=True))
            found[seq] = PassageVectors(pairs, np.frombuffer(vectors, dtype="<f2").reshape(-1, self.dimension))
        return found

    def closed_since(self, seq: int) -> list[tuple[int, int]]:
        """`(closure, memory)` numbers of memories closed or purged after closure `seq`, in order."""
        if self._as_of is not None:
            return []  # what was believed then doesn't change
        query = select(closure.c.seq, closure.c.memory_seq).where(closure.c.seq > seq).order_by(closure.c.seq)
        with self._store.read() as connection:
            return [(row.seq, row.memory_seq) for row in connection.execute(query)]

    def last(self) -> tuple[int, int]:
        """The numbers of the newest vector and of the newest closure, whoever stored them."""
        with self._store.read() as connection:
            found = connection.exec_driver_sql("SELECT (SELECT max(seq) FROM vector), (SELECT max(seq) FROM closure)")
            newest, closed = found.one()
        return newest or 0, closed or 0

    def rows(self) -> Any:
        """The query for the indexed memories of the scope, each a `VectorRow`, to be narrowed."""
        return (
            select(
                vector.c.seq,
                vector.c.memory_seq,
                memory.c.memory_type,
                memory.c.session_id,
                func.coalesce(memory.c.session_id, memory.c.origin),
                memory.c.speaker,
                memory.c.occurred_at,
                vector.c.vector,
                vector.c.terms,
                vector.c.traits,
            )
            .join_from(vector, memory, memory.c.seq == vector.c.memory_seq)
            .where(
                vector.c.model == self.model,
                vector.c.dimension == self.dimension,
                believed(self._as_of),
                picked_in_scope(self._store.scope),
            )
        )

    def _between(self, seq: int, upto: int) -> Any:
        # A damaged one would spoil all that are read with it; `verify` tells of it.
        whole = Size(vector.c.vector) == 2 * self.dimension
        return self.rows().where(vector.c.seq > seq, vector.c.seq <= upto, whole).order_by(vector.c.seq)

    def _speakers(self, connection: Connection, sessions: set[str]) -> dict[tuple[str, str], frozenset[str]]:
        """Who speaks in a session, by owner and session: a user's own must not show in vectors of what is shared."""
        query = (
            select(memory.c.owner, memory.c.session_id, memory.c.speaker)
            .where(in_scope(self._store.scope), memory.c.session_id.in_(sessions), memory.c.speaker.is_not(None))
            .distinct()
        )
        found: dict[tuple[str, str], set[str]] = {}
        for row in connection.execute(query) if sessions else ():
            found.setdefault((row.owner, row.session_id), set()).add(row.speaker)
        return {key: frozenset(speakers) for key, speakers in found.items()}

    def _row(self, one: Indexed) -> dict[str, Any]:
        return {
            "memory_seq": one.seq,
            "model": self.model,
            "dimension": self.dimension,
            "format": FLOAT16,
            "vector": one.vector.astype("<f2").tobytes(),
            "terms": one.terms.astype("<u4").tobytes(),
            "traits": one.traits,
        }

    def _pieces(self, seq: int, pieces: PassageVectors) -> dict[str, Any]:
        import numpy as np

        return {
            "memory_seq": seq,
            "model": self.model,
            "spans": np.array(pieces.spans, dtype="<u4").tobytes(),
            "vectors": pieces.vectors.astype("<f2").tobytes(),
        }

    def _joined(self) -> Any:
        mine = and_(
            vector.c.memory_seq == memory.c.seq, vector.c.model == self.model, vector.c.dimension == self.dimension
        )
        return memory.outerjoin(vector, mine)

    def _last_memory(self) -> Any:
        query = select(func.max(memory.c.seq))
        # In PostgreSQL writers of another project may be done before those of this one that have lower numbers.
        return query.where(in_scope(self._store.scope)) if self._store.in_postgres else query

    def _lacking(self) -> Any:
        return and_(
            memory.c.seq > self._complete,
            picked_in_scope(self._store.scope),
            memory.c.recorded_to.is_(None),
            vector.c.seq.is_(None),
        )
