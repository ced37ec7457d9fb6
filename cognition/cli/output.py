"""How the command speaks: results and JSON on stdout, everything else on stderr."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console


def emit(document: Any, *, compact: bool = False) -> None:
    """Write one JSON document to stdout, on one line if compact; values that JSON lacks are written as text."""
    typer.echo(json.dumps(document, ensure_ascii=False, indent=None if compact else 2, default=str))


def notice(text: str) -> None:
    """Tell something beside the result, on stderr."""
    typer.echo(text, err=True)


def notices(texts: Iterable[str], *, quiet: bool) -> None:
    """Tell what the user should know about the parts at work."""
    for text in () if quiet else texts:
        notice(f"Note: {text}")


def console() -> Console:
    """Return a console on stdout; long lines are cut to the terminal, and never wrapped when piped."""
    from rich.console import Console

    made = Console(highlight=False)
    return made if made.is_terminal else Console(highlight=False, width=200, soft_wrap=True)


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
