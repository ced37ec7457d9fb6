"""The question in the speaker's own person: people say "I went", and are asked about as "When did Caroline go?".

An embedder puts "When did I go?" much nearer to "I went yesterday" than the question by name. Done only where the
question names someone who speaks in memory: in a store of documents nobody is "I".
"""

import itertools
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from dionysus_mcp.recall.terms import FUNCTION_WORDS
from dionysus_mcp.recall.views import without

_OWNER = re.compile(r"\b(his|her|their)\b", re.IGNORECASE)
_ACTOR = re.compile(r"\b(he|she|they)\b", re.IGNORECASE)
_WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Persons:
    """A question as a speaker would say it.

    Attributes:
        asked: The question as it came.
        as_i: With the named speaker as "I"; `asked` where nobody is named.
        as_you: With the named speaker as "you"; likewise.
        nameless: Without the names.
        speakers: Numbers of the speakers that are named.
    """

    asked: str
    as_i: str
    as_you: str
    nameless: str
    speakers: frozenset[int]

    @property
    def texts(self) -> list[str]:
        """What is to be embedded: `as_i`, `as_you`, without repetition."""
        return list(dict.fromkeys((self.as_i, self.as_you)))


def persons(question: str, known: Mapping[str, Collection[int]]) -> Persons:
    """Put a question in the person of those it names.

    Args:
        question: Any text.
        known: Numbers of speakers by what they are called, whole names and first words.
    """
    names = [name for name in called(question, known) if name in question]
    if not names:
        return Persons(question, question, question, question, frozenset())
    speakers = frozenset(number for name in names for number in known[name])
    # Whom it names first it mostly asks about; another whom it names is then whom that one talks to.
    subject = known[min(names, key=question.index)]
    others = [name for name in names if not set(known[name]) & set(subject)]
    own = [name for name in names if name not in others]
    as_i = _as(_named(question, others, "your", "you"), own, "my", "I")
    as_you = _as(_named(question, others, "my", "I"), own, "your", "you")
    return Persons(question, as_i, as_you, without(question, names), speakers)


def called(question: str, known: Mapping[str, Collection[int]]) -> list[str]:
    """The names in a question, longest first; "will" is a name only where it is spelled as one."""
    if not known:
        return []
    words = _WORDS.findall(question)
    pairs = [" ".join(pair) for pair in itertools.pairwise(words)]
    triples = [" ".join(three) for three in zip(words, words[1:], words[2:], strict=False)]
    found = dict.fromkeys([*triples, *pairs, *words])
    return [name for name in found if name in known and not (name == name.lower() and name in FUNCTION_WORDS)]


def _as(question: str, names: Collection[str], owner: str, actor: str) -> str:
    return _ACTOR.sub(actor, _OWNER.sub(owner, _named(question, names, owner, actor)))


def _named(question: str, names: Collection[str], owner: str, actor: str) -> str:
    for name in names:
        question = re.sub(rf"(?<!\w){re.escape(name)}['’]s(?!\w)", owner, question)
        question = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", actor, question)
    return question
