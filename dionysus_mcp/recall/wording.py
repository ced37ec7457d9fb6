"""How well the words of candidates fit a query, from stems as numbers; and what all features are scaled by."""

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

    spread = float(values.std()) if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-6 else np.zeros_like(values)


def worded(index: MemoryIndex, asked: Asked, around: Around) -> "tuple[dict[str, Any], np.ndarray[Any, Any]]":
    """How well the words of each candidate fit, alone and with what stands beside it; and BM25 of all units."""
    import numpy as np

    frequency, lengths = _frequencies(index, asked, around.safe)
    frequency[~around.here], lengths[~around.here] = 0.0, 0.0
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


def _frequencies(index: MemoryIndex, asked: Asked, units: "np.ndarray[Any, Any]") -> Any:
    import numpy as np

    terms, lengths = index.terms(units)
    owner = np.repeat(np.arange(len(units)), lengths)
    counts = np.zeros((len(units), len(asked.terms)), dtype=np.float32)
    for number, (stems, _) in enumerate(asked.terms):
        held = np.isin(terms, np.array(stems, dtype=np.uint32))
        counts[:, number] = np.bincount(owner[held], minlength=len(units))
    return counts, lengths.astype(np.float32)


def _bm25(frequency: Any, lengths: Any, weights: Any, mean: float) -> "np.ndarray[Any, Any]":
    """BM25 (Robertson and Zaragoza 2009) from counts of shape `(n, terms)`."""
    norm = _K1 * (1 - _B + _B * lengths / mean)
    return (frequency * (_K1 + 1) / (frequency + norm[:, None] + 1e-9)) @ weights
