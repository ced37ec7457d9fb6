"""Passages: a memory sentence by sentence, each with its own vector, so that recall can say which words answer.

One vector of a long memory is a mean of all it tells; the sentence that was asked for may be far from that mean.
Vectors of passages are float16 and stay in the store: only those of a query's candidates are read.
"""

import re
from typing import TYPE_CHECKING, Any

from dionysus_mcp.records import Passage
from dionysus_mcp.store.vectors import PassageVectors

if TYPE_CHECKING:
    import numpy as np

MOST = 24
"""Passages of one memory; a longer one has its last passages joined."""
SHOWN = 3
"""Passages that one hit names."""

_END = re.compile(r"(?<=[.!?])[\"”’)]*\s+(?=[\"“(\[A-Z0-9À-Þ*`])|\n\s*(?:[-*+•>]\s+|\d+[.)]\s+|#+\s+|\|)|\n{2,}")
_ABBREVIATION = re.compile(r"\b(?:Dr|Mr|Mrs|Ms|Prof|St|No|vs|etc|approx|e\.g|i\.e|[A-Z])\.[\"”’)]*$")


def spans(text: str) -> list[tuple[int, int]]:
    """Split a text into sentences, list items and paragraphs; places without leading or trailing blanks."""
    found: list[tuple[int, int]] = []
    start = 0
    for match in [*_END.finditer(text), None]:
        end = len(text) if match is None else match.start()
        if match is not None and _ABBREVIATION.search(text[start:end]):
            continue
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        last = start + len(piece.rstrip())
        if any(character.isalnum() for character in text[first:last]):
            found.append((first, last))
        start = end if match is None else match.end()
    return found if len(found) <= MOST else [*found[: MOST - 1], (found[MOST - 1][0], found[-1][1])]


def best(query: "np.ndarray[Any, Any]", content: str, passages: PassageVectors) -> list[Passage]:
    """Return the passages of a memory that are nearest to a query, the nearest first."""
    cosines = passages.vectors.astype(query.dtype) @ query
    order = sorted(range(len(passages.spans)), key=lambda place: -cosines[place])[:SHOWN]
    return [
        Passage(text=content[slice(*passages.spans[place])], similarity=round(float(cosines[place]), 4))
        for place in order
    ]
