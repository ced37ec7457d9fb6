"""What a question asks: its parts, the kind of answer it wants, the names in it, and the words that carry it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from layers.analysis.facts import is_calendar, names
from layers.analysis.words import stem, terms

_ASK = r"(?:who|whom|whose|when|where|why|how|what|which)"
_AUXILIARY = r"(?:is|are|was|were|did|does|do|has|have|had|can|could|should|will|would|must|may)"
_SPLIT = re.compile(
    rf"\?\s+|;\s+|[,\s]+(?:and|but|or)\s+(?=(?:(?:in|on|at|for|by|from|to|since|until)\s+)?{_ASK}\b)|,\s+(?={_ASK}\b)",
    re.IGNORECASE,
)
_CLAUSES = re.compile(rf"\s+and\s+(?={_AUXILIARY}\b)", re.IGNORECASE)
_POINTING = re.compile(
    r"\b(?:it|its|she|her|he|him|his|they|them|their|this|that|these|those|there|then)\b", re.IGNORECASE
)
_BARE = re.compile(rf"^(?:and\s+)?(?:{_ASK})\??$", re.IGNORECASE)
_MANY = re.compile(
    r"^(?:list|summari[sz]e|describe|tell me|give me|what do (?:we|you|i) know|what happened|what is known|overview)\b"
    r"|\ball (?:the|of)\b|^(?:which|what)\s+(?:\w+\s+)?\w+s\s+(?:are|were|have|do|did)\b|^(?:who|what) (?:all|else)\b|^what are\b",
    re.IGNORECASE,
)
_KINDS = (
    ("quantity", r"\bhow (?:many|much|long|old|often|far|big|large|tall|fast|high|hot|heavy|wide|deep|late)\b"),
    (
        "quantity",
        r"\b(?:what|which) (?:\w+ ){0,2}(?:number|percentage|percent|price|cost|amount|limit|rate|size|temperature)\b",
    ),
    ("time", r"\bwhen\b|\b(?:what|which) (?:\w+ )?(?:date|day|month|year|time|week|weekday)\b|\bhow long ago\b"),
    ("person", r"\bwh(?:o|om|ose)\b|\bwhich (?:person|people|colleague|engineer|member)\b"),
    ("reason", r"\bwhy\b|\bwhat (?:\w+ )?(?:reason|caused|causes|cause|led to)\b|\bhow come\b"),
    ("place", r"\bwhere\b|\b(?:what|which) (?:city|country|place|room|town|building|address|location)\b"),
)
_LEAD = re.compile(rf"^(?:(?:in|on|at|for|by|from|to|since|until)\s+)?(?:{_ASK}|{_AUXILIARY})\b", re.IGNORECASE)
# What a question says about asking, not about its subject.
_ASKING = frozenset(
    stem(word)
    for word in (
        "tell give list describe explain summarise summarize know find recall remember memory note notes say name call "
        "exactly currently actually please according happen kind sort type thing"
    ).split()
)


class Kind(StrEnum):
    """The kind of answer a question wants."""

    PERSON = "person"
    TIME = "time"
    QUANTITY = "quantity"
    REASON = "reason"
    PLACE = "place"
    CHOICE = "choice"
    THING = "thing"


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one thing.

    Attributes:
        text: as asked; a part of a longer question is filled up with the names of the whole.
        kind: the kind of answer it wants.
        names: what it names: people, projects, codes, quoted words.
        terms: stems of its content words, names included, words of asking left out.
        wants_many: whether it asks for a list or an overview.
        aside: stems of what only leads up to the question, "Among the people on the boat, who …".
    """

    text: str
    kind: Kind
    names: tuple[str, ...]
    terms: tuple[str, ...]
    wants_many: bool
    aside: frozenset[str] = frozenset()

    @property
    def counted(self) -> str:
        """The stem of what a "how many" question counts, `""` for other questions."""
        found = re.search(r"\bhow many ((?:\w+ )?\w+)", self.text, re.IGNORECASE)
        return next((term for term in terms(found.group(1)) if term in self.terms), "") if found else ""

    @property
    def name_terms(self) -> frozenset[str]:
        """The stems of the names."""
        return frozenset(term for name in self.names for term in terms(name))

    @property
    def subject_terms(self) -> tuple[str, ...]:
        """The stems that carry what is asked about: neither names nor dates."""
        named = self.name_terms
        return tuple(term for term in self.terms if term not in named and not is_calendar(term))


def ask(text: str) -> Question:
    """Read one question."""
    flat = " ".join(text.split())
    named = tuple(
        name for name in names(_without_lead(flat), opening=_LEAD.match(flat) is None) if stem(name) not in _ASKING
    )
    words = tuple(term for term in terms(flat) if term not in _ASKING)
    return Question(flat, _kind(flat), named, words or terms(flat), bool(_MANY.search(flat)), _aside(flat))


def parts(text: str) -> tuple[Question, ...]:
    """Split a question into its parts, each readable alone; a question about one thing is its own only part.

    A part that points back ("it", "she") and names nothing gets the names of the part before it.
    """
    flat = " ".join(text.split())
    pieces = [piece.strip(" ,?") for chunk in _SPLIT.split(flat) for piece in _clauses(chunk)]
    pieces = [piece for piece in pieces if piece]
    if len(pieces) < 2:
        return (ask(flat),)
    found: list[Question] = []
    for piece in _joined(pieces):
        found.append(_filled(piece, found, flat))
    return tuple(found)


def _joined(pieces: Sequence[str]) -> list[str]:
    """Join a piece that asks nothing to the one before it, the first one to the one after it."""
    joined: list[str] = []
    for piece in pieces:
        if joined and not (_LEAD.search(piece) and _LEAD.search(joined[-1])):
            joined[-1] = f"{joined[-1]}, {piece}"
        else:
            joined.append(piece)
    return joined


def _clauses(chunk: str) -> list[str]:
    return _CLAUSES.split(chunk)


def _filled(piece: str, before: list[Question], whole: str) -> Question:
    question = ask(piece)
    if _BARE.match(piece) or not question.terms:
        # "who decided it, and why?": the second part asks about the first one's subject.
        subject = _LEAD.sub("", before[0].text if before else whole).strip(" ,?")
        return ask(f"{piece} {subject}".strip())
    if question.names or not before or not before[0].names or not _POINTING.search(piece):
        return question
    return ask(f"{piece} ({', '.join(before[0].names)})")


def _kind(text: str) -> Kind:
    # The first asking word asks; a later one only leads on: "How was the vote split when …", "the person who …".
    first = re.search(rf"\b{_ASK}\b", text, re.IGNORECASE)
    for kind, pattern in _KINDS if first else ():
        if re.compile(pattern, re.IGNORECASE).match(text, first.start()):
            return Kind(kind)
    return Kind.CHOICE if re.match(rf"^{_AUXILIARY}\b", text, re.IGNORECASE) else Kind.THING


def _aside(text: str) -> frozenset[str]:
    lead, comma, rest = text.partition(", ")
    while comma and not _LEAD.match(rest):
        more, comma, rest = rest.partition(", ")
        lead = f"{lead}, {more}"
    return frozenset(terms(lead)) - frozenset(terms(rest)) if comma and not _LEAD.match(text) else frozenset()


def _without_lead(text: str) -> str:
    # The first word is capitalised in any question; it is a name only where it doesn't ask.
    first, _, rest = text.partition(" ")
    return rest if stem(first) in _ASKING or _LEAD.match(text) else text
