"""The graph in Neo4j, kept equal to the store's by telling it what changed.

A change is told as the state that the store has when it is told. The first thing that a transaction does in Neo4j is
to lock the node of this graph; only then it reads the store. So of two processes that tell the same, the later one has
read the later state, and being told twice, or in another order, changes nothing.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, LiteralString

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, func, select

from dionysus_mcp.graph import outbox
from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.tables import entity, mention, relation
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import cited

if TYPE_CHECKING:
    from neo4j import ManagedTransaction

memory = schema.memory
_AT_A_TIME = 200
"""Changes that are told in one transaction."""

SCHEMA: tuple[LiteralString, ...] = (
    "CREATE CONSTRAINT dionysus_graph IF NOT EXISTS FOR (g:DionysusGraph) REQUIRE g.id IS UNIQUE",
    "CREATE CONSTRAINT dionysus_entity IF NOT EXISTS FOR (e:Entity) REQUIRE (e.graph, e.id) IS UNIQUE",
    "CREATE CONSTRAINT dionysus_memory IF NOT EXISTS FOR (m:Memory) REQUIRE (m.graph, m.id) IS UNIQUE",
    "CREATE INDEX dionysus_entity_key IF NOT EXISTS FOR (e:Entity) ON (e.graph, e.key)",
    "CREATE INDEX dionysus_entity_head IF NOT EXISTS FOR (e:Entity) ON (e.graph, e.head)",
    "CREATE INDEX dionysus_entity_name IF NOT EXISTS FOR (e:Entity) ON (e.name)",
    "CREATE INDEX dionysus_relation IF NOT EXISTS FOR ()-[r:RELATES]-() ON (r.graph, r.id)",
    "CREATE INDEX dionysus_relation_memory IF NOT EXISTS FOR ()-[r:RELATES]-() ON (r.graph, r.memory_id)",
)
_LOCK = (
    "MERGE (g:DionysusGraph {id: $graph}) SET g.tenant = $tenant, g.project = $project, g.told_at = datetime() "
    "RETURN coalesce(g.filled, false) AS filled"
)
_FILLED = "MATCH (g:DionysusGraph {id: $graph}) SET g.filled = true"
_PUT_MEMORIES = "UNWIND $rows AS row MERGE (m:Memory {graph: $graph, id: row.id}) SET m += row"
_PUT_ENTITIES = "UNWIND $rows AS row MERGE (e:Entity {graph: $graph, id: row.id}) SET e += row"
_PUT_MENTIONS = (
    "UNWIND $rows AS row MATCH (m:Memory {graph: $graph, id: row.memory_id}) "
    "MATCH (e:Entity {graph: $graph, id: row.entity_id}) MERGE (m)-[r:MENTIONS]->(e) SET r.how = row.how"
)
_PUT_RELATIONS = (
    "UNWIND $rows AS row MATCH (s:Entity {graph: $graph, id: row.subject_id}) "
    "MATCH (o:Entity {graph: $graph, id: row.object_id}) "
    "MERGE (s)-[r:RELATES {graph: $graph, id: row.id}]->(o) SET r += row"
)
# What somebody's names are can't be parameters where labels are wanted, so labels are these words of ours alone.
_LABELS: dict[str, LiteralString] = {
    "person": "SET e:Person REMOVE e:Organisation:Place:Thing:Concept",
    "organisation": "SET e:Organisation REMOVE e:Person:Place:Thing:Concept",
    "place": "SET e:Place REMOVE e:Person:Organisation:Thing:Concept",
    "thing": "SET e:Thing REMOVE e:Person:Organisation:Place:Concept",
    "concept": "SET e:Concept REMOVE e:Person:Organisation:Place:Thing",
}
_LABELLED: LiteralString = "UNWIND $ids AS id MATCH (e:Entity {graph: $graph, id: id}) "
_DROP_RELATIONS = (
    "UNWIND $ids AS id MATCH (s)-[r:RELATES {graph: $graph, id: id}]->(o) DELETE r RETURN s.id AS s, o.id AS o"
)
_DROP_GROUND = (
    "UNWIND $ids AS id MATCH (s)-[r:RELATES {graph: $graph, memory_id: id}]->(o) DELETE r RETURN s.id AS s, o.id AS o"
)
_MENTIONED = "UNWIND $ids AS id MATCH (:Memory {graph: $graph, id: id})-[:MENTIONS]->(e) RETURN DISTINCT e.id AS e"
_DROP_MEMORIES = "UNWIND $ids AS id MATCH (m:Memory {graph: $graph, id: id}) DETACH DELETE m"
_DROP_NAMELESS = "UNWIND $ids AS id MATCH (e:Entity {graph: $graph, id: id}) WHERE NOT EXISTS { (e)--() } DELETE e"
_DROP_SOME = "MATCH (n:Memory|Entity {graph: $graph}) WITH n LIMIT 5000 DETACH DELETE n RETURN count(*) AS dropped"
_FORGET = "MATCH (g:DionysusGraph {id: $graph}) DELETE g"


@dataclass(slots=True)
class _State:
    """What the store has of the things that changed, as rows for Neo4j; `gone` are what it has no more."""

    memories: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    entities: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    mentions: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    relations: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    gone: list[str] = field(default_factory=list[str])
    gone_relations: list[str] = field(default_factory=list[str])


class Mirror:
    """Tells Neo4j what changes in one project of a store, for all its users.

    Args:
        store: The truth.
        bolt: Where it is mirrored.

    Attributes:
        is_filled: Whether Neo4j is known to have all but what waits in the outbox.
    """

    def __init__(self, store: Store, bolt: Bolt) -> None:
        self._store = store
        self._bolt = bolt
        self._defined = False
        self._graph: str | None = None
        self.is_filled = False

    @property
    def graph(self) -> str:
        """What this scope's graph is called in Neo4j."""
        if self._graph is None:
            self._graph = self._store.write(lambda connection: outbox.register(connection, self._store.scope))
        return self._graph

    def waiting(self) -> int:
        """Changes that Neo4j must still be told of."""
        with self._store.read() as connection:
            return outbox.waiting(connection, self._store.scope)

    def deliver(self) -> int:
        """Tell it the oldest changes; returns how many. All that there is, if it knows nothing of this graph.

        Raises:
            GraphUnavailable: if Neo4j doesn't answer; nothing is lost.
        """
        graph = self.graph  # registered first: what changes from here on is noted
        if not self._defined:
            self._bolt.define(SCHEMA)
            self._defined = True
        told = self._bolt.write(lambda transaction: self._told(transaction, graph))
        self.is_filled = True
        if told:
            self._store.write(lambda connection: outbox.done(connection, self._store.scope, told))
        return len(told)

    def rebuild(self, progress: Callable[[int, int], None]) -> int:
        """Delete this graph in Neo4j and tell it anew; returns how many changes were told.

        Args:
            progress: Told how many of how many.

        Raises:
            GraphUnavailable: if Neo4j doesn't answer; whoever syncs next goes on.
        """
        graph = self.graph
        self._bolt.define(SCHEMA)
        # The mark that it is filled goes first: whatever ends this in the middle, the next one to tell fills it.
        self._bolt.write(lambda transaction: transaction.run(_FORGET, graph=graph).consume())
        while self._bolt.write(lambda transaction: _dropped(transaction, graph)):
            pass
        done = self.deliver()
        total = done + self.waiting()
        progress(done, total)
        while count := self.deliver():
            done += count
            progress(done, max(total, done))
        return done

    def _told(self, transaction: "ManagedTransaction", graph: str) -> list[int]:
        scope = self._store.scope
        lock = transaction.run(_LOCK, graph=graph, tenant=scope.tenant, project=scope.project).single(strict=True)
        if not lock["filled"]:
            self._store.write(lambda connection: outbox.tell_all(connection, scope))
            transaction.run(_FILLED, graph=graph).consume()
        with self._store.read() as connection:
            changes = outbox.take(connection, scope, _AT_A_TIME)
            state = self._state(connection, changes)
        _apply(transaction, graph, state)
        return [seq for seq, _, _ in changes]

    def _state(self, connection: Connection, changes: Iterable[tuple[int, str, str]]) -> _State:
        refs: dict[str, set[str]] = {"memory": set(), "relation": set()}
        for _, kind, ref in changes:
            refs[kind].add(ref)
        state = _State()
        self._memories(connection, sorted(refs["memory"]), state)
        told = sorted(refs["relation"])
        self._relations(connection, relation.c.id.in_(told), state)
        held = {row["id"] for row in state.relations}
        state.gone_relations = [one for one in told if one not in held]
        ends = {row[end] for row in state.relations for end in ("subject_id", "object_id")}
        missing = sorted(ends - state.entities.keys())
        for row in connection.execute(select(entity).where(self._in_project(entity), entity.c.id.in_(missing))):
            state.entities[row.id] = _entity(row)
        return state

    def _memories(self, connection: Connection, ids: list[str], state: _State) -> None:
        query = select(memory).where(self._in_project(memory), memory.c.id.in_(ids)).order_by(memory.c.seq)
        rows = {row.seq: row for row in connection.execute(query)}
        named = select(mention.c.memory_seq, mention.c.how, entity).join(entity, entity.c.id == mention.c.entity_id)
        for row in connection.execute(named.where(self._in_project(entity), mention.c.memory_seq.in_(list(rows)))):
            state.entities[row.id] = _entity(row)
            told = rows[row.memory_seq]
            state.mentions.append({"memory_id": told.id, "entity_id": row.id, "how": row.how})
        self._relations(connection, relation.c.memory_seq.in_(list(rows)), state)
        state.memories = [_memory(row) for row in rows.values()]
        held = {row.id for row in rows.values()}
        state.gone = [one for one in ids if one not in held]

    def _relations(self, connection: Connection, chosen: Any, state: _State) -> None:
        query = (
            select(relation, memory.c.id.label("memory_id"), memory.c.recorded_to.label("forgotten"))
            .select_from(relation.outerjoin(memory, memory.c.seq == relation.c.memory_seq))
            .where(self._in_project(relation))
        )
        state.relations += [_relation(row) for row in connection.execute(query.where(chosen))]

    def _in_project(self, table: Table) -> ColumnElement[bool]:
        """The predicate for a project's rows of all users: the mirror has them all, and shows each what is theirs."""
        # No index fits these expressions: SQLite would take one of the scope, and read the whole of it.
        scope = self._store.scope
        return and_(
            func.coalesce(table.c.tenant, "") == scope.tenant, func.coalesce(table.c.project, "") == scope.project
        )


