"""The words of a query: which carry content, their stems, which of them to search for."""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dionysus_mcp.store.tokenizer import Tokenizer

MAX_WORDS = 64
"""Different words of a query that are searched for."""
RARE_SHARE = 0.1
"""A word in at most this share of the memories is rare enough to be missed."""
_ALWAYS_RARE = 3
_PRUNE_ABOVE = 2000
_MOST_ROWS = 2000
"""Memories that one query may match by words in a large store; the rarest word is searched for in any case."""

_REMEMBERED = 100_000
"""Words whose stems are remembered."""
_WORD = re.compile(r"[^\W_]+")
# Han, kana and Hangul, with the marks that repeat or lengthen one.
_UNSPACED = (
    "\u3005-\u3007\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7a3\uf900-\ufaff\uff66-\uff9f\U00020000-\U0003ffff"
)
_RUN = re.compile(f"[{_UNSPACED}]+")
_PARTS = re.compile(f"[{_UNSPACED}]+|[^{_UNSPACED}]+")

FUNCTION_WORDS = frozenset(
    """
    a about above after again against all also am an and any are as at be because been before being below
    between both but by can could d did do does doing don done down during each either else ever every few for
    from further get gets give given go goes got had has have having he her here hers herself him himself his
    how i if in into is it its itself just let like ll m made make makes many may me might mine more most much
    must my myself need neither no nor not now of off on once one only or other our ours ourselves out over own
    per please re s same say says see shall she should since so some such t take than that the their theirs them
    themselves then there these they this those though through to too under until up upon us use used uses using
    ve very via was way we well were what when where whether which while who whom whose why will with within
    without would yes yet you your yours yourself yourselves tell know think explain describe show find
    """.split()
)

_IRREGULAR = """
begin began begun; break broke broken; bring brought; build built; buy bought; catch caught; choose chose
chosen; come came; cost costs; cut cuts; deal dealt; draw drew drawn; drive drove driven; eat ate eaten; fall
fell fallen; feel felt; fight fought; forget forgot forgotten; freeze froze frozen; grow grew grown; hear heard;
hide hid hidden; hold held; keep kept; lead led; leave left; lend lent; lose lost; mean meant; meet met; pay
paid; ride rode ridden; rise rose risen; run ran; sell sold; send sent; sing sang sung; sit sat; sleep slept;
speak spoke spoken; spend spent; stand stood; steal stole stolen; stick stuck; swim swam swum; teach taught;
throw threw thrown; wake woke woken; wear wore worn; win won; write wrote written; child children; man men;
woman women; person people; mouse mice; foot feet
"""
"""Forms of one word that a stemmer doesn't bring together; missing them would report a covered word as missing."""


@dataclass(frozen=True, slots=True)
class Term:
    """A word of the query as written, its irregular forms, how many memories hold any (counted by form), and stems."""

    word: str
    forms: tuple[str, ...]
    frequency: int
    stems: tuple[str, ...] = ()


def words(query: str) -> list[str]:
    """The query's different words in their order, at most `MAX_WORDS`; none of them holds any syntax."""
    seen: dict[str, str] = {}
    for word in all_words(query):
        seen.setdefault(word.casefold(), word)
    return list(seen.values())[:MAX_WORDS]


def all_words(of: str) -> list[str]:
    """The words of a text in their order; where a script has no blanks between them, its pairs of characters."""
    found = _WORD.findall(of)
    if of.isascii() or _RUN.search(of) is None:
        return found
    return [piece for word in found for part in _PARTS.findall(word) for piece in _pairs(part)]


def single_characters(of: str) -> list[str]:
    """Those that `all_words` has in pairs alone: each may be a word by itself."""
    return [] if of.isascii() else [one for run in _RUN.findall(of) if len(run) > 1 for one in run]


def is_unspaced(word: str) -> bool:
    """Whether a word of `all_words` is a pair of characters, or one that stands alone."""
    return _RUN.match(word) is not None


def whole(query: str) -> set[str]:
    """Those pairs, and single characters, of a query that are a word for sure, as nothing is written around them."""
    return {run for run in _RUN.findall(query) if len(run) < 3}


def _pairs(part: str) -> list[str]:
    if len(part) < 3 or not is_unspaced(part):
        return [part]
    return [part[at : at + 2] for at in range(len(part) - 1)]


def content_words(query: str) -> list[str]:
    """Words that carry content: no function words, no single letters."""
    return [
        word
        for word in words(query)
        if word.casefold() not in FUNCTION_WORDS and (len(word) > 1 or word.isdigit() or is_unspaced(word))
    ]


class Stemmer:
    """Stems of single words. Thread-safe."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer()
        # Words come again and again, and asking SQLite takes longer than all else that is done with them.
        self._known: dict[str, str | None] = {}
        groups = [group.split() for group in _IRREGULAR.split(";")]
        stems = self.stems([form for group in groups for form in group])
        self._families = {stems[form]: tuple(group) for group in groups for form in group}

    def forms(self, word: str, stem: str) -> tuple[str, ...]:
        """The word, and the forms of it that have another stem."""
        return (word, *self._families.get(stem, ()))

    def stems(self, of: Sequence[str]) -> dict[str, str]:
        """Stem by word; a word that the index doesn't know as one is left out."""
        known = self._known
        new = [word for word in dict.fromkeys(of) if word not in known]
        if len(known) + len(new) > _REMEMBERED:
            # Emptied, all that is asked for is new.
            known, new = {}, list(dict.fromkeys(of))
            self._known = known
        for word, stems in zip(new, self._tokenizer.stems(new) if new else (), strict=True):
            known[word] = stems[0] if stems else None
        return {word: stem for word in of if (stem := known.get(word)) is not None}

    def close(self) -> None:
        """Free the database."""
        self._tokenizer.close()


def worth_matching(terms: Iterable[Term], total: int) -> list[Term]:
    """The terms to search for: in a large store the rarest, as long as few enough memories hold them.

    Matching a memory takes a microsecond or two, and a common word, which tells little, matches a good part of them.
    """
    present = [term for term in terms if term.frequency]
    if total < _PRUNE_ABOVE:
        return present
    present.sort(key=lambda term: term.frequency)
    rows = list(itertools.accumulate(term.frequency for term in present))
    return [term for number, term in enumerate(present) if number == 0 or rows[number] <= _MOST_ROWS]


def is_rare(term: Term, total: int) -> bool:
    """Whether an answer that doesn't hold this word lacks something."""
    return term.frequency <= max(_ALWAYS_RARE, RARE_SHARE * total)
