"""How well a memory would still be in mind: forgotten by a power law, kept longer by each recall. Pure.

The curve is that of FSRS (Ye 2022, version 4.5): `R = (1 + 19/81 · t/S) ** -0.5`, where the stability S is the number
of days after which it is .9. A recall raises S the more, the more had been forgotten, and less for what is stable.
Nothing is ever deleted by it, and recall doesn't rank by it: see decision 32.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dionysus_mcp.consolidation.actions import Band

_FACTOR, _DECAY = 19 / 81, -0.5
FIRST_STABILITY = 7.0
"""Days of a memory of middling importance that was never recalled."""
MOST_STABLE = 3650.0
_GAIN = 6.0
_STRONG, _FADING = 0.7, 0.4
_DAY = timedelta(days=1)


def first_stability(importance: float) -> float:
    """Days of stability of a new memory: from half of the middling for what matters least to twice for what matters."""
    return FIRST_STABILITY * 2 ** (2 * importance - 1)


def retention(stability: float, since: datetime, now: datetime) -> float:
    """From 0 to 1, at a moment, of what was recorded or recalled last at another one."""
    elapsed = max(0.0, (now - since) / _DAY)
    return (1 + _FACTOR * elapsed / stability) ** _DECAY


def after_recall(stability: float, since: datetime, now: datetime) -> float:
    """The stability that a recall leaves; several within a minute count as one."""
    forgotten = 1 - retention(stability, since, now)
    return min(MOST_STABLE, stability * (1 + _GAIN * forgotten / max(1.0, stability / FIRST_STABILITY) ** 0.25))


def band(value: float) -> "Band":
    """The band of a retention."""
    if value >= _STRONG:
        return "strong"
    return "fading" if value >= _FADING else "faded"
