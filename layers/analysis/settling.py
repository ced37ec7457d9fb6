"""Which of two disagreeing claims holds: the later one where time tells, else the one with more independent sources."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    pairs = {frozenset(int(index) for index in conflict["claims"]) for conflict in conflicts}
    return [_settled(claims, group, pairs) for group in _groups(pairs)]


def _groups(pairs: set[frozenset[int]]) -> list[list[int]]:
    groups: list[frozenset[int]] = []
    for pair in sorted(pairs, key=sorted):
        touching = [group for group in groups if group & pair]
        groups = [*(group for group in groups if not group & pair), pair.union(*touching)]
    return [sorted(group) for group in groups]


def _settled(claims: Sequence[Mapping[str, Any]], group: list[int], pairs: set[frozenset[int]]) -> Settlement:
    def agree(one: int, other: int) -> bool:
        return frozenset((one, other)) not in pairs

    days = {index: str(claims[index].get("when") or "")[:19] for index in group}
    sources = {i: sum(int(claims[j].get("sources") or 1) for j in group if agree(i, j)) for i in group}
    changed = {index: bool(claims[index].get("change")) for index in group}
    dated = {index: day for index, day in days.items() if day}
    rules = (
        (days if len(dated) == len(days) else {}, "it is the latest"),
        (sources, "more independent sources say so"),
        (changed, "it tells of a change"),
        (dated, "it is dated, the others aren't"),
    )
    for values, why in rules:
        leading = _leading(values, agree)
        if leading:
            holds = max(leading, key=lambda index: (float(claims[index].get("score") or 0.0), -index))
            return Settlement(holds, tuple(index for index in group if not agree(index, holds)), why)
    return Settlement(None, tuple(group), "neither time nor the number of sources tells which holds")


def _leading(values: Mapping[int, Any], agree: Callable[[int, int], bool]) -> list[int]:
    """Return the indices with the highest value, nothing where two of them disagree with each other."""
    highest = [index for index, value in values.items() if value == max(values.values())]
    return highest if all(agree(one, other) for one in highest for other in highest if one != other) else []
