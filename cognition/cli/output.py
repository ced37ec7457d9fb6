"""How the command speaks: results and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from io import StringIO
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

_UNLIMITED = 10_000  # columns


def emit(document: Any) -> None:
    """Write one JSON document to stdout, on one line if piped; values that JSON lacks are written as text."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=2 if sys.stdout.isatty() else None, default=str))


def notice(text: str) -> None:
    """Tell something beside the result, on stderr."""
    typer.echo(text, err=True)


def notices(texts: Iterable[str], *, quiet: bool) -> None:
    """Tell what the user should know about the parts at work."""
    for text in () if quiet else texts:
        notice(f"Note: {text}")


def render(*renderables: Any) -> None:
    """Write what rich can render to stdout: fitted to the terminal, or in lines of any length when piped.

    Nothing in a text is taken for markup: `[tiers.fast]` stays as it is.
    """
    from rich.console import Console

    terminal = Console(highlight=False, markup=False, emoji=False)
    if terminal.is_terminal:
        terminal.print(*renderables, sep="\n")
        return
    written = StringIO()
    piped = Console(file=written, force_terminal=False, highlight=False, markup=False, emoji=False, width=_UNLIMITED)
    piped.print(*renderables, sep="\n")
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
