"""How the command speaks: results and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import re
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console, ConsoleOptions, RenderResult

# What a terminal obeys instead of showing it: control characters save tab and line feed, and marks that turn the
# direction of the text. They come from files that were remembered, from tasks and from models.
_OBEYED = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069]")
_NO_TEXT = re.compile("[\\ud800-\\udfff]")  # halves of surrogate pairs, which no stream can write
_RAW_IN_JSON = re.compile("[\\x7f-\\x9f\\u202a-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_UNLIMITED = 10_000  # columns


def emit(document: Any) -> None:
    """Write one JSON document to stdout, on one line if piped; values that JSON lacks are written as text."""
    text = json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str)
    typer.echo(_RAW_IN_JSON.sub(lambda found: f"\\u{ord(found.group()):04x}", text))


def notice(text: str) -> None:
    """Tell something beside the result, on stderr."""
    typer.echo(printable(text), err=True)


def printable(text: str) -> str:
    """Return a text without what would steer the terminal."""
    return _NO_TEXT.sub("\ufffd", _OBEYED.sub("", text))


def visible(value: Any) -> str:
    """Return a JSON value as one line in which every character that has no shape of its own is written as an escape."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)


class Printable:
    """Something that rich renders, without what would steer the terminal; its styles stay."""

    def __init__(self, renderable: Any) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Render it piece by piece."""
        from rich.segment import Segment

        for segment in console.render(self._renderable, options):
            yield segment if segment.control else Segment(printable(segment.text), segment.style)


def notices(texts: Iterable[str], *, quiet: bool) -> None:
    """Tell what the user should know about the parts at work."""
    for text in () if quiet else texts:
        notice(f"Note: {text}")


def render(*renderables: Any) -> None:
    """Write what rich can render to stdout: fitted to the terminal, or in lines of any length when piped.

    Nothing in a text is taken for markup: `[tiers.fast]` stays as it is.
    """
    from rich.console import Console

    safe = [Printable(each) for each in renderables]
    terminal = Console(highlight=False, markup=False, emoji=False)
    if terminal.is_terminal:
        terminal.print(*safe, sep="\n")
        return
    written = StringIO()
    piped = Console(file=written, force_terminal=False, highlight=False, markup=False, emoji=False, width=_UNLIMITED)
    piped.print(*safe, sep="\n")
    typer.echo("\n".join(line.rstrip() for line in written.getvalue().splitlines()))


def one_line(text: str, limit: int = 100) -> str:
    """Return a text as one line of at most so many characters."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def dollars(usd: float | None) -> str:
    """Return a cost as people read it; an unknown price is not 0."""
    if usd is None:
        return "?"
    return "$0" if usd == 0 else f"${usd:.4f}"


def duration(seconds: float) -> str:
    """Return seconds as people read them."""
    if seconds >= 60:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"
