"""Whether evidence answers a question, or only stands near it.

Three things must hold: every name in the question is in the evidence; what is asked of it (the words that are neither
names nor dates) is covered, by the same or kindred words or by closeness in meaning; and the evidence has the kind of
thing that was asked for. Near misses fail one of them: another person, another relation, no number where one is wanted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from layers.analysis.facts import is_calendar
from layers.analysis.passages import Excerpt, Passage, coverage, covers, typed
from layers.analysis.questions import Kind, Question
from layers.analysis.words import cover, terms

_LITERAL = 0.7  # a name counts as there when it stands there, or a form of it does; a kindred word is another thing
_FLOOR, _CEILING = 0.35, 0.60  # cosines of MiniLM between a question and unrelated, and surely related, short texts
_GAIN = 0.25  # how much nearer to the question than to its names a text is that surely tells what was asked
_ENOUGH = 0.36
_TYPED = {Kind.TIME: 0.5, Kind.QUANTITY: 0.5, Kind.PERSON: 0.5, Kind.PLACE: 0.5}


@dataclass(frozen=True, slots=True)
class Answerability:
    """How well evidence answers a question.

    Attributes:
        strength: in [0, 1]; `answered` asks for at least .36.
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
    close = max((c for excerpt in chain if (c := _close(excerpt)) is not None), default=None)
    return covered if close is None else 0.5 * covered + 0.5 * close


def _close(excerpt: Excerpt) -> float | None:
    """Return how close in meaning an excerpt is to the question, from 0 (as unrelated texts are) to 1 (surely related)."""
    memory, quote = excerpt.memory, excerpt.quote
    gain = memory.gain(quote)
    if gain is not None:
        return max(0.0, min(1.0, gain / _GAIN))
    near = memory.nearness(quote)
    return None if near is None else max(0.0, min(1.0, (near - _FLOOR) / (_CEILING - _FLOOR)))


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


def evidence_of(
    hits: Iterable[Mapping[str, object]], named: Iterable[Mapping[str, object]] | None = None
) -> list[Passage]:
    """Read the hits of a recall as the layers' tool returns them.

    Args:
        hits: what was recalled.
        named: what a recall of the question's names alone brought, `None` where none was made.
    """
    found: dict[str, Passage] = {}
    near_names = {str(hit.get("id", "")): _pieces(hit) for hit in named or ()}
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
            found[piece.id] = replace(piece, pieces=_pieces(hit))
    # A memory that the recall of the names didn't bring is not near them; it takes part in the comparison all the same.
    nowhere = () if named is None else (("", 0.0),)
    return [replace(piece, named=near_names.get(piece.id, nowhere)) for piece in found.values()]


def _pieces(hit: Mapping[str, object]) -> tuple[tuple[str, float], ...]:
    listed = hit.get("passages")
    pieces = [p for p in listed if isinstance(p, dict)] if isinstance(listed, list) else []
    told = tuple((" ".join(str(p.get("text", "")).split()), float(p.get("similarity") or 0.0)) for p in pieces)
    whole = hit.get("similarity")
    if told or not isinstance(whole, int | float):
        return told
    return ((" ".join(str(hit.get("content", "")).split()), float(whole)),)