def _apply(transaction: "ManagedTransaction", graph: str, state: _State) -> None:
    _drop(transaction, graph, state)
    told = {row["memory_id"] for row in (*state.mentions, *state.relations)}
    puts: tuple[tuple[LiteralString, list[dict[str, Any]]], ...] = (
        (_PUT_MEMORIES, [row for row in state.memories if row["id"] in told]),
        (_PUT_ENTITIES, list(state.entities.values())),
        (_PUT_MENTIONS, state.mentions),
        (_PUT_RELATIONS, state.relations),
    )
    for query, rows in puts:
        if rows:
            transaction.run(query, graph=graph, rows=rows).consume()
    for kind, labels in _LABELS.items():
        if ids := [key for key, row in state.entities.items() if row["kind"] == kind]:
            transaction.run(_LABELLED + labels, graph=graph, ids=ids).consume()


def _drop(transaction: "ManagedTransaction", graph: str, state: _State) -> None:
    """What was purged, and entities that nothing names then."""
    nameless: set[str] = set()
    gone: tuple[tuple[LiteralString, list[str]], ...] = (
        (_DROP_RELATIONS, state.gone_relations),
        (_DROP_GROUND, state.gone),
        (_MENTIONED, state.gone),
    )
    for query, ids in gone:
        if ids:
            for record in transaction.run(query, graph=graph, ids=ids):
                nameless.update(record.values())
    if state.gone:
        transaction.run(_DROP_MEMORIES, graph=graph, ids=state.gone).consume()
    if nameless:
        transaction.run(_DROP_NAMELESS, graph=graph, ids=sorted(nameless)).consume()


