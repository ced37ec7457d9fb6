"""What speaks for each candidate of a query, as numbers; `weights` adds them up. Knows no text and no store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.views import Trait

if TYPE_CHECKING:
    import numpy as np

_K1, _B = 1.2, 0.75
_TRAITS = {"question": Trait.QUESTION, "time": Trait.TIME, "number": Trait.NUMBER, "name": Trait.NAME}
_FEEDBACK_FROM = 10
"""Candidates from which the best three say what is meant; of fewer they are nearly all, and say nothing."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A query as numbers.

    Attributes:
        vectors: As "I" and as "you", shape `(2, dimension)`.
        terms: For each of its words the numbers of its stems, with the word's weight (idf).
        speakers: Numbers of the speakers it names.
        wants_time: Whether it asks when; `wants_number`: whether it asks how many.
    """

    vectors: "np.ndarray[Any, Any]"
    terms: Sequence[tuple[Sequence[int], float]]
    speakers: frozenset[int]
    wants_time: bool
    wants_number: bool


def standing(values: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
    """How many standard deviations each value lies above the mean; all 0 where they are equal."""
    import numpy as np

    spread = float(values.std()) if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-6 else np.zeros_like(values)


def features(
    index: MemoryIndex, asked: Asked, places: "np.ndarray[Any, Any]", best_passages: Mapping[int, Any]
) -> "dict[str, np.ndarray[Any, Any]]":
    """Features of the memories at `places`, each an array of their length.

    Args:
        index: Held locked.
        asked: The query.
        places: The candidates, each once.
        best_passages: By place, the best cosines of its passages with both vectors, where it has several.
    """
    around = _around(index, places)
    cosines = index.matrix.rows(around.safe) @ asked.vectors.T
    worded, first_words = _worded(index, asked, around)
    near = _near(cosines[around.at], places, best_passages)
    speaks = _speaks(index, asked, around)
    light = _light(cosines.sum(axis=1), first_words, speaks - 0.5 * bool(asked.speakers), around)
    sentence = near["passage_i"] + near["passage_you"]
    base = standing(light[around.at] + 0.8 * sentence / 2 + 0.2 * worded["words_pair"] + 0.2 * worded["words_window"])
    beside = zip(("before", "after", "two_before", "two_after"), around.beside, strict=True)
    return {
        **near,
        **worded,
        "speaker": speaks[around.at],
        **{name: light[step] for name, step in beside},
        "feedback": _feedback(index, places, base),
        "answers": _answers(index, around),
        **_seen(index, asked, places),
        "first": _first(index, places, around),
        "base": base,
        **_threads(index.column("threads", places), base),
    }


@dataclass(frozen=True, slots=True)
class _Around:
    """The candidates and what stands beside them in their threads, each once.

    Attributes:
        units: Their places; `NOBODY` stands for all that isn't there.
        at: Where the candidates are in `units`.
        beside: Where what stands before, after, two before and two after each candidate is in `units`.
    """

    units: "np.ndarray[Any, Any]"
    at: "np.ndarray[Any, Any]"
    beside: "Sequence[np.ndarray[Any, Any]]"

    @property
    def here(self) -> "np.ndarray[Any, Any]":
        """Which of `units` are memories."""
        return self.units != NOBODY

    @property
    def safe(self) -> "np.ndarray[Any, Any]":
        """Places to read; what is read for `NOBODY` means nothing."""
        return self.units.clip(min=0)


def _around(index: MemoryIndex, places: "np.ndarray[Any, Any]") -> _Around:
    import numpy as np

    one = [index.beside(places, step) for step in (-1, 1)]
    two = [index.beside(link, step) for link, step in zip(one, (-1, 1), strict=True)]
    units, inverse = np.unique(np.concatenate([places, *one, *two]), return_inverse=True)
    at, *beside = inverse.reshape(5, -1)
    return _Around(units, at, beside)


def _near(cosines: Any, places: Any, best_passages: Mapping[int, Any]) -> "dict[str, np.ndarray[Any, Any]]":
    """How close each candidate is to the question as "I" and as "you": as a whole, and by its best passage."""
    passage = cosines.copy()
    for number, place in enumerate(places.tolist()):
        if place in best_passages:
            passage[number] = best_passages[place]
    return {
        "plain_i": standing(cosines[:, 0]),
        "plain_you": standing(cosines[:, 1]),
        "passage_i": standing(passage[:, 0]),
        "passage_you": standing(passage[:, 1]),
    }


def _worded(index: MemoryIndex, asked: Asked, around: _Around) -> "tuple[dict[str, Any], np.ndarray[Any, Any]]":
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


def _speaks(index: MemoryIndex, asked: Asked, around: _Around) -> "np.ndarray[Any, Any]":
    """Whether somebody whom the query names said it, by unit."""
    import numpy as np

    return np.isin(index.column("speakers", around.safe), list(asked.speakers)).astype(np.float32)


def _feedback(index: MemoryIndex, places: Any, base: Any) -> "np.ndarray[Any, Any]":
    """How close each candidate is to the best three."""
    import numpy as np

    if len(places) < _FEEDBACK_FROM:
        return np.zeros(len(places))
    own = index.matrix.rows(places)
    return standing(own @ own[np.argsort(-base, kind="stable")[:3]].mean(axis=0))


def _seen(index: MemoryIndex, asked: Asked, places: Any) -> "dict[str, np.ndarray[Any, Any]]":
    """What can be seen in each candidate, and whether the query wants it."""
    import numpy as np

    traits = index.column("traits", places)
    seen = {name: ((traits & trait) > 0).astype(np.float32) for name, trait in _TRAITS.items()}
    wanted = {"time_wanted": seen["time"] * asked.wants_time, "number_wanted": seen["number"] * asked.wants_number}
    return seen | wanted


def _first(index: MemoryIndex, places: Any, around: _Around) -> "np.ndarray[Any, Any]":
    """Whether nothing stands before it in its thread."""
    import numpy as np

    begins = around.units[around.beside[0]] == NOBODY
    return (begins & (index.column("threads", places) != NOBODY)).astype(np.float32)


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


def _light(cosine: Any, words: Any, speaks: Any, around: _Around) -> "np.ndarray[Any, Any]":
    """A first score of candidates and of what stands beside them, on the candidates' scale."""
    import numpy as np

    def scaled(values: Any) -> Any:
        own = values[around.at]
        return (values - own.mean()) / max(float(own.std()), 1e-6)

    return np.where(around.here, 0.65 * scaled(cosine) + 0.35 * scaled(words) + 0.8 * speaks, 0.0)


def _answers(index: MemoryIndex, around: _Around) -> "np.ndarray[Any, Any]":
    """Whether what stands before it is a question."""
    import numpy as np

    asks = (index.column("traits", around.safe) & Trait.QUESTION) > 0
    return (asks & around.here)[around.beside[0]].astype(np.float32)


def _threads(threads: Any, base: Any) -> "dict[str, np.ndarray[Any, Any]]":
    """How well a candidate's thread fits as a whole: its best, and the mean of its best three."""
    import numpy as np

    best, three = np.zeros(len(base)), np.zeros(len(base))
    for thread in np.unique(threads[threads != NOBODY]).tolist():
        mine = threads == thread
        highest = np.sort(base[mine])[::-1][:3]
        best[mine] = highest[0]
        three[mine] = (highest.sum() - (3 - len(highest))) / 3
    return {"thread_best": best, "thread_three": standing(three)}
