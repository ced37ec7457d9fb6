"""Names and noun phrases in a text, without a model: what is written like a name, and what a determiner leads.

Precision over recall. A word that has a capital letter only because a sentence begins with it is a name only where it
is known as one from elsewhere; `Written.sure` tells.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from dionysus_mcp.graph import names
from dionysus_mcp.graph.wordlists import (
    DETERMINERS,
    ENDING,
    FIRMS,
    HONORIFICS,
    INSIDE,
    QUALITIES,
    STARTERS,
    TIMES,
    VAGUE,
)
from dionysus_mcp.recall.terms import FUNCTION_WORDS

_WORD = re.compile(r"[^\W_]+(?:[.&’'-][^\W_]+)*")
_OWNING = re.compile(r"['’]s$")
_CODE = re.compile(r"`([^`\s]{2,60})`")
_TITLE = re.compile(r"[\"“]([^\"“”\n]{3,60})[\"”]")
_MOST_WORDS = 5
"""Words of a name; longer runs of capitals are headings."""
_PHRASE = (2, 3)


@dataclass(frozen=True, slots=True)
class Word:
    """A word of a sentence; `first` and `last` are its place in the whole text, without an owner's s."""

    text: str
    first: int
    last: int

    @property
    def plain(self) -> str:
        """Without capitals."""
        return self.text.casefold()

    @property
    def is_capital(self) -> bool:
        """Whether it is written like a name: Ann, WHO, iPhone; not "I" and not a time."""
        if self.plain in TIMES or self.plain == "i" or self.plain.startswith(("i'", "i’")):
            return False
        return self.text[0].isupper() or any(each.isupper() for each in self.text[1:])


@dataclass(frozen=True, slots=True)
class Written:
    """A name or phrase as it stands in a text, from `first` to `last`.

    Attributes:
        sure: Whether its capital letter can only mean a name.
        begins: Whether a sentence begins with it.
        how: "name" or "phrase".
    """

    name: str
    first: int
    last: int
    kind: str = "thing"
    sure: bool = True
    begins: bool = False
    how: str = "name"

    @property
    def key(self) -> str:
        """The name's normal form."""
        return names.key_of(self.name)


def written_in(text: str, first: int, last: int) -> list[Written]:
    """The names and phrases of one sentence of a text, in their order."""
    words = _words(text, first, last)
    found = list(_marked(text, first, last))
    if not _is_heading(words):
        found += _names(text, words, first)
    found += _phrases(text, words)
    return sorted((one for one in found if one.key and len(one.name) <= names.LONGEST), key=lambda one: one.first)


def without_first_word(one: Written) -> Written | None:
    """A name less its first word, which may have its capital from the sentence that it begins."""
    head, _, rest = one.name.partition(" ")
    return replace(one, name=rest, first=one.first + len(head) + 1, begins=False) if rest else None


def _words(text: str, first: int, last: int) -> list[Word]:
    words: list[Word] = []
    for found in _WORD.finditer(text, first, last):
        bare = _OWNING.sub("", found.group())
        words.append(Word(bare, found.start(), found.start() + len(bare)))
    return [word for word in words if word.text]


def _is_heading(words: list[Word]) -> bool:
    """Whether nearly all is written with capitals, so that they tell nothing."""
    content = [word for word in words if word.plain not in FUNCTION_WORDS]
    loud = len(words) > 2 and all(word.text.isupper() for word in words)
    titled = len(words) >= _MOST_WORDS and all(word.text[0].isupper() for word in words)
    return loud or titled or (len(content) >= _MOST_WORDS and all(word.is_capital for word in content))


def _names(text: str, words: list[Word], start: int) -> Iterator[Written]:
    for run in _runs(text, words):
        begins = bool(words) and run[0] is words[0]
        # "WHO" may be one, and "NOT" is only loud: known is what was written elsewhere.
        loud = len(run) == 1 and run[0].plain in STARTERS and run[0].text.isupper()
        while run and not loud and (run[0].plain in STARTERS or run[0].plain in TIMES):
            run, begins = run[1:], False
        while run and run[-1].plain in INSIDE:
            run = run[:-1]
        if not run or len(run) > _MOST_WORDS or all(len(word.text) < 2 for word in run):
            continue
        name = text[run[0].first : run[-1].last]
        yield Written(
            " ".join(name.split()), run[0].first, run[-1].last, _kind(run), sure=not (begins or loud), begins=begins
        )


def _runs(text: str, words: list[Word]) -> Iterator[list[Word]]:
    """Words with capitals that stand side by side, with the small words that names have inside."""
    run: list[Word] = []
    for word, following in pairwise([*words, None]):
        if word is None:
            break
        joined = bool(run) and _side_by_side(text, run[-1], word)
        inside = word.plain in INSIDE and following is not None and following.is_capital
        if run and not (joined and (word.is_capital or inside)):
            yield run
            run = []
        if word.is_capital or (run and inside):
            run = [*run, word]
    if run:
        yield run


def _side_by_side(text: str, one: Word, other: Word) -> bool:
    between = text[one.last : other.first]
    return between == " " or (between == ". " and one.plain in HONORIFICS)


def _kind(run: list[Word]) -> str:
    if run[0].plain in HONORIFICS:
        return "person"
    return "organisation" if any(word.plain in FIRMS for word in run) else "thing"


def _phrases(text: str, words: list[Word]) -> Iterator[Written]:
    """Two or three plain words that a determiner leads and a small word or a mark ends."""
    for place, word in enumerate(words):
        if word.plain in DETERMINERS:
            phrase = _led_by(text, words, place)
            while phrase and phrase[0].plain in QUALITIES:
                phrase = phrase[1:]
            if _PHRASE[0] <= len(phrase) <= _PHRASE[1] and _is_noun(phrase[-1].plain):
                name = text[phrase[0].first : phrase[-1].last]
                yield Written(name, phrase[0].first, phrase[-1].last, "concept", how="phrase")


def _led_by(text: str, words: list[Word], place: int) -> list[Word]:
    phrase: list[Word] = []
    for before, word in pairwise(words[place:]):
        if text[before.last : word.first] != " " or word.plain in FUNCTION_WORDS | ENDING:
            break
        if not (word.text.isalpha() and word.text.islower() and len(word.text) > 2) or word.plain in TIMES:
            return []  # a name, a number or a time goes on with it: what is left isn't the whole of it
        phrase.append(word)
    return phrase


def _is_noun(last: str) -> bool:
    """Whether a word can end a noun phrase, as far as its ending tells."""
    return last not in VAGUE and last not in QUALITIES and not last.endswith(("ly", "ed"))


def _marked(text: str, first: int, last: int) -> Iterable[Written]:
    """What a writer marks as a name: code in backticks, titles in quotation marks."""
    for found in _CODE.finditer(text, first, last):
        yield Written(found[1], found.start(1), found.end(1))
    for found in _TITLE.finditer(text, first, last):
        if _is_title(found[1].split()):
            yield Written(found[1], found.start(1), found.end(1))


def _is_title(said: list[str]) -> bool:
    return (
        0 < len(said) <= _MOST_WORDS + 1
        and said[0].casefold() not in STARTERS
        and all(word[0].isupper() or word.casefold() in FUNCTION_WORDS for word in said)
    )
