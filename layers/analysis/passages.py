"""Passages: the shortest piece of a memory that answers a question, verbatim, and how well it does."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from math import log
from typing import Any, Protocol

from layers.analysis.facts import asks_time, calendar_terms, dates, gives, is_negated, names, numbers, says_when
from layers.analysis.questions import Kind, Question
from layers.analysis.words import LIGHT, STOPWORDS, cover, kinship, stem, terms, tokens

_BREAK = re.compile(
    r"(?<=[.!?])[\"”’)]*\s+(?=[\"“(\[A-Z0-9À-Þ*`])|\n+[^\S\n]*(?:[-*+•>]\s+|\d+[.)]\s+|#+\s+|\|)|\n{2,}"
)
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|etc|approx|e\.g|i\.e|[A-Z])\.[\"”’)]*$")
_MARK = re.compile(r"^(?:[\s\-+•>#|]|\*(?=\s))+(?=\S)")  # stars before a word are the half of an emphasis
_REASON = re.compile(
    r"\b(?:because|since|due to|so that|in order to|reason|caused?|owing to|thanks to|therefore|as a result|to avoid|"
    r"avoids?|led to|after|so)\b",
    re.IGNORECASE,
)
_POINTS_BACK = re.compile(
    r"(?:it|its|she|her|he|his|they|their|this|that|these|those|instead|therefore|so|but|however|then|there|since|both|also)\b",
    re.IGNORECASE,
)
_INSTEAD = re.compile(r"\b(?:instead|rather|however|therefore|because)\b", re.IGNORECASE)
_PAIR_COST = {False: -0.05, True: 0.04}  # two sentences must tell clearly more than one, unless they belong together
_PLACE = re.compile(r"\b(?:in|at|to|from|near|on|outside|behind|under)\s+(?:the\s+)?(?:[A-Z]\w+|\w+)")
_LONGEST = 420


class Remembered(Protocol):
    """What passages need of a memory; `dionysus_mcp.records.Memory` and `Hit` both fit."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def content(self) -> str:
        """Its text."""
        ...

    @property
    def source(self) -> str | None:
        """Where it came from."""
        ...

    @property
    def occurred_at(self) -> Any:
        """When what it tells happened, a datetime or `None`."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What is noted beside the text."""
        ...


@dataclass(frozen=True, slots=True)
class Passage:
    """A memory as analysis reads it.

    Attributes:
        when: an ISO time or `""`.
        context: what stands around the content: headings, the file's name.
        similarity: the cosine of the memory with the question, `None` where it isn't known.
        standing: the score that its recall gave it beside the other hits, in (0, 1); `None` where it isn't known.
        pieces: pieces of the content and their cosines with the question, the nearest.
        named: the same with the question's names alone; empty where no recall asked for them.
    """

    id: str
    content: str
    source: str = ""
    when: str = ""
    speaker: str = ""
    context: str = ""
    similarity: float | None = None
    standing: float | None = None
    pieces: tuple[tuple[str, float], ...] = ()
    named: tuple[tuple[str, float], ...] = ()

    def nearness(self, quote: str) -> float | None:
        """Return the cosine of a quote with the question; `None` where recall didn't tell it."""
        near = _overlapping(quote, self.pieces)
        # Recall tells of the nearest pieces: another piece of the same memory is farther than these.
        return near if near is not None or not self.pieces else min(cosine for _, cosine in self.pieces)

    def gain(self, quote: str) -> float | None:
        """Return how much nearer a quote is to the question than to its names alone, a difference of cosines.

        A memory of the person who was asked about is near whatever was asked; only the rest of the question can tell
        whether it answers. `None` where no recall asked for the names.
        """
        near = self.nearness(quote)
        if near is None or not self.named:
            return None
        return near - (_overlapping(quote, self.named) or 0.0)

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
            getattr(memory, "score", None),
        )

    @classmethod
    def from_parts(
        cls,
        memory_id: str,
        content: str,
        source: str | None,
        when: str | None,
        metadata: Mapping[str, Any],
        similarity: Any = None,
        standing: Any = None,
    ) -> Passage:
        """Put together what a recall's hit or a record says of a memory."""
        shown = [text for key, value in sorted(metadata.items()) if key != "speaker" for text in _texts(value)]
        # Of a path only the file's name tells of its contents; the folders tell of the machine.
        named = re.sub(r":[\d-]+$", "", source or "").rsplit("/", 1)[-1]
        return cls(
            memory_id,
            content,
            source or "",
            str(when or ""),
            str(metadata.get("speaker") or ""),
            " ".join([*shown, named]),
            float(similarity) if isinstance(similarity, int | float) else None,
            float(standing) if isinstance(standing, int | float) else None,
        )

    @property
    def context_terms(self) -> frozenset[str]:
        """Stems that the memory carries beside its words: speaker, headings, source, and its day."""
        days = (self.when, *dates(f"{self.content} {self.context}"))
        named = frozenset(term for day in days for term in calendar_terms(day))
        return frozenset(terms(f"{self.speaker} {self.context}")) | named

    @property
    def all_terms(self) -> frozenset[str]:
        """Stems of its words and of what it carries beside them."""
        return frozenset(terms(self.content)) | self.context_terms


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


