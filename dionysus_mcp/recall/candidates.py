"""Which memories are looked at closely: the nearest, those that hold the words, and what stands beside either."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.around import Around, around
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.moments import agreement
from dionysus_mcp.recall.wording import Counts, counted, worded

if TYPE_CHECKING:
    import numpy as np

CANDIDATES = 100
"""From each of words and meaning; and of what was told, as many as are judged."""


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What was read of memories for a quick look, kept for the closer one.

    Attributes:
        units: Their places, ascending.
        cosines: With the query as "I" and as "you", shape `(units, 2)`.
        counts: Of the query's words.
    """

    units: "np.ndarray[Any, Any]"
    cosines: "np.ndarray[Any, Any]"
    counts: Counts

    def at(self, units: "np.ndarray[Any, Any]") -> "Glimpse":
        """That of some of the units."""
        import numpy as np

        rows = np.searchsorted(self.units, units)
        return Glimpse(units, self.cosines[rows], self.counts.at(rows))


@dataclass(frozen=True, slots=True)
class Chosen:
    """The candidates of a query.

    Attributes:
        places: Theirs, ascending.
        glimpse: What was read of them and of what stands beside them, where they had to be looked at.
    """

    places: "np.ndarray[Any, Any]"
    glimpse: Glimpse | None = None


def candidates(index: MemoryIndex, asked: Asked, admitted: Filter, by_words: Sequence[int]) -> Chosen:
    """Choose the candidates of a query.

    In a conversation an answer often shares no word with the question, but stands beside what does: so there the
    neighbours of all that was found are looked at too, quickly, and the likeliest are kept.

    Args:
        index: Held locked.
        asked: The query.
        admitted: What may be returned.
        by_words: Numbers of the memories that the text index found.
    """
    import numpy as np

    nearest = index.nearest(asked.vectors.sum(axis=0), admitted, CANDIDATES, by_words)
    worded_places = index.places(by_words)
    found = np.unique(np.concatenate([nearest, worded_places[worded_places != NOBODY]]).astype(np.int64))
    if not index.is_told:
        return Chosen(found)
    wide = np.concatenate([found, index.beside(found, -1), index.beside(found, 1)])
    wide = np.unique(wide[wide != NOBODY])
    wide = wide[index.admits(wide, admitted)]
    if len(wide) <= CANDIDATES:
        return Chosen(wide)
    seen = look(index, asked, wide)
    return Chosen(np.sort(wide[np.argpartition(-seen.quick, CANDIDATES - 1)[:CANDIDATES]]), seen.glimpse)


@dataclass(frozen=True, slots=True)
class Look:
    """What is quickly seen of some memories and of what stands beside them.

    Attributes:
        around: The memories and their neighbours, the units.
        glimpse: What was read of the units.
        words: BM25 of the units.
        worded: Features of the memories' words.
        speaks: Whether somebody whom the query names said it, by unit.
        light: A first score of the units, on the memories' scale.
        quick: A first score of the memories, with the words around them and their dates.
    """

    around: Around
    glimpse: Glimpse
    words: "np.ndarray[Any, Any]"
    worded: "dict[str, np.ndarray[Any, Any]]"
    speaks: "np.ndarray[Any, Any]"
    light: "np.ndarray[Any, Any]"
    quick: "np.ndarray[Any, Any]"


def look(index: MemoryIndex, asked: Asked, places: "np.ndarray[Any, Any]", known: Glimpse | None = None) -> Look:
    """Look quickly at the memories at some places; `known` is of an earlier look at these and others."""
    units = around(index, places)
    glimpse = _glimpse(index, asked, units) if known is None else known.at(units.units)
    found, words = worded(index, asked, units, glimpse.counts)
    speaks = _speaks(index, asked, units)
    light = _light(glimpse.cosines.sum(axis=1), words, speaks - 0.5 * bool(asked.speakers), units)
    dated = agreement(asked.moments, index.column("days", places))
    quick = light[units.at] + 0.2 * found["words_pair"] + 0.2 * found["words_window"] + 0.3 * dated
    return Look(units, glimpse, words, found, speaks, light, quick)


def _glimpse(index: MemoryIndex, asked: Asked, units: Around) -> Glimpse:
    counts = counted(index, asked, units.safe)
    counts.frequency[~units.here], counts.lengths[~units.here] = 0.0, 0.0
    return Glimpse(units.units, index.matrix.cosines(units.safe, asked.vectors), counts)


def _speaks(index: MemoryIndex, asked: Asked, units: Around) -> "np.ndarray[Any, Any]":
    """Whether somebody whom the query names said it, by unit."""
    import numpy as np

    return np.isin(index.column("speakers", units.safe), list(asked.speakers)).astype(np.float32)


def _light(cosine: Any, words: Any, speaks: Any, units: Around) -> "np.ndarray[Any, Any]":
    """A first score of candidates and of what stands beside them, on the candidates' scale."""
    import numpy as np

    def scaled(values: Any) -> Any:
        own = values[units.at]
        return (values - own.mean()) / max(float(own.std()), 1e-6)

    return np.where(units.here, 0.65 * scaled(cosine) + 0.35 * scaled(words) + 0.8 * speaks, 0.0)
