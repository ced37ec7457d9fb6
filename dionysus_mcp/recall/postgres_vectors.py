"""Searching vectors where they are: the nearest by pgvector, and what stands beside memories in their threads."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    func,
    select,
    text,
    true,
    union,
)

from dionysus_mcp.recall.keywords import BOUND, Filter, conditions
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import believed, in_scope
from dionysus_mcp.store.vectors import VectorRow, Vectors

if TYPE_CHECKING:
    import numpy as np

STEPS = 3
"""Neighbours on each side: recall looks one step beside what was found, and two beside that."""

memory = schema.memory


@dataclass(frozen=True, slots=True)
class Known:
    """What recall must know of a scope as a whole.

    Attributes:
        memories: Indexed ones.
        spoken: Those of them with a speaker.
        mean_length: Stems of an average one.
        speakers: All of them.
    """

    memories: int = 0
    spoken: int = 0
    mean_length: float = 1.0
    speakers: tuple[str, ...] = ()

    def __add__(self, more: "Known") -> "Known":
        """With what was counted apart from it."""
        both = self.memories + more.memories
        stems = self.memories * self.mean_length + more.memories * more.mean_length
        speakers = tuple(sorted({*self.speakers, *more.speakers}))
        return Known(both, self.spoken + more.spoken, max(1.0, stems / max(1, both)), speakers)


def newest(connection: Connection) -> int:
    """The number of the newest vector, whosever; 0 where there is none."""
    return connection.execute(select(func.max(schema.vector.c.seq))).scalar() or 0


def known(connection: Connection, vectors: Vectors, after: int = 0) -> Known:
    """Count a scope, or what has a vector with a number above `after`; all of 100,000 memories take half a second."""
    rows = vectors.rows().where(schema.vector.c.seq > after).subquery()
    counted = select(rows.c.speaker, func.count(), func.sum(func.octet_length(rows.c.terms))).group_by(rows.c.speaker)
    found = connection.execute(counted).all()
    memories = sum(count for _, count, _ in found)
    mean = sum(int(size or 0) for *_, size in found) / 4 / max(1, memories)
    speakers = tuple(sorted(speaker for speaker, *_ in found if speaker is not None))
    return Known(memories, sum(count for speaker, count, _ in found if speaker is not None), max(1.0, mean), speakers)


def nearest(
    connection: Connection,
    vectors: Vectors,
    query: "np.ndarray[Any, Any]",
    admitted: Filter,
    count: int,
    *,
    exact: bool = False,
) -> list[int]:
    """Numbers of the memories nearest to a query.

    Args:
        connection: In a transaction that reads.
        vectors: Of which scope, model and moment.
        query: Shape `(dimension,)`.
        admitted: What may be returned.
        count: At most so many.
        exact: Compute all cosines instead of using the index, which gives up after some 20,000 memories.
    """
    where, values = conditions(vectors.store.scope, admitted, vectors.as_of)
    # The length stands in the query itself, as the index is of vectors of this length alone.
    kind = f"halfvec({vectors.dimension})"
    found = text(
        "SELECT v.memory_seq FROM vector v JOIN memory m ON m.seq = v.memory_seq "  # noqa: S608 -- constants; values are bound
        f"WHERE v.model = :model AND v.dimension = {vectors.dimension} AND {where} "
        f"ORDER BY (v.vector::{kind} <#> CAST(:near AS {kind})){' + 0' if exact else ''} LIMIT :count"
    ).bindparams(*(bindparam(name, **BOUND[name]) for name in values if name in BOUND))
    near = f"[{','.join(f'{one:.5g}' for one in query.tolist())}]"
    return list(connection.execute(found, {"model": vectors.model, "near": near, "count": count, **values}).scalars())


class Neighbours:
    """Reads indexed memories with what stands beside them; keeps its queries, as building them takes longer."""

    def __init__(self, vectors: Vectors) -> None:
        here = memory.alias("here")
        mine = here.c.seq == any_(_numbers("wanted"))
        sides = (_side(vectors, here, mine, after=after) for after in (False, True))
        self._near = union(select(here.c.seq).where(mine), *sides)
        self._rows = vectors.rows().where(memory.c.seq == any_(_numbers("found"))).order_by(memory.c.seq)

    def of(self, connection: Connection, seqs: Iterable[int]) -> list[VectorRow]:
        """The memories of some numbers, with up to `STEPS` before and after each in its thread, oldest first."""
        found = connection.execute(self._near, {"wanted": _listed(seqs)}).scalars().all()
        return [VectorRow._make(row) for row in connection.execute(self._rows, {"found": _listed(found)}).all()]


def _numbers(name: str) -> Any:
    """A value that `_listed` makes: the driver takes ten times as long over a list of numbers."""
    return cast(bindparam(name, type_=Text), ARRAY(BigInteger))


def _listed(numbers: Iterable[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


def _side(vectors: Vectors, here: Any, mine: Any, *, after: bool) -> Select[Any]:
    order = memory.c.seq > here.c.seq if after else memory.c.seq < here.c.seq
    some = (
        select(memory.c.seq)
        .where(in_scope(vectors.store.scope), believed(vectors.as_of), _thread(memory) == _thread(here), order)
        .order_by(memory.c.seq if after else memory.c.seq.desc())
        .limit(STEPS)
        .lateral("after" if after else "before")
    )
    return select(some.c.seq).select_from(here.join(some, true())).where(mine)


def _thread(of: Any) -> Any:
    return func.coalesce(of.c.session_id, of.c.origin)
