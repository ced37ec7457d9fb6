"""Late interaction: each word of a question against each word of a memory (Khattab and Zaharia 2020).

One vector of a text is a mean of all it says. Here every word piece of the question looks for the piece of a memory
that is nearest to it, as the model understood both where they stand. Of a memory's pieces only the signs of their
vectors are kept, 48 bytes each: measured, that finds as well as the vectors themselves. Kept of what was told, where a
memory is a few sentences; the pieces of documents would be many, and their passages do as much.

Words without content count as well: what is asked with "how often" is answered with "every day", and mostly by whoever
has just been asked "how often". They are compared apart, as the topic would drown them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
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

MOST = 64
"""Pieces of one memory that are kept, those with content first."""
MOST_TELLING = 48
"""And of those with content."""

_ASKING = frozenset(("who", "whose", "whom", "what", "which", "where", "when", "why", "how", "often", "many", "much"))


@dataclass(frozen=True, slots=True)
class Spoken:
    """A question's pieces, to be compared with those of memories.

    Attributes:
        vectors: Its gist, its pieces with content, then the others; shape `(1 + n, dimension)`.
        telling: How many have content.
        asking: Which of the others are words that one asks with.
    """

    vectors: "np.ndarray[Any, Any]"
    telling: int
    asking: Sequence[int]


@dataclass(frozen=True, slots=True)
class Close:
    """How close memories are to a question: cosines, roughly. A row a memory.

    Attributes:
        gist: Of the texts as wholes, shape `(memories,)`.
        telling: Of the question's pieces with content to the nearest of the memory's, shape `(memories, pieces)`.
        others: Of its other pieces to the nearest of all, likewise.
        asking: Which columns of `others` are words that one asks with.
    """

    gist: "np.ndarray[Any, Any]"
    telling: "np.ndarray[Any, Any]"
    others: "np.ndarray[Any, Any]"
    asking: Sequence[int]


def spoken(pieces: Pieces) -> Spoken:
    """A question's pieces in the order they are compared in; all of them tell where none has content."""
    import numpy as np

    first, rest = _parted(pieces)
    vectors = np.concatenate([pieces.gist[None], pieces.vectors[first], pieces.vectors[rest]])
    return Spoken(vectors, len(first), [at for at, place in enumerate(rest) if pieces.words[place] in _ASKING])


def signs(pieces: Pieces) -> bytes:
    """What is kept of a memory: how many have content, its gist, these, the others; nothing where it has none."""
    import numpy as np

    first, rest = _parted(pieces)
    if not first:
        return b""
    first = first[:MOST_TELLING]
    kept = [*first, *rest[: MOST - len(first)]]
    rows = np.concatenate([pieces.gist[None], pieces.vectors[kept]])
    return bytes([len(first)]) + np.packbits(rows > 0, axis=1).tobytes()


def closest(asked: Spoken, held: Sequence[bytes | None]) -> Close:
    """How close the nearest piece of each memory is to each piece of a question.

    Args:
        asked: The question's pieces.
        held: `signs` of each memory; None, empty or of another length where nothing is known. Such a memory is as
            close as the average one.
    """
    import numpy as np

    size = asked.vectors.shape[1] // 8
    # Whole rows after the count of those with content: the gist, and at least one piece.
    whole = [bool(one) and len(one) % size == 1 and len(one) > size + 1 for one in held]
    result = np.zeros((len(held), len(asked.vectors)), dtype=np.float32)
    known = np.flatnonzero(whole)
    if len(known):
        result[known] = _nearest(asked, [one for one, is_whole in zip(held, whole, strict=True) if one and is_whole])
        result[~np.array(whole)] = result[known].mean(axis=0)
    end = 1 + asked.telling
    return Close(result[:, 0], result[:, 1:end], result[:, end:], asked.asking)


