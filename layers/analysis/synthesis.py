"""Claims out of memories: the passages that bear on a question.

They are joined where they say the same, and flagged where they disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from layers.analysis.clauses import telling
from layers.analysis.facts import dates, is_calendar, is_negated, names, numbers, sortable, tells_change
from layers.analysis.passages import Excerpt, Passage, Remembered, rank
from layers.analysis.questions import Kind, Question, parts
from layers.analysis.words import cover, kinship, terms

_SAME = 0.75  # share of words that two sentences of one claim have in common
_BEARS = 0.15  # how far behind the best a passage may lie and still bear on the question
_MOST = 8
_SAME_MATTER = 0.6  # share of the question's words of which two accounts of one thing both speak


@dataclass(slots=True)
class _Claim:
    passage: Excerpt
    part: int
    others: list[Excerpt] = field(default_factory=list[Excerpt])

    @property
    def passages(self) -> list[Excerpt]:
        return [self.passage, *self.others]


def synthesize(memories: Sequence[Remembered], question: str) -> dict[str, Any]:
    """Join what memories say on a question.

    Args:
        memories: records or hits of the memory package.
        question: one question, which may have several parts.

    Returns:
        `claims`, ordered in time (undated first): `claim` (the words on one line), `quote` (verbatim), `ids` of all
        memories that say it, `when` (ISO or ""), `source`, `speaker`, `sources` (how many independent ones), `part`
        (which
        part of the question), `score`, `coverage`, `change` (whether it tells of a change);
        `conflicts`: `kind` ("number", "date", "negation" or "value"), `claims` (two indices), `ids`, `detail`;
        `missing`: words of the question that no memory covers.
    """
    pool = [Passage.of(memory) for memory in memories]
    asked = parts(question)
    claims = [claim for number, part in enumerate(asked) for claim in _claims(part, number, pool)]
    claims.sort(key=lambda claim: (validity(claim.passage), claim.passage.memory.id))
    conflicts = [
        _conflict(kind, i, j, claims)
        for i, one in enumerate(claims)
        for j in range(i + 1, len(claims))
        if one.part == claims[j].part and (kind := disagreement(asked[one.part], one.passage, claims[j].passage))
    ]
    held = frozenset(term for memory in pool for term in memory.all_terms)
    missing = [term for part in asked for term in part.terms if cover(term, held) < 0.7]
    return {"claims": [_shown(c) for c in claims], "conflicts": conflicts, "missing": list(dict.fromkeys(missing))}


def validity(passage: Excerpt) -> str:
    """Return the day from which a passage tells, ISO.

    That is the memory's own time, else the latest date in its words or place.
    """
    if passage.memory.when:
        return passage.memory.when[:19]
    for text in (passage.quote, passage.memory.context, passage.memory.content):
        known = [day for day in dates(text) if sortable(day)]
        if known:
            return max(known)
    return ""


def disagreement(question: Question, one: Excerpt, other: Excerpt) -> str:
    """Return how two passages contradict each other on a question: number, date, negation or value.

    Returns `""` if they don't.
    """
    if one.memory.id == other.memory.id or not _about_the_same(question, one, other):
        return ""
    change = tells_change(one.quote) or tells_change(other.quote)
    full = min(one.coverage, other.coverage) >= 0.9
    alike = _likeness(_frame(one.quote), _frame(other.quote))
    if alike < (0.3 if change or full else 0.5):
        return ""
    # A change is told beside what it changed: "since Ada left, Bo keeps it".
    first, second = (one.quote, other.quote) if change else _told(question, one.quote, other.quote)
    if _numbers_differ(question, first, second):
        return "number"
    if question.kind is Kind.TIME and _disjoint(set(dates(first)), set(dates(second))):
        return "date"
    if is_negated(first) != is_negated(second) and (alike >= 0.5 or not change):
        # Who says "not in the cellar" gives no other place, and denies only the one who says "in the cellar".
        if change or _denies(question, first, second):
            return "negation" if alike >= 0.5 else ""
        return ""
    sure = full or (change and alike >= 0.6)
    return "value" if _values_differ(question, first, second, alike, sure=sure) else ""


def independent(passages: Sequence[Excerpt]) -> int:
    """Return from how many independent places passages come: files, speakers, or single memories."""
    return len(
        {(p.memory.source.split(":")[0], p.memory.speaker) if p.memory.source else p.memory.id for p in passages}
    )


def _claims(question: Question, number: int, pool: Sequence[Passage]) -> list[_Claim]:
    ranked = rank(question, pool)
    if not ranked:
        return []
    found: list[_Claim] = []
    for passage in ranked[:_MOST]:
        if passage.score < ranked[0].score - _BEARS or passage.coverage <= 0:
            break
        same = next((claim for claim in found if _says_the_same(claim.passage, passage)), None)
        if same:
            same.others.append(passage)
        else:
            found.append(_Claim(passage, number))
    return found


def _says_the_same(one: Excerpt, other: Excerpt) -> bool:
    if set(numbers(one.quote)) != set(numbers(other.quote)) or is_negated(one.quote) != is_negated(other.quote):
        return False
    if set(dates(one.quote)) != set(dates(other.quote)):
        return False
    return _likeness(frozenset(terms(one.quote)), frozenset(terms(other.quote))) >= _SAME and set(
        names(one.quote, opening=False)
    ) == set(names(other.quote, opening=False))


def _about_the_same(question: Question, one: Excerpt, other: Excerpt) -> bool:

    def covered(passage: Excerpt) -> set[str]:
        words = frozenset(terms(passage.quote)) | passage.memory.context_terms
        return {term for term in question.terms if cover(term, words) >= 0.7}

    first, second = covered(one), covered(other)
    subject = set(question.subject_terms)
    if subject and not (first & second & subject):
        return False
    return len(first & second) >= _SAME_MATTER * max(len(first | second), 1)


def _frame(quote: str) -> frozenset[str]:
    # What is left of a sentence without its values: the frame that two accounts of one thing share.
    values = {term for name in names(quote, opening=False) for term in terms(name)}
    return frozenset(term for term in terms(quote) if not any(c.isdigit() for c in term) and term not in values)


def _likeness(one: frozenset[str], other: frozenset[str]) -> float:
    small, large = sorted((one, other), key=len)
    if not small:
        return 0.0
    return sum(max((kinship(term, candidate) for candidate in large), default=0.0) for term in small) / len(small)


def _told(question: Question, one: str, other: str) -> tuple[str, str]:
    """Return what two quotes tell of what is asked, without the clauses that go on to something else.

    Nothing where all clauses of one speak of much less of the question than the other does.
    """
    (first, most), (second, more) = telling(question, one), telling(question, other)
    return (first, second) if min(most, more) >= _SAME_MATTER * max(most, more) else ("", "")


def _denies(question: Question, one: str, other: str) -> bool:
    """Whether the one that negates says no to what the other says, and not to something else.

    "It holds no secrets" and "it holds answers" go together; "it isn't heated" and "it is heated" don't.
    """
    denying, said = (one, other) if is_negated(one) else (other, one)
    known = frozenset(terms(said)) | frozenset(question.terms)
    return all(cover(term, known) >= 0.7 or is_calendar(term) for term in terms(denying) if not is_negated(term))


def _numbers_differ(question: Question, one: str, other: str) -> bool:
    first, second = _by_unit(one), _by_unit(other)
    shared = [unit for unit in first if unit in second]
    if not shared or question.kind not in (Kind.QUANTITY, Kind.THING, Kind.CHOICE):
        return False
    asked = [unit for unit in shared if unit in question.terms]
    return all(not (first[unit] & second[unit]) for unit in asked or shared)


def _by_unit(text: str) -> dict[str, set[float]]:
    found: dict[str, set[float]] = {}
    for number in numbers(text):
        found.setdefault(number.unit, set()).add(number.value)
    return found


def _values_differ(question: Question, one: str, other: str, alike: float, *, sure: bool) -> bool:
    if question.wants_many or question.kind in (Kind.QUANTITY, Kind.TIME, Kind.REASON, Kind.CHOICE):
        return False
    first, second = _new_names(question, one), _new_names(question, other)
    if first and second:
        return _disjoint(first, second) and (sure or alike >= 0.7)
    # Without names on both sides only a very like sentence with another word in the same place disagrees.
    ours, theirs = frozenset(terms(one)), frozenset(terms(other))
    return 0 < len(ours - theirs) <= 3 and 0 < len(theirs - ours) <= 3 and alike >= 0.6


def _new_names(question: Question, quote: str) -> set[str]:
    asked = frozenset(question.terms)
    found = {term for name in names(quote) for term in terms(name)[:1]}
    return {term for term in found if term not in asked}


def _disjoint(one: set[Any], other: set[Any]) -> bool:
    return bool(one) and bool(other) and not (one & other)


def _conflict(kind: str, i: int, j: int, claims: Sequence[_Claim]) -> dict[str, Any]:
    one, other = claims[i], claims[j]
    return {
        "kind": kind,
        "claims": [i, j],
        "ids": [p.memory.id for claim in (one, other) for p in claim.passages],
        "detail": f"{_flat(one.passage.quote)} / {_flat(other.passage.quote)}",
    }


def _shown(claim: _Claim) -> dict[str, Any]:
    passage = claim.passage
    return {
        "claim": _flat(passage.quote),
        "ids": [p.memory.id for p in claim.passages],
        "quote": passage.quote,
        "when": validity(passage),
        "source": passage.memory.source,
        "speaker": passage.memory.speaker,
        "sources": independent(claim.passages),
        "part": claim.part,
        "score": round(passage.score, 3),
        "coverage": round(passage.coverage, 3),
        "change": tells_change(passage.quote),
    }


def _flat(text: str) -> str:
    return " ".join(text.split())
