"""`dionysus memory graph show | rebuild | sync | stats`: the knowledge graph of the memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cognition.cli import options
from cognition.cli.examples import examples
from cognition.cli.exits import ExitCode
from cognition.cli.progress import bar
from cognition.cli.scopes import Project, Tenant, User, scoped

if TYPE_CHECKING:
    from dionysus_mcp.graph.records import Exploration, GraphStats, Relation
    from dionysus_mcp.settings import MemorySettings

SHOW_EXAMPLES = examples(
    'dionysus memory graph show "Ann Miller"',
    "dionysus memory graph show Acme --depth 2 --type works_at",
    "dionysus memory graph show --memory-id m-0123456789abcdef --json",
)
REBUILD_EXAMPLES = examples("dionysus memory graph rebuild", "dionysus memory graph rebuild --reread")
graph = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="The knowledge graph: who and what memories name, and how related.",
)


@graph.command("show", epilog=SHOW_EXAMPLES)
def show(
    entity: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Of an entity.")] = None,
    memory_id: Annotated[
        str | None, typer.Option("--memory-id", metavar="ID", help="Or what a memory mentions.")
    ] = None,
    depth: Annotated[int, typer.Option("--depth", min=1, max=2, help="Steps from there.")] = 1,
    types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="Only this relation; may be given repeatedly.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=100, metavar="N", help="Most other entities.")] = 20,
    as_of: Annotated[datetime | None, typer.Option("--as-of", help="What was believed then, in UTC.")] = None,
    tenant: Tenant = None,
    project: Project = None,
    user: User = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Show what is known around an entity, or around all that a memory mentions."""
    from cognition.cli.output import emit, notices, render
    from dionysus_mcp.graph import administration
    from dionysus_mcp.graph.exploring import Asked

    if (entity is None) == (memory_id is None):
        raise typer.BadParameter("give a name or --memory-id, one of them", param_hint="NAME")
    settings = scoped(config, memory, tenant, project, user)
    at = None if as_of is None else as_of.replace(tzinfo=UTC)
    asked = Asked(entity, memory_id, depth, frozenset(types) if types else None, limit, at)
    with bar(silent=quiet or as_json) as progress:
        found = administration.explore(settings, asked, settings.token_budget, progress)
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        notices([found.notice] if found.notice else [], quiet=quiet)
        if found.start:
            render(_tree(found))
    return ExitCode.DONE if found.start else ExitCode.ABSTAINED


@graph.command("stats", epilog=examples("dionysus memory graph stats", "dionysus memory graph stats --json"))
def stats(
    tenant: Tenant = None,
    project: Project = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    debug: options.Debug = False,
) -> int:
    """Show how large the graph is, and what waits to be read or told to Neo4j."""
    from cognition.cli.output import emit, render
    from dionysus_mcp.graph import administration

    found = administration.stats(scoped(config, memory, tenant, project))
    if as_json:
        emit(found.model_dump(mode="json"))
    else:
        render(*graph_lines(found))
    return ExitCode.DONE


@graph.command("sync", epilog=examples("dionysus memory graph sync", "dionysus memory graph sync --project support"))
def sync(
    tenant: Tenant = None,
    project: Project = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Read what is unread and tell Neo4j what waits for it; running servers do so by themselves."""
    from cognition.cli.output import emit
    from dionysus_mcp.graph import administration

    settings = _mirrored(scoped(config, memory, tenant, project))
    with bar(silent=quiet or as_json) as progress:
        told = administration.sync(settings, progress)
    if as_json:
        emit({"told": told})
    elif not quiet:
        typer.echo(f"Neo4j was told of {told:,} changes")
    return ExitCode.DONE


@graph.command("rebuild", epilog=REBUILD_EXAMPLES)
def rebuild(
    reread: Annotated[bool, typer.Option("--reread", help="Also read all memories again for what they name.")] = False,
    tenant: Tenant = None,
    project: Project = None,
    memory: options.Memory = None,
    config: options.Config = None,
    as_json: options.Json = False,
    quiet: options.Quiet = False,
    debug: options.Debug = False,
) -> int:
    """Make Neo4j's graph anew from the store's; --reread makes that one anew from the memories first.

    What was told by `relate`, and what was ended, stays as it is.
    """
    from cognition.cli.output import emit
    from dionysus_mcp.graph import administration

    settings = scoped(config, memory, tenant, project)
    if not reread:
        _mirrored(settings)
    with bar(silent=quiet or as_json) as progress:
        done = administration.rebuild(settings, progress, reread=reread)
    if as_json:
        emit(done.model_dump())
    elif not quiet:
        typer.echo(f"{done.read:,} memories read, Neo4j told of {done.told:,} changes")
    return ExitCode.DONE


def graph_lines(found: "GraphStats") -> list[str]:
    """How the size of a graph is told."""
    waits = f", {found.unread:,} memories are still to be read" if found.unread else ""
    lines = [f"{found.entities:,} entities, {found.mentions:,} mentions, {found.relations:,} relations{waits}"]
    if found.neo4j is not None:
        has = ", ".join(f"{count:,} {name}" for name, count in found.neo4j.items())
        lines.append(f"Neo4j has {has}; {found.waiting:,} changes wait for it")
    elif found.waiting or found.notice:
        lines.append(f"{found.waiting:,} changes wait for Neo4j. {found.notice or ''}".rstrip())
    return lines


def _mirrored(settings: "MemorySettings") -> "MemorySettings":
    if settings.graph_url is None:
        raise typer.BadParameter(
            "no Neo4j is named; set memory.graph_url, or DIONYSUS_MEMORY__GRAPH_URL", param_hint="graph_url"
        )
    return settings


def _tree(found: "Exploration") -> Any:
    from rich.text import Text
    from rich.tree import Tree

    kinds = {entity.name: entity.kind for entity in found.entities}
    shown = ", ".join(f"{name} ({kinds[name]})" for name in found.start[:5])
    tree = Tree(Text(shown, style="bold"), guide_style="dim")
    for relation in found.relations:
        branch = tree.add(Text.assemble(relation.subject, (f" {relation.type} ", "cyan"), relation.object))
        for line in _evidence(relation):
            branch.add(Text(line, style="dim"))
    if found.companions:
        branch = tree.add(Text("mentioned together", style="cyan"))
        for pair in found.companions:
            branch.add(Text(f"{pair.first} and {pair.second}: {pair.together}, latest in {pair.memory_id}"))
    return tree


def _evidence(relation: "Relation") -> Iterator[str]:
    from cognition.cli.output import one_line

    for each in relation.evidence:
        said = f"“{one_line(each.quote, 160)}” " if each.quote else ""
        where = each.source or each.memory_id or f"told by {each.told_by or 'a client'}"
        ended = f", ended {relation.ended_at:%Y-%m-%d}" if relation.ended_at else ""
        yield f"{said}— {where}, {each.extractor}, {each.confidence:.0%}{ended}"
