"""Which memories say nothing that another one doesn't. Found by the digest of the first sentence: one pass, any size.

All that makes up a memory but its content must be the same: type, speaker, session, headings, source, time. What was
read from files is left alone, as it follows its files: one that is gone takes with it what was superseded by it.
"""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from dionysus_mcp.consolidation.facts import covers, stands_alone
from dionysus_mcp.consolidation.reading import Held
from dionysus_mcp.consolidation.wording import Sentence, sentences

RETRY = timedelta(minutes=10)
"""Within this time the same words right after each other are a repeated call, whatever they point at."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A memory, and the one that says all it says."""

    ended: Held
    survivor: Held


@dataclass(frozen=True, slots=True)
class _Read:
    held: Held
    text: tuple[Sentence, ...]


def duplicates(memories: Iterable[Held], undone: Collection[str] = ()) -> list[Duplicate]:
    """Memories that others make needless. A survivor is never itself superseded.

    Args:
        memories: The current memories of one scope.
        undone: Digests of what was superseded once and brought back; it stays.
    """
    groups: defaultdict[tuple[Any, ...], list[_Read]] = defaultdict(list)
    for one in memories:
        if one.origin is None and (text := sentences(one.content)):
            groups[(one.place, text[0].words)].append(_Read(one, text))
    found: list[Duplicate] = []
    for group in groups.values():
        kept: list[_Read] = []
        for candidate in sorted(group, key=_rank) if len(group) > 1 else ():
            survivor = next((one for one in kept if _replaces(one, candidate, undone)), None)
            if survivor is None:
                kept.append(candidate)
            else:
                found.append(Duplicate(candidate.held, survivor.held))
    return sorted(found, key=lambda one: one.ended.seq)


def _rank(one: _Read) -> tuple[Any, ...]:
    """What says most comes first; of equals, the one that matters more, and then the oldest."""
    words = sum(len(sentence.words) for sentence in one.text)
    capitals = sum(sentence.capital for sentence in one.text)
    return -len(one.text), -words, -capitals, -len(one.held.metadata), -one.held.importance, one.held.seq


def _replaces(survivor: _Read, other: _Read, undone: Collection[str]) -> bool:
    mine, its = survivor.held, other.held
    if its.importance > mine.importance or its.hash in undone:
        return False
    if not _as_json(its) <= _as_json(mine):
        return False
    if not covers(survivor.text, other.text):
        return False
    return stands_alone(other.text, dated=its.occurred_at is not None) or _is_retry(mine, its)


def _as_json(one: Held) -> set[str]:
    """Metadata as texts: in Python 1, 1.0 and True are equal."""
    return {json.dumps([key, value], sort_keys=True) for key, value in one.metadata.items()}


def _is_retry(one: Held, other: Held) -> bool:
    return abs(one.order - other.order) == 1 and abs(one.recorded_from - other.recorded_from) <= RETRY
