"""What several episodes state, in the words of one of them: the sentence in the middle of those that say the same.

No language model: the new memory is a sentence that was said, by who said it, with all places where it was said again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from dionysus_mcp.consolidation.facts import names, negated, numbers, stands_alone
from dionysus_mcp.consolidation.near import pairs
from dionysus_mcp.consolidation.reading import Held
from dionysus_mcp.consolidation.wording import Sentence, sentences
from dionysus_mcp.recall.terms import FUNCTION_WORDS

if TYPE_CHECKING:
    import numpy as np

_LEAST_WORDS, _MOST_WORDS = 4, 60
_SHARED = 0.5
"""Share of the content words of a statement that another one must have to be taken for the same."""
_SOURCES = 20
"""Sources that one extract names at most; among them the first and the last."""

Placed = Mapping[int, "tuple[Sequence[tuple[int, int]], np.ndarray[Any, Any]]"]


@dataclass(frozen=True, slots=True)
class Unit:
    """One sentence of one episode."""

    held: Held
    start: int
    stop: int
    sentence: Sentence
    content: frozenset[str] = field(compare=False)

    @property
    def text(self) -> str:
        """Its words as they stand there."""
        return self.held.content[self.start : self.stop]

    @property
    def episode(self) -> str | date:
        """What it was told in: a session, or else a day."""
        return self.held.session_id or self.when.date()

    @property
    def when(self) -> datetime:
        """When it was told."""
        return self.held.occurred_at or self.held.recorded_from


@dataclass(frozen=True, slots=True)
class Group:
    """A statement, `head`, and all that say the same, the oldest first and `head` among them."""

    head: Unit
    members: tuple[Unit, ...]


def units(memories: Iterable[Held], placed: Placed, whole: "Mapping[int, Any]") -> tuple[list[Unit], Any]:
    """Sentences that state something, and their vectors, shape `(n, dimension)` float16."""
    import numpy as np

    found: list[Unit] = []
    rows: list[Any] = []
    for one in memories:
        spans, vectors = placed.get(one.seq, ([(0, len(one.content))], [whole.get(one.seq)]))
        for (start, stop), row in zip(spans, vectors, strict=True):
            unit = None if row is None else _unit(one, start, stop)
            if unit is not None:
                found.append(unit)
                rows.append(row)
    return found, np.stack(rows) if rows else np.zeros((0, 1), dtype=np.float16)


def groups(
    of: Sequence[Unit],
    vectors: Any,
    *,
    related: float,
    episodes: int,
    known: Collection[tuple[str | None, tuple[str, ...]]],
    check: Callable[[], None],
) -> list[Group]:
    """Statements of one person in so many episodes, those of the most episodes first.

    Args:
        of: Sentences.
        vectors: Theirs.
        related: Smallest cosine of two sentences that may state the same.
        episodes: Least number of different episodes.
        known: Speaker and words of what was drawn before, whatever became of it.
        check: May raise to end the search.
    """
    speakers: defaultdict[str | None, list[int]] = defaultdict(list)
    for place, unit in enumerate(of):
        speakers[unit.held.speaker].append(place)
    near: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for mine in speakers.values():
        for first, second, cosine in pairs(vectors[mine], related, check):
            one, other = mine[first], mine[second]
            if of[one].episode != of[other].episode and _agree(of[one], of[other]):
                near[one][other] = near[other][one] = cosine
    return _chosen(of, near, episodes, known)


def _chosen(
    of: Sequence[Unit],
    near: Mapping[int, Mapping[int, float]],
    episodes: int,
    known: Collection[tuple[str | None, tuple[str, ...]]],
) -> list[Group]:
    def support(place: int) -> tuple[int, float, int]:
        return len({of[other].episode for other in near[place]}), sum(near[place].values()), -place

    drawn = {place for place in near if (of[place].held.speaker, of[place].sentence.words) in known}
    # Nor in the words of another of those who said it.
    taken = drawn | {other for place in drawn for other in near[place]}
    found: list[Group] = []
    for place in sorted((place for place in near if _may_lead(of[place])), key=support, reverse=True):
        others = [other for other in near[place] if other not in taken]
        if place in taken or len({of[place].episode, *(of[other].episode for other in others)}) < episodes:
            continue
        taken.update((place, *others))
        members = sorted((of[each] for each in {place, *others}), key=lambda unit: (unit.when, unit.held.seq))
        found.append(Group(of[place], _fewer(of[place], members)))
    return found


def _fewer(head: Unit, members: list[Unit]) -> tuple[Unit, ...]:
    if len(members) <= _SOURCES:
        return tuple(members)
    kept = [*members[: _SOURCES - 2], *members[-1:]]
    return tuple(kept if head in kept else sorted([*kept, head], key=lambda unit: (unit.when, unit.held.seq)))


def _may_lead(unit: Unit) -> bool:
    words = unit.sentence.words
    enough = _LEAST_WORDS <= len(words) <= _MOST_WORDS and len(unit.content) > 1
    return enough and stands_alone((unit.sentence,), dated=False)


def _agree(one: Unit, other: Unit) -> bool:
    """Whether two sentences may state the same: the same denial, numbers and names, and half of the words."""
    first, second = one.sentence, other.sentence
    if negated(first.words) != negated(second.words) or numbers(first.words) != numbers(second.words):
        return False
    if names(first) != names(second):
        return False
    shared = len(one.content & other.content)
    return shared >= _SHARED * max(len(one.content), len(other.content))


def _unit(one: Held, start: int, stop: int) -> Unit | None:
    text = sentences(one.content[start:stop])
    if len(text) != 1 or "?" in text[0].words:
        return None
    content = frozenset(
        word.lower() for word in text[0].words if word.lower() not in FUNCTION_WORDS and any(map(str.isalnum, word))
    )
    return Unit(one, start, stop, text[0], content) if content else None
