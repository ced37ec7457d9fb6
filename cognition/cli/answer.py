"""How a thought is shown: for people, and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cognition.cli.output import dollars, duration, one_line, render

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Group
    from rich.table import Table

    from cognition.thought import Thought


def as_document(thought: Thought) -> dict[str, Any]:
    """Return a thought as JSON values, with what it works out (success, steps, cost)."""
    return {
        **thought.model_dump(mode="json"),
        "success": thought.success,
        "steps": thought.steps,
        "cost_usd": thought.cost_usd,
    }


def show(thought: Thought, limits: Mapping[str, int], *, quiet: bool = False) -> None:
    """Write a thought to stdout: the answer, its quotes, the layers at work, and how to see the trace.

    Args:
        thought: what a run came to.
        limits: per layer, the steps that it might have made in all its calls together.
        quiet: leave out the layers and the trace.
    """
    render(_rendered(thought, limits, quiet=quiet))


def _rendered(thought: Thought, limits: Mapping[str, int], *, quiet: bool) -> Group:
    from rich.console import Group
    from rich.text import Text

    parts: list[Any] = [Text(_answer(thought)), *_quotes(thought)]
    if not quiet:
        parts += [Text(), _layers_table(thought, limits), Text(_how(thought), style="dim")]
    return Group(*parts)


def _answer(thought: Thought) -> str:
    from pydantic import BaseModel

    if isinstance(thought.answer, BaseModel):
        return thought.answer.model_dump_json(indent=2)
    return str(thought.answer) if thought.answer else "(no answer yet)"


def _quotes(thought: Thought) -> list[Any]:
    from rich.text import Text

    lines: list[Any] = []
    for piece in thought.evidence:
        when = f", {piece.when:%Y-%m-%d}" if piece.when else ""
        source = piece.source or f"memory {piece.id}"
        lines.append(Text(f"\n  “{' '.join(piece.quote.split())}”"))
        lines.append(Text(f"    — {source}{when}", style="cyan"))
    return lines


def _layers_table(thought: Thought, limits: Mapping[str, int]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("layer")
    for heading in ("steps", "model calls", "tokens", "cost", "time"):
        table.add_column(heading, justify="right")
    for layer, usage in thought.usage.items():
        most = limits.get(layer)
        steps = f"{usage.steps}/{most}" if most else str(usage.steps)
        table.add_row(
            layer, steps, str(usage.model_calls), f"{usage.tokens:,}", dollars(usage.usd), duration(usage.seconds)
        )
    total = thought.total
    cells = (str(total.steps), str(total.model_calls), f"{total.tokens:,}", dollars(total.usd))
    table.add_row("total", *cells, duration(thought.duration), style="bold")
    return table


def _how(thought: Thought) -> str:
    sure = "not checked" if thought.confidence is None else f"{thought.confidence:.0%} of the claims are quoted"
    errors = "".join(f"\n! {one_line(error, 160)}" for error in thought.errors)
    ended = f"{thought.stop_reason} · {sure} · session {thought.session}"
    return f"\n{ended}{errors}\nTrace: dionysus trace show {thought.run_id[:12]}"
