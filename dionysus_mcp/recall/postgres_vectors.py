"""Searching vectors where they are: the nearest by pgvector, and what stands beside memories in their threads."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import (
    ARRAY,
    BigInteger,
    Connection,
    Dialect,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    exc,
    func,
    select,
    text,
    true,
    union,
)

from dionysus_mcp.recall.admitted import BOUND, Filter, conditions
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import believed, in_scope
from dionysus_mcp.store.vectors import VectorRow, Vectors

if TYPE_CHECKING:
    import numpy as np

STEPS = 3
"""Neighbours on each side: recall looks one step beside what was found, and two beside that."""

_HEADER = 4
"""Bytes before the numbers in pgvector's binary form."""
_VECTOR = VectorRow._fields.index("vector")

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
        self._near = _Query(union(select(here.c.seq).where(mine), *sides))
        self._rows = _Query(vectors.rows().where(memory.c.seq == any_(_numbers("found"))).order_by(memory.c.seq))
        self._dimension = vectors.dimension

    def of(self, connection: Connection, seqs: Iterable[int]) -> list[VectorRow]:
        """The memories of some numbers, with up to `STEPS` before and after each in its thread, oldest first."""
        found = self._near.rows(connection, {"wanted": _listed(seqs)})
        rows = self._rows.rows(connection, {"found": _listed(seq for (seq,) in found)})
        # One of another length would shift all that are read with it; `verify` tells of it.
        rows = [row for row in rows if len(row[_VECTOR]) == _HEADER + 2 * self._dimension]
        halves = self._halves([row[_VECTOR] for row in rows])
        return [
            VectorRow._make((*row[:_VECTOR], half, *row[_VECTOR + 1 :])) for row, half in zip(rows, halves, strict=True)
        ]

    def _halves(self, sent: Sequence[bytes]) -> list[bytes]:
        """Vectors as SQLite keeps them, all at once: one by one, that takes as long as all else that is read."""
        import numpy as np

        size = 2 * self._dimension
        numbers = np.frombuffer(b"".join(one[_HEADER:] for one in sent), ">u2")
        turned = numbers.astype("<u2").tobytes()
        return [turned[start : start + size] for start in range(0, len(turned), size)]


class _Query:
    """A query that is written once, and asked of the driver itself: past SQLAlchemy, and with numbers in binary."""

    def __init__(self, query: Any) -> None:
        self._query = query
        self._written: tuple[str, dict[str, Any]] | None = None

    def rows(self, connection: Connection, values: dict[str, Any]) -> list[tuple[Any, ...]]:
        """What is found, as the driver gives it.

        Raises:
            DBAPIError: what SQLAlchemy makes of the driver's errors, as everywhere.
        """
        if self._written is None:
            compiled = self._query.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
            self._written = str(compiled), {name: _plain(value) for name, value in compiled.params.items()}
        text, bound = self._written
        driver: Any = connection.connection.driver_connection
        try:
            with driver.cursor(binary=True) as cursor:
                return cursor.execute(text, bound | values).fetchall()
        except connection.dialect.loaded_dbapi.Error as error:
            raise _told(connection.dialect, text, error, lost=driver.closed) from error


def _told(dialect: Dialect, statement: str, error: Exception, *, lost: bool) -> BaseException:
    return exc.DBAPIError.instance(
        statement, None, error, dialect.loaded_dbapi.Error, connection_invalidated=lost, dialect=dialect
    )


def _plain(value: Any) -> Any:
    """A value as the column has it: moments are kept in UTC, without zone."""
    return value.astimezone(UTC).replace(tzinfo=None) if isinstance(value, datetime) else value


def _numbers(name: str) -> Any:
    """A value that `_listed` makes: the driver takes ten times as long over a list of numbers."""
    return cast(bindparam(name, "{}", type_=Text), ARRAY(BigInteger))


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
