"""A text as what it states, sentence by sentence: two wordings are the same only where nothing could tell them apart.

Everything that may carry a fact stays as it is: every word with its ending, numbers, signs, names, negations, the order
of words. What is put aside is spelling alone: blanks, shapes of quotes, the mark that ends a statement, contractions,
numbers up to a hundred as words, and a few phrases that open a sentence and state nothing. Pure, knows no store.
"""

import re
import unicodedata
from dataclasses import dataclass

from dionysus_mcp.recall.passages import spans

_TOKEN = re.compile(r"\w+(?:['.,:/@&+-]\w+)*|[^\w\s]")
_SAME_SHAPE = str.maketrans({"‘": "'", "’": "'", "\u02bc": "'", "“": '"', "”": '"', "„": '"', "…": "..."})
_BULLET = re.compile(r"^[-*•]\s+(?=[^\W\d])")
_END = re.compile(r"(?:\.|\s|(?<!\d)!)+$")
"""Of a statement; the mark after a number may be a factorial."""

_NUMBERS = {
    **{word: str(number) for number, word in enumerate("two three four five six seven eight nine ten".split(), 2)},
    **{
        word: str(number)
        for number, word in enumerate(
            "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(), 11
        )
    },
    **{
        word: str(10 * number)
        for number, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)
    },
}
"""Not "one", which is mostly no number, nor what is put together of several words."""

_WHOLE = {"can't": ("can", "not"), "cannot": ("can", "not"), "won't": ("will", "not"), "I'm": ("I", "am")}
_ENDINGS = (("n't", "not"), ("'re", "are"), ("'ll", "will"), ("'ve", "have"))
"""Only those with one meaning: "'s" may be "is", "has" or a genitive, "'d" may be "had" or "would"."""

_OPENINGS = tuple(
    tuple(phrase.split())
    for phrase in (
        "please note that",
        "just so you know ,",
        "by the way ,",
        "remember that",
        "remember :",
        "reminder :",
        "note that",
        "note :",
        "fyi ,",
        "fyi :",
        "please",
        "well ,",
        "okay ,",
        "ok ,",
        "hey ,",
        "oh ,",
    )
)
_NO_COMMA = frozenset({"but", "because", "too", "please"})


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence as it is compared.

    Attributes:
        words: What it states, in order; the first word without the capital that it has as the first.
        capital: Whether the first word had one. "Polish" may then be a name or not; without one it isn't.
    """

    words: tuple[str, ...]
    capital: bool

    def covers(self, other: "Sentence") -> bool:
        """Whether it states all that another one does."""
        return self.words == other.words and (self.capital or not other.capital)


def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text in their order; nothing of the text is left out."""
    found: list[Sentence] = []
    start = 0
    for _, end in spans(text):
        found.append(_sentence(text[start:end]))
        start = end
    rest = _sentence(text[start:])
    return tuple(found) if not rest.words else (*found, rest)


def _sentence(raw: str) -> Sentence:
    text = unicodedata.normalize("NFC", raw).translate(_SAME_SHAPE).strip()
    tokens = _TOKEN.findall(_END.sub("", _BULLET.sub("", text)))
    tokens = _without_opening([part for token in tokens for part in _expanded(token)])
    if len(tokens) > 1 and tokens[0] in {"The", "the"} and tokens[1] in {"user", "user's"}:
        tokens = [tokens[1].capitalize(), *tokens[2:]]
    if not tokens:
        return Sentence((), capital=False)
    after = [*tokens[1:], ""]
    tokens = [one for one, following in zip(tokens, after, strict=True) if one != "," or following not in _NO_COMMA]
    first = tokens[0]
    capital = first[:1].isupper() and (first[1:].islower() or (len(first) == 1 and first != "I"))
    words = [first[0].lower() + first[1:] if capital else first, *tokens[1:]]
    capital = capital and words[0] not in _NUMBERS
    return Sentence(tuple(_NUMBERS.get(word, word) for word in words), capital)


def _expanded(token: str) -> tuple[str, ...]:
    first = token[:1].lower() + token[1:]
    if token in _WHOLE:
        return _WHOLE[token]
    if first in _WHOLE and first != token:
        head, *rest = _WHOLE[first]
        return (head.capitalize(), *rest)
    for ending, word in _ENDINGS:
        if token.endswith(ending) and token[: -len(ending)].isalpha() and first != "ain't" and first != "shan't":
            return (token[: -len(ending)], word)
    return (token,)


def _without_opening(tokens: list[str]) -> list[str]:
    lowered = [token.lower() for token in tokens[:6]]
    for phrase in _OPENINGS:
        if tuple(lowered[: len(phrase)]) == phrase and len(tokens) > len(phrase):
            return tokens[len(phrase) :]
    return tokens