def rarity(question: Question, memories: Collection[Passage]) -> dict[str, float]:
    """Return a weight per term of a question: the rarer among the memories at hand, the heavier.

    The weight is a smoothed inverse frequency; words that only lead up to the question weigh less.
    """
    held = [memory.all_terms for memory in memories]
    return {
        term: (0.3 if term in question.aside else 0.5 if term in LIGHT else 1.0)
        * (1.0 + log((len(held) + 1) / (1 + sum(term in words for words in held))))
        for term in question.terms
    }


def best_excerpt(question: Question, memory: Passage, weights: Mapping[str, float]) -> Excerpt | None:
    """Return the piece of one memory that answers best: a sentence, or two neighbours where that tells clearly more."""
    places = spans(memory.content)
    whole = memory.all_terms
    singles = [_judge(question, memory, memory.content[a:b], whole, weights) for a, b in places]
    found = list(singles)
    for one, other, (start, first_end), (second_start, end) in zip(
        singles, singles[1:], places, places[1:], strict=False
    ):
        # Two items of a list, or two paragraphs, are no neighbours: what stands between them parts them.
        apart = "\n\n" in memory.content[first_end:second_start] or memory.content[first_end:second_start].strip()
        if end - start <= _LONGEST and not apart:
            pair = _judge(question, memory, memory.content[start:end], whole, weights)
            found.append(replace(pair, score=pair.score + _PAIR_COST[_belongs(one, other)]))
    return max(found, key=lambda passage: (passage.score, -len(passage.quote)), default=None)


def widened(question: Question, excerpt: Excerpt) -> Excerpt:
    """Return an excerpt with the sentence after it, where its own words leave some of the question uncovered.

    What a note says next is most often on the same matter: the sentence that has the question's words leads to the one
    that has the answer.
    """
    words = frozenset(terms(excerpt.quote))
    if all(covers(term, words, excerpt.quote) >= 0.7 for term in question.subject_terms):
        return excerpt
    content = excerpt.memory.content
    start = content.find(excerpt.quote)
    end = start + len(excerpt.quote)
    following = next(((a, b) for a, b in spans(content) if a >= end), None)
    if start < 0 or following is None or following[1] - start > _LONGEST:
        return excerpt
    return replace(excerpt, quote=content[start : following[1]])


def _belongs(one: Excerpt, other: Excerpt) -> bool:
    """Whether a second sentence needs the first: it answers as well but points back, or it says what is so instead."""
    if not _POINTS_BACK.match(other.quote):
        return False
    return other.score >= one.score or is_negated(one.quote) or _INSTEAD.search(other.quote) is not None


def rank(question: Question, memories: Collection[Passage]) -> list[Excerpt]:
    """Return the best passage of every memory, the best memory first."""
    weights = rarity(question, memories)
    found = [best_excerpt(question, memory, weights) for memory in memories]
    return sorted((p for p in found if p), key=lambda p: (-p.score, p.memory.id))


