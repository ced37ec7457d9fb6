"""Two histories of one belief as one: nothing of either is left out, and the same again changes nothing. Pure."""

from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

_ALSO = "; also: "


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a mental model.

    Attributes:
        here: Its number in the store; None where the store hasn't got it.
        there: Its number in the export; None where that hasn't got it.
    """

    statement: str
    reason: str
    at: datetime
    accuracy: float | None
    resolved: int
    here: int | None = None
    there: int | None = None


def merged(here: Sequence[Version], there: Sequence[Version], *, same_id: bool) -> list[Version]:
    """The versions of both in one order, which keeps that of each; what only one has stands by its time.

    Args:
        here: Of the store.
        there: Of the export.
        same_id: Whether both are of one origin. Then a version is known by its words and its time, and otherwise by
            its words alone: who states the same on two machines does it at two times.
    """

    def key(one: Version) -> Hashable:
        return (one.statement, one.at) if same_id else one.statement.lower()

    found, place = list(here), 0
    known, later = {key(one) for one in here}, Counter(map(key, there))
    for one in there:
        its = key(one)
        later[its] -= 1
        at = (
            next((index for index in range(place, len(found)) if key(found[index]) == its), None)
            if its in known
            else None
        )
        if at is None:
            # Not past what a later one of the export is: each order is kept, whatever the clocks said.
            at = place
            while at < len(found) and found[at].at <= one.at and not later[key(found[at])]:
                at += 1
            found.insert(at, one)
        else:
            found[at] = _both(found[at], one)
        place = at + 1
    return found


def _both(here: Version, there: Version) -> Version:
    """A version that both have: with the reasons of both, and how it fared where more of it was seen."""
    reasons = dict.fromkeys([*here.reason.split(_ALSO), *there.reason.split(_ALSO)])
    seen = max(here, there, key=lambda one: (one.resolved, one.accuracy is not None))
    return replace(here, reason=_ALSO.join(reasons), accuracy=seen.accuracy, resolved=seen.resolved, there=there.there)
