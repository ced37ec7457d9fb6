"""What speaks for each candidate of a query, as numbers; `weights` adds them up. Knows no text and no store."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.views import Trait

if TYPE_CHECKING:
    import numpy as np

_K1, _B = 1.2, 0.75
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
    import numpy as np

    chain = [index.beside(places, step) for step in (-1, 1)]
    chain += [index.beside(link, step) for link, step in zip(chain, (-1, 1), strict=True)]
    units, inverse = np.unique(np.concatenate([places, *chain]), return_inverse=True)
    at, *beside = inverse.reshape(5, -1)
    here = units != NOBODY
    cosines = index.matrix.rows(np.maximum(units, 0)) @ asked.vectors.T
    frequency, lengths = _frequencies(index, asked, np.maximum(units, 0))
    frequency[~here], lengths[~here] = 0.0, 0.0
    speaks = np.isin(index.column("speakers", np.maximum(units, 0)), list(asked.speakers)).astype(np.float32)
    mean = index.mean_length
    weights = np.array([weight for _, weight in asked.terms], dtype=np.float32)
    before, after = beside[0], beside[1]
    raw = _bm25(frequency, lengths, weights, mean)
    pair = _bm25(frequency[at] + frequency[before], lengths[at] + lengths[before], weights, 2 * mean)
    three = frequency[at] + frequency[before] + frequency[after]
    window = _bm25(three, lengths[at] + lengths[before] + lengths[after], weights, 3 * mean)
    plain = np.stack([standing(column) for column in cosines[at].T], axis=1)
    passage = cosines[at].copy()
    for number, place in enumerate(places.tolist()):
        if place in best_passages:
            passage[number] = best_passages[place]
    sentence = np.stack([standing(column) for column in passage.T], axis=1)
    light = _light(cosines.sum(axis=1), raw, speaks - 0.5 * bool(asked.speakers), at, here)
    base = standing(light[at] + 0.8 * sentence.sum(axis=1) / 2 + 0.2 * standing(pair) + 0.2 * standing(window))
    total = max(float(weights.sum()), 1e-6)
    covers = (frequency[at] > 0) @ weights / total if len(weights) else np.zeros(len(places), dtype=np.float32)
    traits = index.column("traits", places)
    time, number = (traits & Trait.TIME) > 0, (traits & Trait.NUMBER) > 0
    top = np.argsort(-base, kind="stable")[:3]
    own = index.matrix.rows(places)
    found: dict[str, np.ndarray[Any, Any]] = {
        "plain_i": plain[:, 0],
        "plain_you": plain[:, 1],
        "passage_i": sentence[:, 0],
        "passage_you": sentence[:, 1],
        "words": standing(raw[at]),
        "words_pair": standing(pair),
        "words_window": standing(window),
        "speaker": speaks[at],
        "before": light[beside[0]],
        "after": light[beside[1]],
        "two_before": light[beside[2]],
        "two_after": light[beside[3]],
        "feedback": standing(own @ own[top].mean(axis=0)) if len(places) >= _FEEDBACK_FROM else np.zeros(len(places)),
        "covers": covers,
        "covers_window": (three > 0) @ weights / total if len(weights) else covers,
        "length": np.log1p(lengths[at]),
        "question": ((traits & Trait.QUESTION) > 0).astype(np.float32),
        "answers": _answers(index, beside[0], units),
        "time": time.astype(np.float32),
        "number": number.astype(np.float32),
        "name": ((traits & Trait.NAME) > 0).astype(np.float32),
        "time_wanted": (time & asked.wants_time).astype(np.float32),
        "number_wanted": (number & asked.wants_number).astype(np.float32),
        "first": ((chain[0] == NOBODY) & (index.column("threads", places) != NOBODY)).astype(np.float32),
        "base": base,
    }
    return found | _threads(index.column("threads", places), base)


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


def _light(cosine: Any, words: Any, speaks: Any, at: Any, here: Any) -> "np.ndarray[Any, Any]":
    """A first score of candidates and of what stands beside them, on the candidates' scale."""
    import numpy as np

    def scaled(values: Any) -> Any:
        return (values - values[at].mean()) / max(float(values[at].std()), 1e-6)

    return np.where(here, 0.65 * scaled(cosine) + 0.35 * scaled(words) + 0.8 * speaks, 0.0)


def _answers(index: MemoryIndex, before: Any, units: Any) -> "np.ndarray[Any, Any]":
    """Whether what stands before it is a question."""
    import numpy as np

    asks = (index.column("traits", np.maximum(units, 0)) & Trait.QUESTION) > 0
    return (asks & (units != NOBODY))[before].astype(np.float32)


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
