"""The graph in the tables of the store."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func, or_, select

from dionysus_mcp.graph.shape import LATEST, Counts, Edge, Node, Pair
from dionysus_mcp.graph.tables import entity, mention, relation
from dionysus_mcp.graph.writing import of_scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import believed, picked_in_scope
from dionysus_mcp.store.scoping import picked

memory = schema.memory


class SqlGraph:
    """A scope's graph, asked of its store; see `shape.Graph`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._scope = store.scope

    def named(self, key: str, at: datetime | None) -> list[Node]:
        """The entity whose name has this normal form, if anything is believed of it."""
        return self._nodes(self._entities().where(entity.c.key == key, self._lives(at)))

    def headed(self, head: str, at: datetime | None, limit: int) -> list[Node]:
        """Entities whose name begins with this word, by their names."""
        wanted = self._entities().where(entity.c.head == head, self._lives(at))
        return self._nodes(wanted.order_by(entity.c.key).limit(limit))

    def in_memory(self, memory_id: str) -> list[Node]:
        """The entities that a memory mentions, by their names."""
        joined = entity.join(mention, mention.c.entity_id == entity.c.id).join(
            memory, memory.c.seq == mention.c.memory_seq
        )
        wanted = self._entities().select_from(joined).where(picked_in_scope(self._scope), memory.c.id == memory_id)
        return self._nodes(wanted.order_by(entity.c.key))

    def nodes(self, ids: Collection[str]) -> dict[str, Node]:
        """Entities by id."""
        return {node.id: node for node in self._nodes(self._entities().where(entity.c.id.in_(ids)))}

    def edges(self, ids: Collection[str], types: Collection[str] | None, at: datetime | None, limit: int) -> list[Edge]:
        """What is said between these entities and any others, the surest and newest first."""
        query = (
            self._edges()
            .where(self._believed(at))
            .where(or_(relation.c.subject_id.in_(ids), relation.c.object_id.in_(ids)))
            .order_by(relation.c.confidence.desc(), relation.c.recorded_from.desc(), relation.c.id)
            .limit(limit)
        )
        if types is not None:
            query = query.where(relation.c.type.in_(types))
        with self._store.read() as connection:
            return [_edge(row) for row in connection.execute(query)]

    def said(self, subject: str, type_: str, object_: str) -> list[Edge]:
        """All that says one relation, ended or not, the newest first."""
        query = self._edges().where(
            relation.c.subject_id == subject, relation.c.type == type_, relation.c.object_id == object_
        )
        with self._store.read() as connection:
            return [_edge(row) for row in connection.execute(query.order_by(relation.c.recorded_from.desc()))]

    def pairs(self, ids: Sequence[str], at: datetime | None, limit: int) -> list[Pair]:
        """What else the latest memories of each of these mention: for each at most `limit`, the most frequent first."""
        found: list[Pair] = []
        with self._store.read() as connection:
            for one in ids:
                seqs = connection.execute(self._latest(one, at, LATEST, memory.c.seq)).scalars().all()
                newest = func.max(mention.c.memory_seq).label("newest")
                together = func.count().label("together")
                counted = (
                    select(mention.c.entity_id, together, newest)
                    .where(mention.c.memory_seq.in_(seqs), mention.c.entity_id != one)
                    .group_by(mention.c.entity_id)
                    .order_by(together.desc(), newest.desc(), mention.c.entity_id)
                    .limit(limit)
                ).subquery()
                query = select(counted, memory.c.id).join(memory, memory.c.seq == counted.c.newest)
                order = query.order_by(counted.c.together.desc(), counted.c.newest.desc(), counted.c.entity_id)
                found += [Pair(one, row.entity_id, row.together, row.id) for row in connection.execute(order)]
        return found

    def memories_of(self, ids: Sequence[str], at: datetime | None, count: int) -> Mapping[str, list[str]]:
        """Ids of the latest memories that mention each of these, the newest first."""
        with self._store.read() as connection:
            return {
                one: list(connection.execute(self._latest(one, at, count, memory.c.id)).scalars().all()) for one in ids
            }

    def counts(self) -> Counts:
        """How much there is in the whole project."""
        mentions = select(func.count()).select_from(mention.join(entity)).where(of_scope(self._scope))
        mine = (relation.c.tenant == self._scope.tenant) & (relation.c.project == self._scope.project)
        relations = select(func.count()).select_from(relation).where(mine)
        with self._store.read() as connection:
            return Counts(
                connection.execute(select(func.count()).select_from(entity).where(of_scope(self._scope))).scalar_one(),
                connection.execute(mentions).scalar_one(),
                connection.execute(relations).scalar_one(),
            )

    def _edges(self) -> Select[Any]:
        return (
            select(relation, memory.c.id.label("memory_id"), memory.c.recorded_to.label("forgotten"))
            .select_from(relation.outerjoin(memory, memory.c.seq == relation.c.memory_seq))
            .where(picked(relation, self._scope))
        )

    def _entities(self) -> Select[Any, *tuple[Any, ...]]:
        return select(entity.c.id, entity.c.name, entity.c.kind).where(of_scope(self._scope))

    def _nodes(self, query: Select[Any]) -> list[Node]:
        with self._store.read() as connection:
            return [Node(row.id, row.name, row.kind) for row in connection.execute(query)]

    def _latest(self, one: str, at: datetime | None, count: int, column: ColumnElement[Any]) -> "Select[Any]":
        return (
            select(column)
            .select_from(mention.join(memory, memory.c.seq == mention.c.memory_seq))
            .where(mention.c.entity_id == one, picked_in_scope(self._scope), believed(at))
            .order_by(mention.c.memory_seq.desc())
            .limit(count)
        )

    def _lives(self, at: datetime | None) -> ColumnElement[bool]:
        """Whether this scope believes anything of an entity."""
        mentioned = (
            exists()
            .where(mention.c.entity_id == entity.c.id, mention.c.memory_seq == memory.c.seq)
            .where(picked_in_scope(self._scope), believed(at))
            .correlate(entity)
        )
        either = [relation.c.subject_id == entity.c.id, relation.c.object_id == entity.c.id]
        joined = relation.outerjoin(memory, memory.c.seq == relation.c.memory_seq)
        related = [
            exists(
                select(relation.c.id)
                .select_from(joined)
                .where(end, self._believed(at), picked(relation, self._scope))
                .correlate(entity)
            )
            for end in either
        ]
        return or_(mentioned, *related)

    def _believed(self, at: datetime | None) -> ColumnElement[bool]:
        """Whether a relation is believed: itself, and the memory that it stands on, if any."""
        if at is None:
            held = relation.c.recorded_to.is_(None)
        else:
            later = or_(relation.c.recorded_to.is_(None), relation.c.recorded_to > at)
            held = and_(relation.c.recorded_from <= at, later)
        return and_(held, or_(relation.c.memory_seq.is_(None), believed(at)))


def _edge(row: Row[Any]) -> Edge:
    ends = [end for end in (row.recorded_to, row.forgotten) if end is not None]
    return Edge(
        id=row.id,
        subject=row.subject_id,
        type=row.type,
        object=row.object_id,
        memory_id=row.memory_id,
        extractor=row.extractor,
        told_by=row.told_by,
        confidence=row.confidence,
        first=row.first,
        last=row.last,
        valid_from=row.valid_from,
        valid_to=row.valid_to,
        recorded_from=row.recorded_from,
        recorded_to=min(ends, default=None),
    )
