"""Whether evidence answers a question, or only stands near it.

Three things must hold: every name in the question is in the evidence; what is asked of it (the words that are neither
names nor dates) is covered, by the same or kindred words or by closeness in meaning; and the evidence has the kind of
thing that was asked for. Near misses fail one of them: another person, another relation, no number where one is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from layers.analysis.facts import is_calendar
from layers.analysis.passages import Excerpt, Passage, coverage, covers, typed
from layers.analysis.questions import Kind, Question
from layers.analysis.words import cover, terms

_LITERAL = 0.7  # a name counts as there when it stands there, or a form of it does; a kindred word is another thing
_FLOOR, _CEILING = 0.35, 0.60  # cosines of MiniLM between a question and unrelated, and surely related, short texts
_ENOUGH = 0.4
_TYPED = {Kind.TIME: 0.5, Kind.QUANTITY: 0.5, Kind.PERSON: 0.5, Kind.PLACE: 0.5}


@dataclass(frozen=True, slots=True)
class Answerability:
    """How well evidence answers a question.

    Attributes:
        strength: in [0, 1]; `answered` asks for at least .4.
        answered: whether it is an answer.
        absent: the question's names that the evidence lacks.
        uncovered: its other words that the evidence lacks.
        reason: one line for a report.
    """

    strength: float
    answered: bool
    absent: tuple[str, ...]
    uncovered: tuple[str, ...]
    reason: str


def answers(question: Question, chain: Sequence[Excerpt], weights: Mapping[str, float]) -> Answerability:
    """Judge a chain of passages (one, or several that a shared name links) as the answer to one question."""
    if not chain:
        return Answerability(0.0, False, question.names, question.terms, "memory holds nothing near it")
    text = " ".join(excerpt.quote for excerpt in chain)
    quoted = frozenset(terms(text))
    around = quoted.union(*(excerpt.memory.all_terms for excerpt in chain))
    absent = _absent(question, around)
    uncovered = tuple(t for t in question.subject_terms if covers(t, around, text) < _LITERAL)
    # The last of a chain brings the answer; those before it only lead there.
    kind = typed(question, chain[-1].quote, chain[-1].memory)
    strength = _strength(question, quoted, around, chain, weights)
    # A heading may hold what is to be counted ("People") without any number of it being told: the words themselves must.
    told = frozenset(terms(" ".join(excerpt.memory.content for excerpt in chain)))
    if question.counted and cover(question.counted, told | quoted) < _LITERAL:
        uncovered = tuple(dict.fromkeys((*uncovered, question.counted)))
    reason = _reason(question, absent, kind, strength, uncovered)
    return Answerability(round(strength, 3), not reason, absent, uncovered, reason or "covered")


def _strength(
    question: Question,
    quoted: frozenset[str],
    around: frozenset[str],
    chain: Sequence[Excerpt],
    weights: Mapping[str, float],
) -> float:
    asked = question.subject_terms or question.terms
    text = " ".join(excerpt.quote for excerpt in chain)
    near, wide = coverage(asked, quoted, weights, text), coverage(asked, around, weights, text)
    covered = near + 0.6 * (wide - near)
    similar = [p.memory.similarity for p in chain if p.memory.similarity is not None]
    if not similar:
        return covered
    close = max(0.0, min(1.0, (max(similar) - _FLOOR) / (_CEILING - _FLOOR)))
    return 0.6 * covered + 0.4 * close


def _absent(question: Question, around: frozenset[str]) -> tuple[str, ...]:
    dates = [term for term in question.terms if is_calendar(term)]
    named = [name for name in question.names if not any(cover(t, around) >= _LITERAL for t in terms(name) or (name,))]
    # A date in the question binds as a name does, where the evidence is dated at all.
    dated = any(is_calendar(term) for term in around)
    return (*named, *(term for term in dates if dated and term not in around and question.kind is not Kind.TIME))


def _reason(question: Question, absent: Iterable[str], kind: float, strength: float, uncovered: Sequence[str]) -> str:
    if names := list(absent):
        return f"the evidence doesn't name {', '.join(names)}"
    if kind < _TYPED.get(question.kind, 0.0):
        return f"the evidence has no {question.kind.value} that answers"
    if question.counted and question.counted in uncovered:
        return f"the evidence doesn't count {question.counted}"
    if strength < _ENOUGH:
        return f"the evidence says nothing on {', '.join(uncovered) or 'what is asked'}"
    return ""


def evidence_of(hits: Iterable[Mapping[str, object]]) -> list[Passage]:
    """Read the hits of a recall as the layers' tool returns them."""
    found: dict[str, Passage] = {}
    for hit in hits:
        metadata = hit.get("metadata")
        known = {"speaker": hit.get("speaker"), **(metadata if isinstance(metadata, dict) else {})}
        piece = Passage.from_parts(
            str(hit.get("id", "")),
            str(hit.get("content", "")),
            str(hit.get("source") or ""),
            str(hit.get("when") or ""),
            known,
            hit.get("similarity"),
            hit.get("score"),
        )
        before = found.get(piece.id)
        if before is None or (piece.similarity or 0.0) > (before.similarity or 0.0):
            found[piece.id] = piece
    return list(found.values())
