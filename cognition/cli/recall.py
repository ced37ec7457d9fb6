"""`dionysus recall`: ask memory directly, through the memory server that the layers use too."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode

if TYPE_CHECKING:
    from cognition.settings import Settings
    from dionysus_mcp.records import MemoryHealth, Recall

READY_WITHIN = 30.0


EXAMPLES = examples(
    'dionysus recall "which queue do we use"',
    'dionysus recall "queue decision" --top 3 --memory sqlite:///notes.db',
    'dionysus recall "who decided it" --json',
)


def recall(
    query: Annotated[str, typer.Argument(metavar="QUERY", help="What is asked, in any words.")],
    top: Annotated[int, typer.Option("--top", "-n", min=1, max=100, metavar="N", help="At most so many memories.")] = 8,
    session: options.Session = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Find memories by meaning and by words, without any model."""
    import asyncio

    from cognition.cli.output import emit, notice

    if not query.strip():
        raise typer.BadParameter("it is empty; say what to look for", param_hint="QUERY")
    settings = options.settings_from(config, memory=memory)
    found, health = asyncio.run(_ask(settings, query, top, session))
    if not quiet and health.embedder not in ("ready", "off"):
        notice(
            f"Note: recall works by words alone: the embedder is {health.embedder} ({health.detail or 'no detail'})."
        )
    if not quiet and found.notice:
        notice(f"Note: {found.notice}")
    emit(found.model_dump(mode="json")) if as_json else _show(found)
    return ExitCode.DONE if found.hits else ExitCode.ABSTAINED


async def _ask(settings: "Settings", query: str, top: int, session: str | None) -> "tuple[Recall, MemoryHealth]":
    from dionysus_mcp.client import MEMORY_TOOLS, McpClient, MemoryClient, memory_server

    client = McpClient("memory", memory_server(settings.memory, settings.trace))
    try:
        await client.connect(MEMORY_TOOLS)
        memory = MemoryClient(client)
        health = await memory.ready(READY_WITHIN)
        return await memory.recall(query, top, session_id=session), health
    finally:
        await client.close()


def _show(found: "Recall") -> None:
    from rich.padding import Padding
    from rich.text import Text

    from cognition.cli.output import render

    shown: list[Any] = []
    if not found.hits:
        shown.append("Memory holds nothing on this. Put files into it with: dionysus remember PATH")
    for hit in found.hits:
        when = f", {hit.occurred_at:%Y-%m-%d}" if hit.occurred_at else ""
        heading = f"{hit.score:.2f}  {hit.source or 'told directly'}{when}  "
        shown.append(Text.assemble((heading, "bold cyan"), (f"{hit.memory_type} {hit.id}", "dim")))
        shown.append(Padding(Text(hit.content.strip()), (0, 0, 1, 6)))
    if found.missing_terms:
        shown.append(Text(f"No memory covers: {', '.join(found.missing_terms)}", style="yellow"))
    render(*shown)
