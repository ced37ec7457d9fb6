"""How good a prediction was, and what a record of predictions says about the model behind it. Pure functions."""

import math

REVISE_BELOW = 0.5
"""A model should at least be right more often than not."""
REVISE_CERTAINTY = 0.95

_LEAST = 1e-9
"""Probabilities are kept this far from 0 and 1 in the log score: one impossible event must not cost infinity."""


def brier_score(probability: float, outcome: bool) -> float:
    """Squared distance of the probability from what happened, 0 (best) to 1 (Brier 1950)."""
    return (probability - float(outcome)) ** 2


def log_score(probability: float, outcome: bool) -> float:
    """Natural logarithm of the probability given to what happened, 0 (best) down to about -20.7 (Good 1952)."""
    given = probability if outcome else 1.0 - probability
    return math.log(min(max(given, _LEAST), 1.0))


def was_right(probability: float, outcome: bool) -> bool:
    """Whether what was held more likely happened; one half counts as holding it likely."""
    return (probability >= 0.5) == outcome


def posterior_below(alpha: float, beta: float, threshold: float) -> float:
    """Probability that a Beta(alpha, beta) variable lies below the threshold, for whole alpha and beta.

    The sum form of the regularised incomplete beta function (DLMF 8.17.5).
    """
    successes, trials = round(alpha), round(alpha + beta) - 1
    return math.fsum(
        math.comb(trials, count) * threshold**count * (1.0 - threshold) ** (trials - count)
        for count in range(successes, trials + 1)
    )


def needs_revision(alpha: float, beta: float) -> bool:
    """Whether the model is almost surely wrong more often than right."""
    return posterior_below(alpha, beta, REVISE_BELOW) > REVISE_CERTAINTY
