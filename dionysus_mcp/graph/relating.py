"""Telling the graph that something holds between two entities, or no longer does."""

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph import names, writing
from dionysus_mcp.graph.answering import Answering
from dionysus_mcp.graph.records import Relation
from dionysus_mcp.graph.sql import SqlGraph
from dionysus_mcp.graph.writing import NewRelation
from dionysus_mcp.store.access import Store
from dionysus_mcp.texts import text_of


class Relations:
    """The relations of one scope that people and models tell."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._graph = SqlGraph(store)
        self._answering = Answering(store)

    def relate(self, new: NewRelation) -> Relation:
        """Believe a relation. The same one again, on the same ground, changes nothing.

        Raises:
            MemoryStoreError: if the two are the same entity, the times are the wrong way round, or the memory that it
                stands on is unknown or no longer believed.
        """
        if new.subject.key == new.object.key:
            raise MemoryStoreError(f"{new.subject.name!r} can't be related to itself; name two entities.")
        if new.valid_from and new.valid_to and new.valid_to < new.valid_from:
            raise MemoryStoreError(f"valid_to ({new.valid_to}) is before valid_from ({new.valid_from}); correct one.")
        scope, now = self._store.scope, writing.now()
        self._store.write(lambda connection: writing.relate(connection, scope, new, now))
        return self._told(new)

    def end(self, new: NewRelation, reason: str) -> Relation:
        """Cease to believe a relation, whoever told it; it stays in what was believed before. Again changes nothing.

        Raises:
            MemoryStoreError: if nothing ever said so, what says so is not the scope's own, or the reason is no text.
        """
        reason = text_of("reason", reason)
        scope, now = self._store.scope, writing.now()

        self._store.write(lambda connection: writing.unrelate(connection, scope, new, reason, now))
        left = self._told(new)
        if left.ended_at is None:
            raise MemoryStoreError(
                f"That {left.subject!r} {left.type} {left.object!r} is shared by the whole project, and the user "
                f"{scope.user!r} may read it and not end it."
            )
        return left

    def _told(self, new: NewRelation) -> Relation:
        ends = [names.entity_id(self._store.scope, each.key) for each in (new.subject, new.object)]
        said = self._graph.said(ends[0], new.type, ends[1])
        if not said:
            raise MemoryStoreError(
                f"Nothing says that {new.subject.name!r} {new.type} {new.object.name!r}; explore_graph shows what is "
                "said."
            )
        held = [edge for edge in said if edge.recorded_to is None]
        shown = {key: node.name for key, node in self._graph.nodes(ends).items()}
        return self._answering.relation(held or said, shown)