def word_by_word(
    close: Close | None, threads: "np.ndarray[Any, Any]", beside: "Sequence[np.ndarray[Any, Any]]"
) -> "dict[str, np.ndarray[Any, Any]]":
    """Features: how well each candidate meets the question's pieces, alone and together with what is around it.

    What is asked about is met together with the two before it or the whole thread; how it is asked, by the candidate
    and by each beside it.

    Args:
        close: From `closest`, a row a candidate; None where pieces aren't compared.
        threads: The candidates' threads.
        beside: Which candidate stands before, two before and after each in its thread; `NOBODY` if none.
    """
    import numpy as np

    nothing = np.zeros((len(threads), 0), dtype=np.float32)
    telling, others = (nothing, nothing) if close is None else (close.telling, close.others)
    asks = nothing if close is None else others[:, close.asking]
    since = [np.where(at[:, None] == NOBODY, telling, telling[at]) for at in beside[:2]]
    found = {
        "gist": standing(np.zeros(len(threads)) if close is None else close.gist),
        "pieces": _mean(telling),
        "pieces_since": _mean(np.maximum.reduce([telling, *since])),
        "pieces_thread": _mean(_in_thread(telling, threads)),
    }
    for name, part in (("phrase", others), ("asks", asks)):
        own = found[name] = _mean(part)
        sides = zip(("before", "two_before", "after"), beside, strict=True)
        found |= {f"{name}_{side}": np.where(at == NOBODY, 0.0, own[at]) for side, at in sides}
    return found


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


def _parted(pieces: Pieces) -> tuple[list[int], list[int]]:
    """Places of the pieces with content, and of the others; where none has content, all count as if they had."""
    first = [place for place, word in enumerate(pieces.words) if _tells(word)]
    if not first:
        return list(range(len(pieces.words))), []
    told = set(first)
    return first, [place for place in range(len(pieces.words)) if place not in told]


def _tells(word: str) -> bool:
    return word not in FUNCTION_WORDS and any(character.isalnum() for character in word)


def _nearest(asked: Spoken, held: Sequence[bytes]) -> "np.ndarray[Any, Any]":
    """Cosines of the gists in the first column, then of the question's pieces to the nearest; a row a memory."""
    import numpy as np

    wide = asked.vectors.shape[1]
    packed = np.frombuffer(b"".join(one[1:] for one in held), dtype=np.uint8).reshape(-1, wide // 8)
    counts = np.array([len(one) * 8 // wide for one in held])
    firsts = np.cumsum(counts) - counts
    bits = np.unpackbits(packed, axis=1).astype(np.float32)
    # A bit stands for +1 or -1: twice the sum over the set ones, less the sum over all.
    cosines = (2 * (bits @ asked.vectors.T) - asked.vectors.sum(axis=1)) / np.sqrt(wide)
    # What has content is compared with what has content only.
    within = np.arange(len(packed)) - np.repeat(firsts, counts)
    empty = within > np.repeat([one[0] for one in held], counts)
    cosines[empty, 1 : 1 + asked.telling] = -1.0
    # Each memory's gist is a stretch of its own, its pieces are the next.
    stretches = np.stack([firsts, firsts + 1], axis=1).ravel()
    nearest = np.maximum.reduceat(cosines, stretches, axis=0)[1::2]
    nearest[:, 0] = cosines[firsts, 0]
    return nearest


def _mean(part: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    import numpy as np

    return standing(part.mean(axis=1)) if part.size else np.zeros(len(part))


def _in_thread(telling: "np.ndarray[Any, Any]", threads: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """For each piece of the question the best in the whole thread; of what is in none, its own."""
    import numpy as np

    if not telling.size:
        return telling
    order = np.argsort(threads, kind="stable")
    starts = np.flatnonzero(np.r_[True, np.diff(threads[order]) != 0])
    sizes = np.diff(np.r_[starts, len(order)])
    together = np.empty_like(telling)
    together[order] = np.repeat(np.maximum.reduceat(telling[order], starts, axis=0), sizes, axis=0)
    alone = threads == NOBODY
    together[alone] = telling[alone]
    return together
