"""An exploration as it is answered: relations with their evidence, quoted from the store, within a budget of tokens."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Row, select

from dionysus_mcp.graph.exploring import Surroundings
from dionysus_mcp.graph.records import Companions, Entity, Evidence, Exploration, Relation
from dionysus_mcp.graph.shape import Edge
from dionysus_mcp.records import Record
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import cited, picked_in_scope

memory = schema.memory
_QUOTE = 240
"""Characters of a quote."""
_EVIDENCE = 3
"""Pieces of evidence that are shown for one relation."""
_CHARACTERS_A_TOKEN = 4
_BATCH = 400
R = TypeVar("R", bound=Record)


class Answering:
    """Puts surroundings into words.

    Args:
        store: Has the texts that are quoted, whoever keeps the graph.
    """

    def __init__(self, store: Store) -> None:
        self._store = store

    def exploration(self, found: Surroundings, token_budget: int) -> Exploration:
        """The answer, nearest first; what doesn't fit the budget is left out, and the notice says so."""
        told = self._memories({edge.memory_id for edge in found.edges} | {pair.memory_id for pair in found.pairs})
        entities = [
            Entity.model_validate(
                {
                    "id": key,
                    "name": found.nodes[key].name,
                    "kind": found.nodes[key].kind,
                    "distance": distance,
                    "memories": found.memories.get(key, []),
                }
            )
            for key, distance in found.distances.items()
            if key in found.nodes
        ]
        room = _Room(token_budget * _CHARACTERS_A_TOKEN)
        near = [one for one in entities if one.distance == 0]
        answer = Exploration(
            start=[node.name for node in found.start],
            entities=room.fitting(near),
            relations=room.fitting(self._relations(found, told)),
            companions=room.fitting(self._companions(found, told)),
        )
        rest = room.fitting(one for one in entities if one.distance)
        notices = [*found.notices, *room.notices()]
        return answer.model_copy(
            update={"entities": [*answer.entities, *rest], "notice": " ".join(notices) if notices else None}
        )

    def relation(self, edges: Sequence[Edge], names: dict[str, str]) -> Relation:
        """One relation with its evidence; the edges are all of the same subject, type and object."""
        return _relation(edges, names, self._memories({edge.memory_id for edge in edges}))

    def _relations(self, found: Surroundings, told: dict[str, Row[Any]]) -> Iterable[Relation]:
        grouped: dict[tuple[str, str, str], list[Edge]] = {}
        for edge in found.edges:
            grouped.setdefault((edge.subject, edge.type, edge.object), []).append(edge)
        names = {key: node.name for key, node in found.nodes.items()}
        for edges in grouped.values():
            if edges[0].subject in names and edges[0].object in names:
                yield _relation(edges, names, told)

    def _companions(self, found: Surroundings, told: dict[str, Row[Any]]) -> Iterable[Companions]:
        for pair in found.pairs:
            first, second = found.nodes.get(pair.first), found.nodes.get(pair.second)
            if first is None or second is None:
                continue
            row = told.get(pair.memory_id)
            yield Companions(
                first=first.name,
                second=second.name,
                together=pair.together,
                memory_id=pair.memory_id,
                source=None if row is None else cited(row.source, row.source_position),
                quote=None if row is None else _around(row.content, second.name),
            )

    def _memories(self, ids: Collection[str | None]) -> dict[str, Row[Any]]:
        wanted = sorted(one for one in ids if one is not None)
        columns = (memory.c.id, memory.c.content, memory.c.source, memory.c.source_position, memory.c.speaker)
        found: dict[str, Row[Any]] = {}
        with self._store.read() as connection:
            for start in range(0, len(wanted), _BATCH):
                part = wanted[start : start + _BATCH]
                query = select(*columns).where(picked_in_scope(self._store.scope), memory.c.id.in_(part))
                found |= {row.id: row for row in connection.execute(query)}
        return found


class _Room:
    """What is left of a budget of characters."""

    def __init__(self, characters: int) -> None:
        self._left = characters
        self._left_out = 0

    def fitting(self, records: Iterable[R]) -> list[R]:
        """Those of the records that there is room for; after the first that doesn't fit, none."""
        kept: list[R] = []
        for record in records:
            self._left -= len(record.model_dump_json(exclude_none=True))
            if self._left < 0:
                self._left_out += 1
            else:
                kept.append(record)
        return kept

    def notices(self) -> list[str]:
        """What to say of what was left out."""
        if not self._left_out:
            return []
        return [f"{self._left_out} pieces were left out to keep within the token budget."]


def _relation(edges: Sequence[Edge], names: dict[str, str], told: dict[str, Row[Any]]) -> Relation:
    best = max(edges, key=lambda edge: edge.confidence)
    ends = [edge.recorded_to for edge in edges]
    return Relation(
        subject=names[best.subject],
        type=best.type,
        object=names[best.object],
        confidence=best.confidence,
        valid_from=min((edge.valid_from for edge in edges if edge.valid_from), default=None),
        valid_to=max((edge.valid_to for edge in edges if edge.valid_to), default=None),
        ended_at=None if None in ends else max((end for end in ends if end), default=None),
        evidence=[_evidence(edge, told.get(edge.memory_id or "")) for edge in edges[:_EVIDENCE]],
    )


def _evidence(edge: Edge, row: Row[Any] | None) -> Evidence:
    return Evidence(
        memory_id=edge.memory_id,
        source=None if row is None else cited(row.source, row.source_position),
        speaker=None if row is None else row.speaker,
        quote=None if row is None else _quoted(row.content, edge.first or 0, edge.last),
        extractor=edge.extractor,
        told_by=edge.told_by,
        confidence=edge.confidence,
        recorded_at=edge.recorded_from,
    )


def _quoted(content: str, first: int, last: int | None) -> str:
    said = content[first:last]
    return said if len(said) <= _QUOTE else f"{said[: _QUOTE - 1]}…"


def _around(content: str, name: str) -> str:
    """What stands around a name; the beginning, where it is written otherwise there."""
    place = max(0, content.casefold().find(name.casefold()))
    first = max(0, place - _QUOTE // 3)
    if first:
        first = content.find(" ", first) + 1 or first
    said = content[first : first + _QUOTE]
    return f"{'…' if first else ''}{said}{'…' if first + _QUOTE < len(content) else ''}"