def covers(term: str, words: frozenset[str], text: str) -> float:
    """Return how well a text with these stems covers a term, in [0, 1].

    It is covered by a word, or by a value of the kind it asks for.
    """
    return max(cover(term, words), 0.9 if gives(term, text) else 0.0)


def coverage(asked: Iterable[str], words: frozenset[str], weights: Mapping[str, float], text: str) -> float:
    """Return the weighted share of terms that a text covers, in [0, 1]."""
    total = {term: weights.get(term, 1.0) for term in asked}
    return sum(weight * covers(term, words, text) for term, weight in total.items()) / (sum(total.values()) or 1.0)


def typed(question: Question, quote: str, memory: Passage) -> float:
    """Return whether a piece has the kind of answer that a question wants and that isn't in the question itself."""
    asked = frozenset(question.terms)
    if question.kind is Kind.TIME:
        wanted = [term for term in question.terms if asks_time(term)]
        if says_when(quote) and all(gives(term, quote) for term in wanted):
            return 1.0
        return 0.6 if memory.when and not wanted else 0.0
    if question.kind is Kind.QUANTITY:
        return _quantity(question, quote)
    if question.kind is Kind.PERSON:
        return _has_new_name(quote, asked) or (0.8 if memory.speaker and stem(memory.speaker) not in asked else 0.0)
    if question.kind is Kind.REASON:
        return 1.0 if _REASON.search(quote) else 0.4
    if question.kind is Kind.PLACE:
        return _has_new_name(quote, asked) or (0.7 if _PLACE.search(quote) else 0.0)
    # A thing: the piece must say something beyond what was asked.
    new = [term for term in terms(quote) if term not in asked]
    return 1.0 if len(new) >= 2 or question.kind is Kind.CHOICE else 0.5 if new else 0.0


def _overlapping(quote: str, pieces: Iterable[tuple[str, float]]) -> float | None:
    quote = " ".join(quote.split())
    cosines = [cosine for text, cosine in pieces if text in quote or quote in text]
    return max(cosines, default=None)


def _texts(value: Any) -> list[str]:
    """Return the texts of a metadata value: a title, a list of headings."""
    return [each for each in (value if isinstance(value, list | tuple) else [value]) if isinstance(each, str)]


def _quantity(question: Question, quote: str) -> float:
    fresh = [number for number in numbers(quote) if f"{number.value:g}" not in question.terms]
    if question.counted and fresh:
        return 1.0 if any(kinship(question.counted, number.unit) for number in fresh) else 0.5
    return 1.0 if fresh else 0.5 if re.search(r"\d", quote) else 0.0


def _has_new_name(quote: str, asked: frozenset[str]) -> float:
    def fresh(found: Iterable[str]) -> bool:
        return any(not (frozenset(terms(name)) & asked) for name in found)

    return 1.0 if fresh(names(quote, opening=False)) else 0.7 if fresh(names(quote)) else 0.0


def _judge(
    question: Question, memory: Passage, quote: str, whole: frozenset[str], weights: Mapping[str, float]
) -> Excerpt:
    words = frozenset(terms(quote))
    near = coverage(question.terms, words, weights, quote)
    around = coverage(question.terms, words | whole, weights, quote)
    covered = near + 0.5 * (around - near)
    kind = typed(question, quote, memory)
    near = memory.nearness(quote)
    similar = 0.35 if near is None else max(0.0, min(1.0, near))
    brief = 1.0 - min(len(tokens(quote)), 60) / 60
    heading = len([token for token in tokens(quote) if token.lower() not in STOPWORDS]) < 3
    unnamed = sum(cover(term, words | whole) < 0.7 for term in question.name_terms) / (len(question.name_terms) or 1)
    stands = 0.5 if memory.standing is None else min(max(memory.standing, 0.01), 0.99)
    found = 0.4 * covered + 0.2 * kind + 0.5 * similar + 0.05 * log(stands / (1 - stands)) + 0.03 * brief
    score = found - (0.15 if heading else 0.0) - 0.2 * unnamed
    return Excerpt(memory, quote, covered, kind, score)
