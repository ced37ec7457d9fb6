"""How well the words of candidates fit a query, from stems as numbers; and what all features are scaled by."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.around import Around
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.index import MemoryIndex

if TYPE_CHECKING:
    import numpy as np

_K1, _B = 1.2, 0.75


def standing(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How many standard deviations each value lies above the mean; all 0 where they are equal."""
    import numpy as np

    if not len(values):
        return values
    # Asked some twenty times a query, of a hundred values: numpy's own `std` takes most of its time to begin.
    away = np.asarray(values, dtype=np.float64) - np.add.reduce(values) / len(values)
    spread = math.sqrt(float(away @ away) / len(away))
    return away / spread if spread > 1e-6 else np.zeros_like(away)


@dataclass(frozen=True, slots=True)
class Counts:
    """The words of some memories.

    Attributes:
        frequency: How often each term of a query stands in each, shape `(memories, terms)`.
        lengths: How many stems each has.
    """

    frequency: "np.ndarray[Any, Any]"
    lengths: "np.ndarray[Any, Any]"

    def at(self, rows: "np.ndarray[Any, Any]") -> "Counts":
        """Those of some of the memories."""
        return Counts(self.frequency[rows], self.lengths[rows])


def worded(
    index: MemoryIndex, asked: Asked, around: Around, counts: Counts
) -> "tuple[dict[str, Any], np.ndarray[Any, Any]]":
    """How well the words of each candidate fit, alone and with what stands beside it; and BM25 of all units."""
    import numpy as np

    frequency, lengths = counts.frequency, counts.lengths
    weights = np.array([weight for _, weight in asked.terms], dtype=np.float32)
    mean, at, before, after = index.mean_length, around.at, around.beside[0], around.beside[1]
    raw = _bm25(frequency, lengths, weights, mean)
    three = frequency[at] + frequency[before] + frequency[after]
    found = {
        "words": raw[at],
        "words_pair": _bm25(frequency[at] + frequency[before], lengths[at] + lengths[before], weights, 2 * mean),
        "words_window": _bm25(three, lengths[at] + lengths[before] + lengths[after], weights, 3 * mean),
    }
    total = max(float(weights.sum()), 1e-6)
    covers = {"covers": (frequency[at] > 0) @ weights / total, "covers_window": (three > 0) @ weights / total}
    return {name: standing(values) for name, values in found.items()} | covers | {"length": np.log1p(lengths[at])}, raw


def counted(index: MemoryIndex, asked: Asked, units: "np.ndarray[Any, Any]") -> Counts:
    """Count the query's words in the memories at some places."""
    import numpy as np

    terms, lengths = index.terms(units)
    stems = np.unique(np.array([stem for own, _ in asked.terms for stem in own], dtype=np.uint32))
    if not len(stems) or not len(terms):
        return Counts(np.zeros((len(units), len(asked.terms)), np.float32), lengths.astype(np.float32))
    held = np.flatnonzero(np.isin(terms, stems))
    at = np.searchsorted(stems, terms[held])
    owner = np.repeat(np.arange(len(units)), lengths)[held]
    by_stem = np.bincount(owner * len(stems) + at, minlength=len(units) * len(stems))
    # Two words of a query may have a stem in common: it counts for both.
    row_of = {stem: row for row, stem in enumerate(stems.tolist())}
    belongs = np.zeros((len(stems), len(asked.terms)), dtype=np.float32)
    for column, (own, _) in enumerate(asked.terms):
        belongs[[row_of[stem] for stem in own], column] = 1.0
    found = by_stem.reshape(len(units), -1).astype(np.float32) @ belongs
    return Counts(found, lengths.astype(np.float32))


def _bm25(frequency: Any, lengths: Any, weights: Any, mean: float) -> "np.ndarray[Any, Any]":
    """BM25 (Robertson and Zaragoza 2009) from counts of shape `(n, terms)`."""
    norm = _K1 * (1 - _B + _B * lengths / mean)
    return (frequency * (_K1 + 1) / (frequency + norm[:, None] + 1e-9)) @ weights
