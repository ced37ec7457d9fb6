"""Where the sentences of a text stand; every search here takes time in proportion to the text, whatever it holds."""

import re
from collections.abc import Iterator

from dionysus_mcp.graph.wordlists import ABBREVIATED, FIRMS

LONGEST = 1000
"""Characters of a sentence that are looked at; what has none of a sentence's ends is no prose."""
_END = re.compile(r"[.!?]+(?=[\s\"'”’)]|$)|\n+")
_NEXT = re.compile(r"\s+[^\W\d_a-z]")
"""What comes after "Acme Corp." where that ends a sentence; after "Dr." it is the name."""
_LAST_WORD = re.compile(r"[^\s(]{1,12}$")


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each sentence, without the white space around it."""
    start = 0
    for end in _END.finditer(text):
        if end.group() == "." and _is_abbreviation(text, start, end.start()):
            continue
        yield from _trimmed(text, start, end.end())
        start = end.end()
    yield from _trimmed(text, start, len(text))


def _is_abbreviation(text: str, start: int, at: int) -> bool:
    found = _LAST_WORD.search(text[max(start, at - 12) : at])
    if found is None:
        return False
    word = found.group().casefold()
    if word in FIRMS and _NEXT.match(text, at + 1):
        return False
    return word in ABBREVIATED or (len(word) == 1 and found.group().isupper())


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while start < end and (text[start].isspace() or text[start] in "\"'“”‘’)"):
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    if start < end:
        yield start, min(end, start + LONGEST)
