"""Passages: the shortest piece of a memory that answers a question, verbatim, and how well it does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Any, Protocol

from layers.analysis.facts import calendar_terms, names, numbers, says_when
from layers.analysis.questions import Kind, Question
from layers.analysis.words import STOPWORDS, cover, stem, terms, tokens

_BREAK = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“(\[A-Z0-9À-Þ*`])|\n\s*(?:[-*+•>]\s+|\d+[.)]\s+|#+\s+|\|)|\n{2,}|\n(?=[A-Z#`*\[\d])")
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|etc|approx|e\.g|i\.e|[A-Z])\.[\"”’)]*$")
_MARK = re.compile(r"^[\s\-*+•>#|]+(?=\S)")
_REASON = re.compile(
    r"\b(?:because|since|due to|so that|in order to|reason|caused?|owing to|thanks to|therefore|as a result|to avoid|"
    r"avoids?|led to|after|so)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(?:in|at|to|from|near|on|outside|behind|under)\s+(?:the\s+)?(?:[A-Z]\w+|\w+)")
_LONGEST = 420


class Remembered(Protocol):
    """What passages need of a memory; `dionysus_mcp.records.Memory` and `Hit` both fit."""

    @property
    def id(self) -> str: ...
    @property
    def content(self) -> str: ...
    @property
    def source(self) -> str | None: ...
    @property
    def occurred_at(self) -> Any: ...
    @property
    def metadata(self) -> Mapping[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A memory as analysis reads it; `when` is an ISO time or `""`, `similarity` a cosine or `None`."""

    id: str
    content: str
    source: str = ""
    when: str = ""
    speaker: str = ""
    context: str = ""
    similarity: float | None = None

    @classmethod
    def of(cls, memory: Remembered | Passage) -> Passage:
        """Read a record of the memory package."""
        if isinstance(memory, Passage):
            return memory
        when = memory.occurred_at
        return cls.from_parts(
            memory.id,
            memory.content,
            memory.source,
            when.isoformat() if when is not None else "",
            {"speaker": getattr(memory, "speaker", None), **memory.metadata},
            getattr(memory, "similarity", None),
        )

    @classmethod
    def from_parts(
        cls, id: str, content: str, source: str | None, when: str | None, metadata: Mapping[str, Any], similarity: Any
    ) -> Passage:
        """Put together what a recall's hit or a record says of a memory."""
        shown = [str(value) for key, value in sorted(metadata.items()) if isinstance(value, str) and key != "speaker"]
        named = re.sub(r":[\d-]+$", "", source or "")
        return cls(
            id,
            content,
            source or "",
            str(when or ""),
            str(metadata.get("speaker") or ""),
            " ".join([*shown, named]),
            float(similarity) if isinstance(similarity, int | float) else None,
        )

    @property
    def context_terms(self) -> frozenset[str]:
        """Stems that the memory carries beside its words: speaker, headings, source, and its day."""
        return frozenset(terms(f"{self.speaker} {self.context}")) | calendar_terms(self.when)


@dataclass(frozen=True, slots=True)
class Excerpt:
    """A verbatim piece of a memory, judged by one question.

    Attributes:
        memory: where it stands.
        quote: the piece, exactly as it stands there.
        coverage: share of the question's words (by rarity) that the piece, or less so the memory around it, has.
        typed: whether it has what the question's kind asks for: 1 yes, 0 no, between for maybe.
        score: all of it together, in [0, 1] about.
    """

    memory: Passage
    quote: str
    coverage: float
    typed: float
    score: float


def spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the spans of the sentences, list items and lines of a text, without their list marks."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in [*_BREAK.finditer(text), None]:
        end = match.start() if match else len(text)
        if match and _ABBREVIATION.search(text[start:end]):
            continue
        piece = text[start:end]
        lead = _MARK.match(piece)
        begin = start + (lead.end() if lead else len(piece) - len(piece.lstrip()))
        finish = end if match is None or "\n" in match.group() else end + len(match.group().rstrip())
        finish = begin + len(text[begin:finish].rstrip())
        if finish > begin and any(c.isalnum() for c in text[begin:finish]):
            found.append((begin, finish))
        start = match.end() if match else end
    return tuple(found)


def sentences(text: str) -> list[str]:
    """Return the sentences, list items and lines of a text, verbatim, without their list marks."""
    return [text[start:end] for start, end in spans(text)]


