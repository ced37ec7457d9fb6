"""One score from two: the mean of z-scores over the candidates of a query.

Cosines and BM25 have different scales that also differ by query; how far a candidate stands out among the others is
comparable. Measured on two public collections, this beats either alone and reciprocal rank fusion.
"""

import math
from collections.abc import Mapping


def fuse(words: Mapping[int, float], meaning: Mapping[int, float] | None) -> dict[int, float]:
    """Score candidates, the union of both mappings, in (0, 1).

    Args:
        words: BM25 by candidate; who isn't there matched no word and counts 0.
        meaning: Cosine by candidate; who isn't there has no vector and counts as the least of those that have one.
            None where there is no embedder: then words alone decide.

    Returns:
        The logistic function of the mean z-score: .5 is an average candidate. A lone candidate has .5.
    """
    candidates = sorted(set(words).union(meaning or ()))
    views = [z_scores([words.get(candidate, 0.0) for candidate in candidates])]
    if meaning is not None:
        least = min(meaning.values(), default=0.0)
        views.append(z_scores([meaning.get(candidate, least) for candidate in candidates]))
    return {
        candidate: _logistic(sum(view[place] for view in views) / len(views))
        for place, candidate in enumerate(candidates)
    }


def z_scores(values: list[float]) -> list[float]:
    """How many standard deviations each value lies above the mean; all 0 where they are equal."""
    if not values:
        return []
    mean = math.fsum(values) / len(values)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / len(values))
    # Below this, the spread is rounding: dividing by it would make differences of nothing.
    if deviation <= 1e-9 * max(1.0, abs(mean)):
        return [0.0] * len(values)
    return [(value - mean) / deviation for value in values]


def _logistic(z: float) -> float:
    return 1.0 / (1.0 + math.exp(-z))
