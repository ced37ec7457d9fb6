"""What recall knows of a memory beside its text: the words to embed, its stems as numbers, and a few traits.

Worked out once, when the memory is indexed, so that a query computes with numbers alone. Names of those who speak are
left out of what is embedded: who said it is known from the memory itself, and a name outweighs what was said.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntFlag
from typing import TYPE_CHECKING, Any
from zlib import crc32

from dionysus_mcp.recall.terms import FUNCTION_WORDS, Stemmer, all_words, single_characters

if TYPE_CHECKING:
    import numpy as np

MAX_TERMS = 600
"""Stems of one memory that are kept; a longer one is found by its beginning, by the text index, and by its vectors."""

_BLANKS = re.compile(r"\s+")
_TIME = re.compile(
    r"\b(yesterday|today|tonight|tomorrow|last|next|ago|days?|weeks?|weekends?|months?|years?|recently|since|soon|just|"
    r"(?:mon|tues|wednes|thurs|fri|satur|sun)day|january|february|march|april|may|june|july|august|september|october|"
    r"november|december|\d{4})\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(\d+|one|two|three|four|five|six|seven|eight|nine|ten|once|twice|several|few|couple)\b", re.IGNORECASE
)
_NAME_WITHIN = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+")


class Trait(IntFlag):
    """What can be seen in a text without understanding it."""

    QUESTION = 1
    TIME = 2
    NUMBER = 4
    NAME = 8


@dataclass(frozen=True, slots=True)
class View:
    """One memory as recall computes with it.

    Attributes:
        plain: What is embedded.
        terms: Stems as numbers, shape `(n,)` uint32, in order, repeated as often as they occur.
        traits: `Trait` bits.
    """

    plain: str
    terms: "np.ndarray[Any, Any]"
    traits: int


@dataclass(frozen=True, slots=True)
class Told:
    """A memory's text with who said it and what stands around it (headings, without the speaker)."""

    content: str
    headings: str
    names: frozenset[str]


def name_words(speakers: Iterable[str | None]) -> frozenset[str]:
    """How speakers are called: by their whole name and by its first word."""
    known = [speaker.strip() for speaker in speakers if speaker and speaker.strip()]
    return frozenset(known) | frozenset(name.split()[0] for name in known)


def without(text: str, names: Iterable[str]) -> str:
    """A text without some names, nor the `'s` after them; the text itself where nothing would be left."""
    # The longest first: a whole name goes before the first word of it.
    ordered = sorted(names, key=lambda name: (-len(name), name))
    if not ordered:
        return text
    pattern = "|".join(re.escape(name) for name in ordered)
    left = _BLANKS.sub(" ", re.sub(rf"(?<!\w)(?:{pattern})(?:['’]s)?(?!\w)", "", text)).strip()
    return left if any(character.isalnum() for character in left) else text


def number_of(stem: str) -> int:
    """The number that stands for a stem; two stems may share one, about once in four billion pairs."""
    return crc32(stem.encode())


def views(told: Sequence[Told], stemmer: Stemmer) -> list[View]:
    """The views of several memories; their words are stemmed together."""
    texts = [_plain(one) for one in told]
    found = [_words(text) for text in texts]
    stems = stemmer.stems(sorted({word for words in found for word in words}))
    return [
        View(text, _numbers(words, stems), traits(one.content))
        for one, text, words in zip(told, texts, found, strict=True)
    ]


def traits(content: str) -> int:
    """The traits of a text."""
    seen = {
        Trait.QUESTION: content.rstrip(" \"'”’)").endswith("?"),
        Trait.TIME: _TIME.search(content) is not None,
        Trait.NUMBER: _NUMBER.search(content) is not None,
        Trait.NAME: _NAME_WITHIN.search(content) is not None,
    }
    return int(sum(trait for trait, present in seen.items() if present))


def _plain(one: Told) -> str:
    content = without(one.content, one.names)
    return f"{one.headings}\n{content}" if one.headings else content


def _words(text: str) -> list[str]:
    words = (word.casefold() for word in (*all_words(text), *single_characters(text)))
    return [word for word in words if word not in FUNCTION_WORDS][:MAX_TERMS]


def _numbers(words: Sequence[str], stems: Mapping[str, str]) -> "np.ndarray[Any, Any]":
    import numpy as np

    return np.array([number_of(stems[word]) for word in words if word in stems], dtype="<u4")
