"""Pieces: parts of a text small enough to be recalled and quoted, large enough to be understood.

Text comes as numbered lines and goes as pieces, one at a time, so that a large file is never held whole.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TARGET = 800
"""Characters at which a piece is full, unless the next block belongs to it and fits."""
LIMIT = 1200
"""Characters that no piece exceeds."""

_SENTENCE = re.compile(r"(?<=[.!?])\s+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line and its number, from 1."""

    number: int
    text: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text, verbatim.

    Attributes:
        first: Number of its first line, from 1.
        last: Number of its last line.
        headings: The headings that it stands under, the outermost first.
    """

    content: str
    first: int
    last: int
    headings: tuple[str, ...] = ()


def numbered(lines: Iterable[str]) -> Iterator[Line]:
    """Lines with their numbers, without line ends."""
    for number, line in enumerate(lines, start=1):
        yield Line(number, line.rstrip("\r\n"))


def paragraphs(lines: Iterable[Line]) -> Iterator[Piece]:
    """Blocks between blank lines."""
    block: list[Line] = []
    for line in lines:
        if line.text.strip():
            block.append(line)
        elif block:
            yield from _block(block, ())
            block = []
    yield from _block(block, ())


def definitions(lines: Iterable[Line]) -> Iterator[Piece]:
    """Blocks of source code: a blank line ends one where the next line starts at the margin."""
    block: list[Line] = []
    for line in lines:
        at_margin = bool(line.text) and not line.text[0].isspace()
        if at_margin and block and not block[-1].text.strip():
            yield from _block(block, ())
            block = []
        block.append(line)
        # A definition that never ends would be held whole otherwise.
        if sum(len(one.text) for one in block[-200:]) > LIMIT and len(block) >= 200:
            yield from _block(block, ())
            block = []
    yield from _block(block, ())


def packed(blocks: Iterable[Piece]) -> Iterator[Piece]:
    """Small blocks under the same headings put together, up to the target size."""
    held: Piece | None = None
    for block in blocks:
        if held is not None and _fits(held, block):
            gap = "\n\n" if block.first - held.last > 1 else "\n"
            held = Piece(held.content + gap + block.content, held.first, block.last, held.headings)
            continue
        if held is not None:
            yield held
        held = block
    if held is not None:
        yield held


def _fits(held: Piece, block: Piece) -> bool:
    together = len(held.content) + len(block.content) + 2
    return held.headings == block.headings and len(held.content) < TARGET and together <= LIMIT


def _block(lines: list[Line], headings: tuple[str, ...]) -> Iterator[Piece]:
    return split(lines, headings)


def split(lines: list[Line], headings: tuple[str, ...]) -> Iterator[Piece]:
    """A block as pieces within the limit: cut between lines, and where one line is too long, between sentences."""
    while lines and not lines[-1].text.strip():
        lines = lines[:-1]
    part: list[Line] = []
    size = 0
    for line in lines:
        if part and size + len(line.text) + 1 > LIMIT:
            yield _joined(part, headings)
            part, size = [], 0
        if len(line.text) > LIMIT:
            yield from (Piece(text, line.number, line.number, headings) for text in _cut(line.text))
            continue
        part.append(line)
        size += len(line.text) + 1
    if part:
        yield _joined(part, headings)


def _joined(lines: list[Line], headings: tuple[str, ...]) -> Piece:
    return Piece("\n".join(line.text for line in lines), lines[0].number, lines[-1].number, headings)


def _cut(text: str) -> Iterator[str]:
    """One long line in parts, each a run of whole sentences where they fit, else of characters."""
    part = ""
    for sentence in _SENTENCE.split(text):
        if part and len(part) + 1 + len(sentence) > LIMIT:
            yield part
            part = ""
        for start in range(0, len(sentence), LIMIT):
            chunk = sentence[start : start + LIMIT]
            if part and len(part) + 1 + len(chunk) > LIMIT:
                yield part
                part = ""
            part = f"{part} {chunk}" if part else chunk
    if part.strip():
        yield part
