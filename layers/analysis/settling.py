"""Which of two disagreeing claims holds: the later one where time tells, else the one with more independent sources."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Settlement:
    """The outcome for one group of claims that disagree.

    Attributes:
        holds: index of the claim that holds; `None` where nothing tells.
        others: indices of the claims it supersedes or outweighs, or, where nothing tells, of all claims.
        why: one line for a report.
    """

    holds: int | None
    others: tuple[int, ...]
    why: str


def settle(claims: Sequence[Mapping[str, Any]], conflicts: Sequence[Mapping[str, Any]]) -> list[Settlement]:
    """Settle conflicts as `synthesize` returns them; claims that disagree pairwise are settled as one group."""
    return [_settled(claims, group) for group in _groups(conflicts)]


def _groups(conflicts: Sequence[Mapping[str, Any]]) -> list[list[int]]:
    groups: list[set[int]] = []
    for conflict in conflicts:
        pair = {int(index) for index in conflict["claims"]}
        touching = [group for group in groups if group & pair]
        groups = [group for group in groups if not group & pair]
        groups.append(pair.union(*touching))
    return [sorted(group) for group in groups]


def _settled(claims: Sequence[Mapping[str, Any]], group: list[int]) -> Settlement:
    days = {index: str(claims[index].get("when") or "")[:19] for index in group}
    sources = {index: int(claims[index].get("sources") or 1) for index in group}
    if all(days.values()) and _tops(days):
        holds, why = _tops(days)[0], "it is the latest"
    elif _tops(sources):
        holds, why = _tops(sources)[0], "more independent sources say so"
    elif changed := [index for index in group if claims[index].get("change")]:
        holds, why = changed[-1], "it tells of a change"
    elif dated := _tops({index: day for index, day in days.items() if day}):
        holds, why = dated[0], "it is dated, the others aren't"
    else:
        return Settlement(None, tuple(group), "neither time nor the number of sources tells which holds")
    return Settlement(holds, tuple(index for index in group if index != holds), why)


def _tops(values: Mapping[int, Any]) -> list[int]:
    """Return the one index with the highest value, nothing where several share it."""
    highest = [index for index, value in values.items() if value == max(values.values())]
    return highest if len(highest) == 1 else []
