"""Which English words mean the same, and which are kinds of what: a small lexicon made from WordNet.

Miller, G. A. (1995), WordNet: a lexical database for English, Communications of the ACM 38(11). `scripts/build_lexicon.py`
makes the file, which is read once, when two words are compared for the first time.
"""

from __future__ import annotations

import gzip
from functools import cache, lru_cache
from importlib.resources import files

_LEVELS = 10
SAME, KIND = 0.8, 0.75


@lru_cache(maxsize=131_072)
def likeness(asked: str, said: str) -> float:
    """Return how well a stem that was said stands for one that was asked: .8 the same sense, .75 a kind of it, else 0."""
    wanted, given = senses(asked), senses(said)
    if not wanted or not given:
        return 0.0
    if wanted & given:
        return SAME
    return KIND if wanted & genera(said) else 0.0


@lru_cache(maxsize=32_768)
def senses(stem: str) -> frozenset[int]:
    """Return the numbers of a stem's most frequent senses, empty for a stem that the lexicon doesn't have."""
    words, _ = _lexicon()
    return frozenset(int(number, 16) for number in words.get(stem, "").split())


@lru_cache(maxsize=32_768)
def genera(stem: str) -> frozenset[int]:
    """Return the senses that a stem's senses are kinds of, up to ten levels above."""
    _, above = _lexicon()
    found: set[int] = set()
    level = senses(stem)
    for _ in range(_LEVELS):
        level = {int(number, 16) for sense in level for number in above[sense].split()} - found
        found |= level
    return frozenset(found)


@cache
def _lexicon() -> tuple[dict[str, str], list[str]]:
    text = gzip.decompress(files(__package__).joinpath("lexicon.txt.gz").read_bytes()).decode()
    stems, _, above = text.partition("\n=\n")
    lines = (line.partition(" ") for line in stems.splitlines() if not line.startswith("#"))
    return {stem: numbers for stem, _, numbers in lines}, above.split("\n")
