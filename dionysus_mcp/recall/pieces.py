"""Late interaction: each word of a question against each word of a memory (Khattab and Zaharia 2020).

One vector of a text is a mean of all it says. Here every word piece of the question looks for the piece of a memory
that is nearest to it, as the model understood both where they stand. Of a memory's pieces only the signs of their
vectors are kept, 48 bytes each: measured, that finds as well as the vectors themselves. Kept of what was told, where a
memory is a few sentences; the pieces of documents would be many, and their passages do as much.
"""

from collections.abc import Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection

from dionysus_mcp.embedding import Pieces
from dionysus_mcp.recall.index import NOBODY
from dionysus_mcp.recall.tables import piece
from dionysus_mcp.recall.terms import FUNCTION_WORDS
from dionysus_mcp.recall.wording import standing

if TYPE_CHECKING:
    import numpy as np

MOST = 48
"""Pieces of one memory that are kept."""


def telling(pieces: Pieces) -> "np.ndarray[Any, Any]":
    """Vectors of the pieces that carry content; of all where none does. Shape `(n, dimension)`."""
    kept = [place for place, word in enumerate(pieces.words) if _tells(word)]
    return pieces.vectors[kept] if kept else pieces.vectors


def signs(pieces: Pieces) -> bytes:
    """What is kept of a memory's pieces."""
    import numpy as np

    return np.packbits(telling(pieces)[:MOST] > 0, axis=1).tobytes()


def closest(asked: "np.ndarray[Any, Any]", held: Sequence[bytes | None]) -> "np.ndarray[Any, Any]":
    """How close the nearest piece of each memory is to each piece of a question.

    Args:
        asked: Vectors of the question's pieces, shape `(pieces, dimension)`.
        held: `signs` of each memory; None or empty where nothing is known.

    Returns:
        Cosines, roughly; shape `(memories, pieces)`. What is known of no memory is as close as the average one.
    """
    import numpy as np

    wide = asked.shape[1]
    counts = np.array([0 if one is None else len(one) * 8 // wide for one in held])
    result = np.zeros((len(held), len(asked)), dtype=np.float32)
    known = np.flatnonzero(counts)
    if not len(known) or not len(asked):
        return result
    packed = np.frombuffer(b"".join(one for one in held if one), dtype=np.uint8).reshape(-1, wide // 8)
    bits = np.unpackbits(packed, axis=1).astype(np.float32)
    # A bit stands for +1 or -1: twice the sum over the set ones, less the sum over all.
    cosines = (2 * (bits @ asked.T) - asked.sum(axis=1)) / np.sqrt(wide)
    result[known] = np.maximum.reduceat(cosines, np.cumsum(counts[known]) - counts[known], axis=0)
    result[counts == 0] = result[known].mean(axis=0)
    return result


def word_by_word(close: "np.ndarray[Any, Any]", threads: "np.ndarray[Any, Any]") -> "dict[str, np.ndarray[Any, Any]]":
    """Features: how well each candidate meets the question's pieces, alone and together with those of its thread.

    Args:
        close: From `closest`, a row a candidate.
        threads: The candidates' threads.
    """
    import numpy as np

    if not close.size:
        return {"pieces": np.zeros(len(close)), "pieces_thread": np.zeros(len(close))}
    order = np.argsort(threads, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(threads[order]) != 0])
    sizes = np.diff(np.r_[starts, len(order)])
    together = np.empty_like(close)
    together[order] = np.repeat(np.maximum.reduceat(close[order], starts, axis=0), sizes, axis=0)
    alone = threads == NOBODY
    together[alone] = close[alone]
    return {"pieces": standing(close.mean(axis=1)), "pieces_thread": standing(together.mean(axis=1))}


def put(connection: Connection, model: str, kept: Mapping[int, bytes]) -> None:
    """Store `signs` by the memory's number; what is there already stays."""
    rows = [{"memory_seq": seq, "model": model, "signs": one} for seq, one in kept.items()]
    if rows:
        dialect = import_module(f"sqlalchemy.dialects.{connection.dialect.name}")
        connection.execute(dialect.insert(piece).on_conflict_do_nothing(), rows)


def read(connection: Connection, model: str, seqs: Iterable[int]) -> dict[int, bytes]:
    """Return `signs` of those memories that have some."""
    numbers = ",".join(str(int(seq)) for seq in seqs)
    if not numbers:
        return {}
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    # Written out: to have SQLAlchemy build it takes longer than running it.
    query = f"SELECT memory_seq, signs FROM piece WHERE model = {mark} AND memory_seq IN ({numbers})"  # noqa: S608 -- whole numbers
    return {seq: bytes(held) for seq, held in connection.exec_driver_sql(query, (model,)).all()}


def _tells(word: str) -> bool:
    return word not in FUNCTION_WORDS and any(character.isalnum() for character in word)
