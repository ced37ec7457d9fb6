"""Which text says all that another one says, and which words tell two texts apart. Pure; the heart of consolidation.

The rule errs on one side only: where a word could make a difference, the two are not the same.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from dionysus_mcp.consolidation.wording import Sentence, sentences

_LONGER = 4
"""Times as many words a text may have that takes another's place: in a longer one a fact is harder to find."""
_WHOLE_WORDS = 3
"""Words below which a sentence is no more than an answer to something."""
_SHOWN = 12

# Words that point at something said elsewhere, or answer it.
POINTING = frozenset(
    """
    he she it they him her his hers them their theirs its himself herself itself themselves this that these those
    there here then such same so yes no yeah yep nope ok okay sure too also one ones former latter other another both
    either neither above below again else instead likewise
    """.split()
)
# Words whose meaning depends on when they are said.
RELATIVE_TIME = frozenset(
    """
    today tonight tomorrow yesterday now nowadays currently recently lately soon ago last next this just already yet
    still day days week weeks weekend month months year years morning afternoon evening night hour hours minute minutes
    monday tuesday wednesday thursday friday saturday sunday
    """.split()
)
# After one of these in a further sentence, what was said before may no longer hold.
_TURNS = frozenset(
    """
    not no never none nothing nobody nowhere neither nor without but however although though instead actually rather
    kidding joke joking jokes wrong false mistake mistaken incorrect untrue except unless if until only cancelled
    canceled anymore longer former formerly previously used correction corrected changed moved updated update scrap
    ignore forget lie lied lying sarcasm said says say wrote writes told tells quote quoted pretend imagine maybe
    perhaps possibly doubt doubtful supposedly allegedly yet still once meanwhile since psych fools fiction novel story
    dream dreamt dreamed ? "
    """.split()
)
# One of these, or an ending of verbs, is in nearly every sentence that states something by itself. "Max and Daisy" or
# "At the lake" states nothing without the question that it answers.
_STATING = frozenset(
    """
    i we you am is are was were be been has have had do does did can could will would shall should may might must
    cannot let began bought brought built came chose drank drove ate fell felt found flew forgot gave got grew heard
    held kept knew led left lent lost made meant met paid put quit ran rang read rode said sang sat saw sent set
    slept sold spent spoke stood stole swam taught told took thought threw understood went woke won wore wrote like
    love hate want need live work know think hope owe
    """.split()
)
_VERBAL = ("s", "ed")
NEGATIONS = frozenset("not no never none nothing nobody nowhere neither nor without hardly barely".split())
_NUMBER = re.compile(r"\d")


def covers(survivor: Sequence[Sentence], other: Sequence[Sentence]) -> bool:
    """Whether a text says all that another one says, word by word, and nothing that may take it back.

    The survivor begins with the other's sentences; what it adds turns nothing around and keeps it short enough to be
    found by what the other said.
    """
    if not other or len(survivor) < len(other):
        return False
    if not all(mine.covers(its) for mine, its in zip(survivor, other, strict=False)):
        return False
    added = survivor[len(other) :]
    if any(word.lower() in _TURNS for sentence in added for word in sentence.words):
        return False
    return _length(survivor) <= _LONGER * _length(other)


def stands_alone(text: Sequence[Sentence], *, dated: bool) -> bool:
    """Whether a text means the same wherever it stands: it points at nothing outside, and says enough.

    Args:
        text: What is asked about.
        dated: Whether it is known when it was said, so that "yesterday" means a day.
    """
    return bool(text) and all(_alone(sentence, dated=dated) for sentence in text)


def differing(one: str, other: str) -> list[str]:
    """Words that one of two texts has and the other hasn't, as many as fit a line; their order if only that differs."""
    first, second = (Counter(word for each in sentences(text) for word in each.words) for text in (one, other))
    words = list((first - second).keys()) + list((second - first).keys())
    return words[:_SHOWN] or (["the order of words"] if sentences(one) != sentences(other) else [])


def negated(words: Iterable[str]) -> bool:
    """Whether a sentence denies: whether it has an odd number of negations."""
    return sum(word.lower() in NEGATIONS for word in words) % 2 == 1


def numbers(words: Iterable[str]) -> frozenset[str]:
    """All words with a digit."""
    return frozenset(word for word in words if _NUMBER.search(word))


def names(sentence: Sentence) -> frozenset[str]:
    """Words with a capital within a sentence; its first word may be a name or not."""
    return frozenset(word for word in sentence.words[1:] if word[:1].isupper() and word != "I")


def _alone(sentence: Sentence, *, dated: bool) -> bool:
    lowered = {word.lower() for word in sentence.words}
    spoken = sum(any(character.isalnum() for character in word) for word in sentence.words)
    if spoken < _WHOLE_WORDS or "?" in lowered or lowered & POINTING or not _states(sentence):
        return False
    return dated or not lowered & RELATIVE_TIME


def _states(sentence: Sentence) -> bool:
    """Whether it may have a verb: an answer to a question often has none, and means nothing elsewhere."""
    endings = (word for word in sentence.words[1:] if word.islower() and len(word) > len("ss"))
    return any(word.lower().partition("'")[0] in _STATING for word in sentence.words) or any(
        word.endswith(_VERBAL) for word in endings
    )


def _length(text: Sequence[Sentence]) -> int:
    return sum(len(sentence.words) for sentence in text)
