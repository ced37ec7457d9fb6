"""`dionysus trace`: what happened in a run, what it took and where the time went."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from observability import RunSummary, RunTrace, SpanNode, TraceStore

LS_EXAMPLES = examples(
    "dionysus trace ls",
    "dionysus trace ls -n 5 --session queues",
    "dionysus trace ls --json",
)
SHOW_EXAMPLES = examples(
    "dionysus trace show",
    "dionysus trace show 3f2a --said",
    "dionysus trace show last --json",
)
trace = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List runs, and show one as a tree.")
_MARKS = {"ok": ("✓", "green"), "error": ("✗", "red"), "open": ("●", "cyan"), "interrupted": ("!", "yellow")}
_SAID = ("input.value", "output.value")


@trace.command("ls", epilog=LS_EXAMPLES)
def ls(
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, metavar="N", help="At most so many runs.")] = 20,
    session: options.Session = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """List the newest runs."""
    from cognition.cli.output import emit, render

    runs = _runs(config, limit, session)
    if as_json:
        emit([run.to_json() for run in runs])
    elif runs:
        render(_listed(runs))
    else:
        render('No runs yet. Make one with: dionysus think "…"')
    return ExitCode.DONE


@trace.command("show", epilog=SHOW_EXAMPLES)
def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, the beginning of one, or last.")] = "last",
    said: Annotated[bool, typer.Option("--said", help="Show what went into and came out of each span.")] = False,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Show a run as a tree of layers, steps, model calls, tools and memory queries."""
    from cognition.cli.output import emit, render

    with _store(config) as store:
        found = store.run(run if run != "last" else _newest(store))
    now = time.time_ns()
    if as_json:
        emit(found.to_json(now))
    else:
        render(_heading(found, now), _tree(found.root, now, said=said), _layers(found, now))
    return ExitCode.DONE


def _runs(config: "Path | None", limit: int, session: str | None) -> "list[RunSummary]":
    from observability import TraceStore

    path = options.settings_from(config).trace.path
    if not path.exists():
        return []  # nothing was thought about yet, which is no error of a list
    with TraceStore(path) as store:
        return store.runs(limit, session=session)


def _store(config: "Path | None") -> "TraceStore":
    from observability import TraceStore

    return TraceStore(options.settings_from(config).trace.path)


def _newest(store: "TraceStore") -> str:
    from observability import TelemetryError

    newest = store.runs(limit=1)
    if not newest:
        raise TelemetryError(f'there are no runs in {store.path} yet; make one with: dionysus think "…"')
    return newest[0].run_id


def _listed(runs: "list[RunSummary]") -> Any:
    from rich.table import Table
    from rich.text import Text

    from cognition.cli.output import dollars, duration, one_line

    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("run", "started", "time", "steps", "tokens", "cost", "ended"):
        right = heading in ("time", "steps", "tokens", "cost")
        table.add_column(heading, justify="right" if right else "left", no_wrap=True)
    table.add_column("task", no_wrap=True, overflow="ellipsis")
    for run in runs:
        mark, style = _MARKS.get(run.status.value, ("?", ""))
        table.add_row(
            Text(f"{mark} {run.run_id[:12]}", style=style),
            f"{datetime.fromtimestamp(run.start_ns / 1e9, UTC).astimezone():%Y-%m-%d %H:%M:%S}",
            duration(run.seconds(time.time_ns())),
            str(run.steps),
            f"{run.cost.tokens:,}",
            dollars(run.cost.usd),
            run.stop_reason or run.status.value,
            Text(one_line(run.task or run.name, 80)),
        )
    return table


def _heading(found: "RunTrace", now: int) -> Any:
    from rich.text import Text

    from cognition.cli.output import dollars, duration, one_line

    run = found.summary
    took = f"{duration(run.seconds(now))} · {run.steps} steps · {run.cost.tokens:,} tokens · {dollars(run.cost.usd)}"
    lost = run.losses
    losses = f" · {lost.dropped} spans dropped" if lost.dropped else ""
    ended = run.stop_reason or run.status.value
    lines = [f"Run {run.run_id} · session {run.session or '-'}", f"{ended} · {took} · {run.spans} spans{losses}"]
    lines += [f"Task: {one_line(run.task, 300)}"] if run.task else []
    lines += [f"Answer: {one_line(run.answer, 300)}"] if run.answer else []
    lines += [f"Why: {run.message}"] if run.message else []
    return Text("\n".join([*lines, ""]))


def _tree(root: "SpanNode", now: int, *, said: bool) -> Any:
    from rich.tree import Tree

    tree = Tree(_label(root, now, said=said), guide_style="dim")
    branches = {root.span_id: tree}
    for _, node in root.walk():  # parents come first, so that no recursion is needed however deep a run nests
        for child in node.children:
            branches[child.span_id] = branches[node.span_id].add(_label(child, now, said=said))
    return tree


def _label(node: "SpanNode", now: int, *, said: bool) -> Any:
    from rich.text import Text

    from cognition.cli.output import dollars, duration, one_line

    mark, style = _MARKS.get(node.status.value, ("?", ""))
    label = Text.assemble((f"{mark} ", style), (node.name, "bold" if node.kind in ("run", "layer") else ""))
    facts = [duration(node.seconds(now))]
    if node.kind == "chat":
        facts += [f"{node.input_tokens:,}→{node.output_tokens:,} tokens", dollars(node.usd)]
    limit = node.attributes.get("dionysus.step.max")
    facts += [f"at most {limit} steps"] if node.kind == "layer" and limit else []
    hits = node.attributes.get("dionysus.memory.hits")
    facts += [f"{hits} hits"] if hits is not None else []
    facts += [node.service] if node.service not in ("", "dionysus") else []
    label.append(f"  {' · '.join(facts)}", style="dim")
    if node.message:
        label.append(f"  {one_line(node.message, 120)}", style="red")
    for name in _SAID if said else ():
        if name in node.attributes:
            label.append(f"\n  {name.partition('.')[0]}: {one_line(str(node.attributes[name]), 200)}", style="cyan")
    return label


def _layers(found: "RunTrace", now: int) -> Any:
    from rich.table import Table

    from cognition.cli.output import dollars, duration

    table = Table(box=None, pad_edge=False, header_style="dim", title_justify="left")
    table.add_column("\nlayer")
    for heading in ("calls", "steps", "model calls", "tokens", "cost", "time"):
        table.add_column(f"\n{heading}", justify="right")
    for use in found.layers(now):
        steps = f"{use.steps}/{use.steps_max}" if use.steps_max else str(use.steps)
        cost = use.cost
        counts = (str(use.delegations), steps, str(cost.calls), f"{cost.tokens:,}", dollars(cost.usd))
        table.add_row(use.layer, *counts, duration(use.seconds))
    return table
