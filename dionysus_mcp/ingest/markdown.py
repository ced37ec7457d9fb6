"""Markdown as pieces: cut at headings, then at paragraphs; each piece knows the headings it stands under."""

import re
from collections.abc import Iterable, Iterator

from dionysus_mcp.ingest.pieces import Line, Piece, split

_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r"\s{0,3}(```+|~~~+)")


def blocks(lines: Iterable[Line]) -> Iterator[Piece]:
    """Paragraphs, lists and code blocks with their headings; a heading itself is no block."""
    headings: list[str] = []
    block: list[Line] = []
    fence: str | None = None
    for line in lines:
        heading = None if fence else _HEADING.match(line.text)
        if heading or (not fence and not line.text.strip()):
            yield from split(block, _path(headings))
            block = []
            if heading:
                _enter(headings, len(heading[1]), heading[2])
            continue
        fence = _fence_after(fence, line.text)
        block.append(line)
    yield from split(block, _path(headings))


def _enter(headings: list[str], level: int, title: str) -> None:
    """Step to a heading: what is as deep or deeper ends. Skipped levels are kept as empty ones."""
    del headings[level - 1 :]
    headings.extend("" for _ in range(level - 1 - len(headings)))
    headings.append(title)


def _path(headings: list[str]) -> tuple[str, ...]:
    return tuple(title for title in headings if title)


def _fence_after(fence: str | None, text: str) -> str | None:
    """Whether a code block is open after this line: `#` is no heading inside of one."""
    found = _FENCE.match(text)
    if found is None:
        return fence
    if fence is None:
        return found[1]
    closes = found[1].startswith(fence) and not text.strip().strip("`~")
    return None if closes else fence
