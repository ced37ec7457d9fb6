"""The graph as Neo4j has it. Every value that a query is about is a parameter of it."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString

from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.shape import LATEST, Counts, Edge, Node, Pair
from dionysus_mcp.scope import Scope

if TYPE_CHECKING:
    from neo4j import Record

_NODE: LiteralString = "e.id AS id, e.name AS name, e.kind AS kind"
_EDGE: LiteralString = (
    "r.id AS id, startNode(r).id AS subject, r.type AS type, endNode(r).id AS object, r.memory_id AS memory_id, "
    "r.extractor AS extractor, r.told_by AS told_by, r.confidence AS confidence, r.first AS first, r.last AS last, "
    "r.valid_from AS valid_from, r.valid_to AS valid_to, r.recorded_from AS recorded_from, "
    "r.recorded_to AS recorded_to"
)
_MEMORY_SEEN: LiteralString = "m.owner IN $owners AND ($session IS NULL OR m.session_id = $session) AND "
_MEMORY_NOW: LiteralString = _MEMORY_SEEN + "m.recorded_to IS NULL"
_MEMORY_THEN: LiteralString = _MEMORY_SEEN + "m.recorded_from <= $at AND (m.recorded_to IS NULL OR m.recorded_to > $at)"
_RELATION_SEEN: LiteralString = "r.owner IN $owners AND ($session IS NULL OR r.session_id = $session) AND "
_RELATION_NOW: LiteralString = _RELATION_SEEN + "r.recorded_to IS NULL"
_RELATION_THEN: LiteralString = (
    _RELATION_SEEN + "r.recorded_from <= $at AND (r.recorded_to IS NULL OR r.recorded_to > $at)"
)


class Neo4jGraph:
    """A scope's graph, asked of Neo4j; see `shape.Graph`. Each method raises GraphUnavailable if it doesn't answer.

    Args:
        bolt: The server.
        scope: Who asks: they see what their project shares, and what is theirs.
        graph: Gives what the project's graph is called there.
    """

    def __init__(self, bolt: Bolt, scope: Scope, graph: Callable[[], str]) -> None:
        self._bolt = bolt
        self._scope = scope
        self._graph = graph

    def named(self, key: str, at: datetime | None) -> list[Node]:
        """The entity whose name has this normal form, if anything is believed of it."""
        return _nodes(
            self._read(
                "MATCH (e:Entity {graph: $graph, key: $key}) WHERE " + _lives(at) + " RETURN " + _NODE, key=key, at=at
            )
        )

    def headed(self, head: str, at: datetime | None, limit: int) -> list[Node]:
        """Entities whose name begins with this word, by their names."""
        return _nodes(
            self._read(
                "MATCH (e:Entity {graph: $graph, head: $head}) WHERE "
                + _lives(at)
                + " RETURN "
                + _NODE
                + " ORDER BY e.key LIMIT $limit",
                head=head,
                at=at,
                limit=limit,
            )
        )

    def in_memory(self, memory_id: str) -> list[Node]:
        """The entities that a memory mentions, by their names."""
        return _nodes(
            self._read(
                "MATCH (m:Memory {graph: $graph, id: $id})-[:MENTIONS]->(e:Entity) WHERE "
                + _MEMORY_SEEN
                + "true RETURN "
                + _NODE
                + " ORDER BY e.key",
                id=memory_id,
            )
        )

    def nodes(self, ids: Collection[str]) -> dict[str, Node]:
        """Entities by id."""
        found = self._read("UNWIND $ids AS id MATCH (e:Entity {graph: $graph, id: id}) RETURN " + _NODE, ids=list(ids))
        return {node.id: node for node in _nodes(found)}

    def edges(self, ids: Collection[str], types: Collection[str] | None, at: datetime | None, limit: int) -> list[Edge]:
        """What is said between these entities and any others, the surest and newest first."""
        found = self._read(
            "UNWIND $ids AS id MATCH (e:Entity {graph: $graph, id: id})-[r:RELATES]-() "
            "WHERE ($types IS NULL OR r.type IN $types) AND "
            + (_RELATION_NOW if at is None else _RELATION_THEN)
            + " WITH DISTINCT r RETURN "
            + _EDGE
            + " ORDER BY r.confidence DESC, r.recorded_from DESC, r.id LIMIT $limit",
            ids=list(ids),
            types=None if types is None else list(types),
            at=at,
            limit=limit,
        )
        return [_edge(record) for record in found]

    def pairs(self, ids: Sequence[str], at: datetime | None, limit: int) -> list[Pair]:
        """What else the latest memories of each of these mention: for each at most `limit`, the most frequent first."""
        query: LiteralString = (
            "MATCH (e:Entity {graph: $graph, id: $id})<-[:MENTIONS]-(m:Memory) WHERE "
            + (_MEMORY_NOW if at is None else _MEMORY_THEN)
            + " WITH e, m ORDER BY m.seq DESC LIMIT $latest "
            "MATCH (m)-[:MENTIONS]->(o:Entity) WHERE o <> e "
            "WITH o, m ORDER BY m.seq DESC "
            "WITH o, count(m) AS together, max(m.seq) AS newest, head(collect(m.id)) AS memory_id "
            "RETURN o.id AS id, together, memory_id ORDER BY together DESC, newest DESC, o.id LIMIT $limit"
        )
        found: list[Pair] = []
        for one in ids:
            records = self._read(query, id=one, at=at, latest=LATEST, limit=limit)
            found += [Pair(one, record["id"], record["together"], record["memory_id"]) for record in records]
        return found

    def memories_of(self, ids: Sequence[str], at: datetime | None, count: int) -> Mapping[str, list[str]]:
        """Ids of the latest memories that mention each of these, the newest first."""
        query: LiteralString = (
            "UNWIND $ids AS id CALL (id) { MATCH (:Entity {graph: $graph, id: id})<-[:MENTIONS]-(m:Memory) WHERE "
            + (_MEMORY_NOW if at is None else _MEMORY_THEN)
            + " RETURN m.id AS memory ORDER BY m.seq DESC LIMIT $count } RETURN id, collect(memory) AS memories"
        )
        held = {record["id"]: record["memories"] for record in self._read(query, ids=list(ids), at=at, count=count)}
        return {one: held.get(one, []) for one in ids}

    def counts(self) -> Counts:
        """How much there is in the whole project."""
        found = self._read(
            "RETURN COUNT { (e:Entity {graph: $graph}) } AS entities, "
            "COUNT { (:Memory {graph: $graph})-[:MENTIONS]->() } AS mentions, "
            "COUNT { (:Entity {graph: $graph})-[:RELATES]->() } AS relations"
        )[0]
        return Counts(found["entities"], found["mentions"], found["relations"])

    def _read(self, query: LiteralString, **parameters: Any) -> "list[Record]":
        return self._bolt.read(
            query,
            graph=self._graph(),
            owners=sorted({"", self._scope.user}),
            session=self._scope.session or None,
            **parameters,
        )


def _lives(at: datetime | None) -> LiteralString:
    """Whether anything is believed of an entity."""
    return (
        "(EXISTS { MATCH (e)<-[:MENTIONS]-(m:Memory) WHERE "
        + (_MEMORY_NOW if at is None else _MEMORY_THEN)
        + " } OR EXISTS { MATCH (e)-[r:RELATES]-() WHERE "
        + (_RELATION_NOW if at is None else _RELATION_THEN)
        + " })"
    )


def _nodes(records: "list[Record]") -> list[Node]:
    return [Node(record["id"], record["name"], record["kind"]) for record in records]


def _edge(record: "Record") -> Edge:
    values = record.data()
    for name in ("valid_from", "valid_to", "recorded_from", "recorded_to"):
        values[name] = None if values[name] is None else values[name].to_native().astimezone(UTC)
    return Edge(**values)
