"""Exploring: from an entity or a memory outwards, the same over every kind of graph."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from dionysus_mcp.graph import names
from dionysus_mcp.graph.shape import Edge, Graph, Node, Pair

TOGETHER = "mentioned_with"
"""What is asked for as a type to get companions; it is no relation."""
_ALIAS = "alias_of"
_WIDTH = 8
"""Companions of one entity, and entities whose own surroundings are looked at in a second step."""
_SUGGESTED = 5
_SHOWN = 3
"""Memories that are listed for one entity."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Where to begin, by a name or a memory's id, and how far to go.

    Attributes:
        depth: 1 or 2 steps.
        types: Only these relations; None is all, and companions.
        limit: Most entities beside those it begins with.
        at: A moment for what was believed then.
    """

    name: str | None = None
    memory_id: str | None = None
    depth: int = 1
    types: frozenset[str] | None = None
    limit: int = 20
    at: datetime | None = None


@dataclass(slots=True)
class Surroundings:
    """What was found.

    Attributes:
        distances: Steps by id of the entity, in the order they were found.
        memories: Ids of the latest memories by id of the entity.
    """

    start: list[Node] = field(default_factory=list[Node])
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    distances: dict[str, int] = field(default_factory=dict[str, int])
    edges: list[Edge] = field(default_factory=list[Edge])
    pairs: list[Pair] = field(default_factory=list[Pair])
    memories: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    notices: list[str] = field(default_factory=list[str])


def explore(graph: Graph, asked: Asked) -> Surroundings:
    """Find what surrounds the start."""
    found = Surroundings()
    found.start = _start(graph, asked, found)
    found.distances = dict.fromkeys((node.id for node in found.start), 0)
    _join_aliases(graph, asked, found)
    frontier = list(found.distances)
    for step in range(1, asked.depth + 1):
        if not frontier:
            break
        frontier = _step(graph, asked, found, frontier, step)[:_WIDTH]
    found.nodes = graph.nodes(list(found.distances))
    ends = found.distances.keys()
    found.edges = [edge for edge in found.edges if {edge.subject, edge.object} <= ends]
    found.pairs = [pair for pair in found.pairs if {pair.first, pair.second} <= ends]
    found.memories = dict(graph.memories_of(list(found.distances), asked.at, _SHOWN))
    return found


def _start(graph: Graph, asked: Asked, found: Surroundings) -> list[Node]:
    if asked.memory_id is not None:
        nodes = graph.in_memory(asked.memory_id)
        if not nodes:
            found.notices.append(f"Nothing that {asked.memory_id} mentions is known as an entity.")
        return nodes
    name = asked.name or ""
    key = names.key_of(name)
    exact = graph.named(key, asked.at) if key else []
    return exact or _called(graph, asked, name, key, found)


def _called(graph: Graph, asked: Asked, name: str, key: str, found: Surroundings) -> list[Node]:
    """Whom a first name alone can mean: taken for somebody only if it can't be anybody else."""
    near = graph.headed(key.partition(" ")[0], asked.at, _SUGGESTED + 1) if key else []
    shown = names.shown(name)[: names.LONGEST]
    if len(near) == 1 and near[0].kind == "person" and " " not in key:
        found.notices.append(f"No entity is called {shown!r}; this is {near[0].name!r}, the only one so called.")
        return near
    if near:
        others = ", ".join(repr(node.name) for node in near[:_SUGGESTED])
        found.notices.append(f"No entity is called {shown!r}. There are: {others}.")
    else:
        found.notices.append(f"No entity is called {shown!r}; semantic_recall finds memories by other words.")
    return []


def _join_aliases(graph: Graph, asked: Asked, found: Surroundings) -> None:
    """Other names of the start belong to it. They stay entities, so that the end of that claim parts them again."""
    if not found.distances or asked.memory_id is not None:
        return
    for edge in graph.edges(list(found.distances), {_ALIAS}, asked.at, asked.limit):
        found.edges.append(edge)
        for end in (edge.subject, edge.object):
            found.distances.setdefault(end, 0)


def _step(graph: Graph, asked: Asked, found: Surroundings, frontier: Sequence[str], step: int) -> list[str]:
    types = None if asked.types is None else asked.types - {TOGETHER}
    held = {edge.id for edge in found.edges}
    reached: dict[str, None] = {}
    if types is None or types:
        # Each relation may stand on several memories, so more are asked for than there are entities to be reached.
        for edge in graph.edges(frontier, types, asked.at, 5 * asked.limit):
            if edge.id not in held:
                found.edges.append(edge)
                reached |= dict.fromkeys((edge.subject, edge.object))
    if asked.types is None or TOGETHER in asked.types:
        pairs = _new(found.pairs, graph.pairs(frontier, asked.at, max(_WIDTH, asked.limit // len(frontier))))
        found.pairs += pairs
        pairs.sort(key=lambda pair: -pair.together)
        reached |= dict.fromkeys(pair.second for pair in pairs)
    fresh = [one for one in reached if one not in found.distances]
    room = asked.limit - sum(distance > 0 for distance in found.distances.values())
    if len(fresh) > room:
        found.notices.append(f"{len(fresh) - room} more entities were left out; raise limit or name types.")
    kept = fresh[:room]
    found.distances |= dict.fromkeys(kept, step)
    return kept


def _new(held: Collection[Pair], found: Sequence[Pair]) -> list[Pair]:
    """Those of the pairs that aren't there yet, in either order."""
    seen = {frozenset((pair.first, pair.second)) for pair in held}
    new: list[Pair] = []
    for pair in found:
        if (both := frozenset((pair.first, pair.second))) not in seen:
            seen.add(both)
            new.append(pair)
    return new