def stands_in(quote: str, content: str) -> bool:
    """Whether a quote stands verbatim in a text; only white space may differ."""
    wanted = " ".join(quote.split())
    return bool(wanted) and wanted in " ".join(content.split())


def rarity(asked: Iterable[str], memories: Collection[Passage]) -> dict[str, float]:
    """Return a weight per term: the rarer among the memories at hand, the heavier (smoothed inverse frequency)."""
    held = [frozenset(terms(memory.content)) | memory.context_terms for memory in memories]
    return {term: 1.0 + log((len(held) + 1) / (1 + sum(term in words for words in held))) for term in asked}


def best_excerpt(question: Question, memory: Passage, weights: Mapping[str, float]) -> Excerpt | None:
    """Return the piece of one memory that answers best: a sentence, or two neighbours where that tells clearly more."""
    places = spans(memory.content)
    whole = frozenset(terms(memory.content)) | memory.context_terms
    found = [_judge(question, memory, memory.content[a:b], whole, weights) for a, b in places]
    for (start, _), (_, end) in zip(places, places[1:], strict=False):
        if end - start <= _LONGEST:
            pair = _judge(question, memory, memory.content[start:end], whole, weights)
            found.append(Excerpt(pair.memory, pair.quote, pair.coverage, pair.typed, pair.score - 0.08))
    return max(found, key=lambda passage: (passage.score, -len(passage.quote)), default=None)


def rank(question: Question, memories: Collection[Passage]) -> list[Excerpt]:
    """Return the best passage of every memory, the best memory first."""
    weights = rarity(question.terms, memories)
    found = [best_excerpt(question, memory, weights) for memory in memories]
    return sorted((p for p in found if p), key=lambda p: (-p.score, p.memory.id))


def coverage(asked: Iterable[str], words: frozenset[str], weights: Mapping[str, float]) -> float:
    """Return the weighted share of terms that some words cover, in [0, 1]."""
    total = {term: weights.get(term, 1.0) for term in asked}
    return sum(weight * cover(term, words) for term, weight in total.items()) / (sum(total.values()) or 1.0)


def typed(question: Question, quote: str, memory: Passage) -> float:
    """Return whether a piece has the kind of answer that a question wants and that isn't in the question itself."""
    asked = frozenset(question.terms)
    if question.kind is Kind.TIME:
        return 1.0 if says_when(quote) else 0.6 if memory.when else 0.0
    if question.kind is Kind.QUANTITY:
        return 1.0 if any(str(int(n.value)) not in asked for n in numbers(quote)) else 0.5 if re.search(r"\d", quote) else 0.0
    if question.kind is Kind.PERSON:
        return _has_new_name(quote, asked) or (0.8 if memory.speaker and stem(memory.speaker) not in asked else 0.0)
    if question.kind is Kind.REASON:
        return 1.0 if _REASON.search(quote) else 0.4
    if question.kind is Kind.PLACE:
        return _has_new_name(quote, asked) or (0.7 if _PLACE.search(quote) else 0.0)
    # A thing: the piece must say something beyond what was asked.
    new = [term for term in terms(quote) if term not in asked]
    return 1.0 if len(new) >= 2 or question.kind is Kind.CHOICE else 0.5 if new else 0.0


def _has_new_name(quote: str, asked: frozenset[str]) -> float:
    def fresh(found: Iterable[str]) -> bool:
        return any(not (frozenset(terms(name)) & asked) for name in found)

    return 1.0 if fresh(names(quote, opening=False)) else 0.7 if fresh(names(quote)) else 0.0


def _judge(
    question: Question, memory: Passage, quote: str, whole: frozenset[str], weights: Mapping[str, float]
) -> Excerpt:
    words = frozenset(terms(quote))
    near = coverage(question.terms, words, weights)
    around = coverage(question.terms, words | whole, weights)
    covered = near + 0.6 * (around - near)
    kind = typed(question, quote, memory)
    similar = 0.5 if memory.similarity is None else max(0.0, min(1.0, memory.similarity))
    brief = 1.0 - min(len(tokens(quote)), 60) / 60
    heading = len([token for token in tokens(quote) if token.lower() not in STOPWORDS]) < 3
    score = 0.55 * covered + 0.2 * kind + 0.22 * similar + 0.03 * brief - (0.15 if heading else 0.0)
    return Excerpt(memory, quote, covered, kind, score)
