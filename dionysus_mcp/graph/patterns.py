"""Relations that a sentence states in so many words: few patterns, each sound, none where a sentence leaves a doubt.

A sentence that denies, supposes, asks, reports or quotes is passed over as a whole. The subject must begin it, so that
"the man who hates Bob works at Acme" says nothing of Bob.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from dionysus_mcp.graph.finding import Written

_DOUBT = re.compile(
    r"[?\"“”:]|n['’]t\b|\b(?:not|never|no|nobody|none|neither|nor|without|hardly|barely|if|unless|whether|maybe|perhaps|"
    r"might|may|could|would|should|shall|will|must|can|cannot|wish\w*|hop(?:e|es|ed|ing)|wants?|wanted|think\w*|thought|"
    r"believ\w+|guess\w*|suppos\w+|suspect\w*|assum\w+|pretend\w*|claim\w*|says?|said|saying|tells?|told|writes|wrote|"
    r"according|alleg\w+|rumou?r\w*|heard|hears|seems?|appears?|apparently|supposedly|probably|possibly|almost|nearly|"
    r"imagin\w+|dream\w*|jok\w+|kidding|lie[sd]?|lying|false\w*|untrue|wrong\w*|doubt\w*|unlikely|former\w*|previous\w*|"
    r"once|until|ago|ex|fictional|fake|hypothetical\w*|example|or|instead|rather|ignore|disregard|insist\w*|den(?:y|ies|"
    r"ied)|like)\b|\bused to\b"
)
_CLOSED = re.compile(r"\s*(?:$|[.!,;)]|(?:as|since|in|on|with|and|now|because|from|near|where|who|which|while)\b)")
_KIN = (
    "sister brother mother father parent daughter son child wife husband cousin aunt uncle niece nephew grandmother "
    "grandfather friend colleague boss neighbour neighbor roommate mentor teacher student"
).split()
_KINSHIP = "|".join(_KIN)
_WHICH = r"(?:(?:older|younger|elder|little|big|twin|best|good|close|only|old)\s+)?"
_STILL = r"(?:(?:currently|now|still|also)\s+)?"
_KIN_OF = re.compile(rf"\s+is\s+(?:the|a|an)\s+{_WHICH}({_KINSHIP})\s+of\s+")
_OWNS = re.compile(rf"['’]s\s+{_WHICH}({_KINSHIP}),?\s+")
_IS_OWNED = re.compile(rf"['’]s\s+{_WHICH}({_KINSHIP})")
_MINE = re.compile(rf"(?:My|my)\s+{_WHICH}({_KINSHIP}),?\s+")
_IS_MINE = re.compile(rf"\s+is\s+my\s+{_WHICH}({_KINSHIP})")
_IS = re.compile(r"\s+is\s+")
_ALSO = re.compile(r",?\s+\(?(?:also known as|better known as|a\.?k\.?a\.?)\s+", re.IGNORECASE)
_SPELLED = re.compile(r"\s*\(([A-Z][A-Za-z]{1,7})\)")


@dataclass(frozen=True, slots=True)
class Pattern:
    """What stands between subject and object, and what it says of both; `mine` is how a speaker says it of themself."""

    type: str
    between: re.Pattern[str]
    mine: re.Pattern[str] | None = None
    kinds: tuple[str | None, str | None] = (None, None)


def _pattern(type_: str, between: str, mine: str | None = None, subject: str | None = None, of: str | None = None):  # noqa: ANN202
    said = None if mine is None else re.compile(mine)
    return Pattern(type_, re.compile(rf"\s+{between}\s+"), said, (subject, of))


_PATTERNS = (
    _pattern("works_at", rf"{_STILL}works\s+at", rf"I\s+{_STILL}work\s+at\s+", "person", "organisation"),
    _pattern("works_at", rf"{_STILL}works\s+for", rf"I\s+{_STILL}work\s+for\s+", "person"),
    _pattern("lives_in", rf"{_STILL}lives\s+in", rf"I\s+{_STILL}live\s+in\s+", "person", "place"),
    _pattern("born_in", r"was\s+born\s+in", r"I\s+was\s+born\s+in\s+", "person", "place"),
    _pattern("married_to", r"is\s+married\s+to", r"I(?:['’]m|\s+am)\s+married\s+to\s+", "person", "person"),
    _pattern("member_of", r"is\s+a\s+member\s+of", r"I(?:['’]m|\s+am)\s+a\s+member\s+of\s+"),
    _pattern("founded", r"founded", r"I\s+founded\s+"),
    _pattern("founded_by", r"was\s+founded\s+by"),
    _pattern("part_of", r"is\s+(?:a\s+)?part\s+of"),
    _pattern("located_in", r"is\s+(?:located|based)\s+in", None, None, "place"),
    _pattern("depends_on", r"depends\s+on"),
    _pattern("uses", r"uses", None),
    _pattern("replaces", r"replaces", None),
)


@dataclass(frozen=True, slots=True)
class Said:
    """A relation that a sentence states; the kinds are what it makes of both, if anything."""

    subject: str
    type: str
    object: str
    kinds: tuple[str | None, str | None] = (None, None)


def said_in(text: str, first: int, last: int, names: Sequence[Written], speaker: str | None) -> list[Said]:
    """The relations of one sentence of a text.

    Args:
        text: The whole text.
        first: Where the sentence begins.
        last: Where it ends.
        names: Written in the sentence, in their order.
        speaker: Who says it, if known: their "I" and "my" are they.
    """
    if not names or _DOUBT.search(text, first, last):
        return []
    found = list(_aliases(text, last, names))
    if speaker is not None:
        found += _of_speaker(text, first, last, names[0], speaker)
    if names[0].first == first:
        found += _of_subject(text, last, names)
    return [one for one in found if one.subject != one.object]


def _of_subject(text: str, last: int, names: Sequence[Written]) -> Iterator[Said]:
    subject = names[0]
    for other in names[1:2]:
        between = text[subject.last : other.first]
        for pattern in _PATTERNS:
            if pattern.between.fullmatch(between) and _is_closed(text, other.last, last):
                yield Said(subject.name, pattern.type, other.name, pattern.kinds)
        if (kin := _KIN_OF.fullmatch(between)) and _is_closed(text, other.last, last):
            yield _kin(subject.name, kin[1], other.name)
        if (kin := _OWNS.fullmatch(between)) and _is_full(text, other.last):
            yield _kin(other.name, kin[1], subject.name)
        owned = _IS_OWNED.match(text, other.last, last) if _IS.fullmatch(between) else None
        if owned and _is_closed(text, owned.end(), last):
            yield _kin(subject.name, owned[1], other.name)


def _of_speaker(text: str, first: int, last: int, name: Written, speaker: str) -> Iterator[Said]:
    before = text[first : name.first]
    for pattern in _PATTERNS:
        if pattern.mine and pattern.mine.fullmatch(before) and _is_closed(text, name.last, last):
            yield Said(speaker, pattern.type, name.name, pattern.kinds)
    if (kin := _MINE.fullmatch(before)) and _is_full(text, name.last):
        yield _kin(name.name, kin[1], speaker)
    mine = _IS_MINE.match(text, name.last, last) if name.first == first else None
    if mine and _is_closed(text, mine.end(), last):
        yield _kin(name.name, mine[1], speaker)


def _aliases(text: str, last: int, names: Sequence[Written]) -> Iterator[Said]:
    for one, other in pairwise(names):
        if _ALSO.fullmatch(text[one.last : other.first]) and _is_full(text, other.last):
            yield Said(other.name, "alias_of", one.name)
    for one in names:
        short = _SPELLED.match(text, one.last, last)
        if short and short[1].isupper() and short[1] == _initials(one.name):
            yield Said(short[1], "alias_of", one.name)


def _initials(name: str) -> str:
    letters: list[str] = [word[0] for word in name.split() if word[0].isupper()]
    return "".join(letters)


def _kin(subject: str, kin: str, of: str) -> Said:
    spelled = "neighbour" if kin == "neighbor" else kin
    return Said(subject, f"{spelled}_of", of, ("person", "person"))


def _is_closed(text: str, at: int, last: int) -> bool:
    """Whether what follows can't turn the object into something else: "Acme's rival", "Acme Street bakery"."""
    return _CLOSED.match(text, at, last) is not None


def _is_full(text: str, at: int) -> bool:
    """Whether a name ends here, and doesn't own what follows."""
    return not text.startswith(("'s", "’s"), at)