def _dropped(transaction: "ManagedTransaction", graph: str) -> int:
    return transaction.run(_DROP_SOME, graph=graph).single(strict=True)["dropped"]


def _memory(row: Row[Any]) -> dict[str, Any]:
    """A memory without its text, which stays in the store; what is null is left out, as Neo4j does."""
    return {
        "id": row.id,
        "seq": row.seq,
        "tenant": row.tenant,
        "project": row.project,
        "owner": row.owner,
        "memory_type": row.memory_type,
        "speaker": row.speaker,
        "session_id": row.session_id,
        "source": cited(row.source, row.source_position),
        "occurred_at": row.occurred_at,
        "recorded_from": row.recorded_from,
        "recorded_to": row.recorded_to,
    }


def _entity(row: Row[Any]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("id", "tenant", "project", "key", "head", "name", "kind")}


def _relation(row: Row[Any]) -> dict[str, Any]:
    names = (
        *(
            "id",
            "owner",
            "session_id",
            "subject_id",
            "type",
            "object_id",
            "memory_id",
            "extractor",
            "told_by",
            "confidence",
            "first",
            "last",
        ),
        *("valid_from", "valid_to", "recorded_from", "ending_reason"),
    )
    ends = [end for end in (row.recorded_to, row.forgotten) if end is not None]
    return {name: getattr(row, name) for name in names} | {"recorded_to": min(ends, default=None)}
