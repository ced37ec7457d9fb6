"""The graph as it is asked: the same questions and the same answers, whether the store or Neo4j gives them."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

LATEST = 200
"""Memories of one entity in which companions are looked for, the newest ones: the world's Anns are in every memory."""


@dataclass(frozen=True, slots=True)
class Node:
    """An entity."""

    id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Edge:
    """One piece of evidence for a relation; subject and object are ids of entities, times are aware."""

    id: str
    subject: str
    type: str
    object: str
    memory_id: str | None
    extractor: str
    told_by: str | None
    confidence: float
    first: int | None
    last: int | None
    valid_from: datetime | None
    valid_to: datetime | None
    recorded_from: datetime
    recorded_to: datetime | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two entities that the same memories mention: how many of the latest ones of the first, and the newest of them."""

    first: str
    second: str
    together: int
    memory_id: str


@dataclass(frozen=True, slots=True)
class Counts:
    """How much of everything a project's graph has, ended things too."""

    entities: int
    mentions: int
    relations: int


class Graph(Protocol):
    """A scope's graph. `at` is a moment for what was believed then; None asks for now. Thread-safe."""

    def named(self, key: str, at: datetime | None) -> list[Node]:
        """The entity whose name has this normal form, if anything is believed of it."""
        ...

    def headed(self, head: str, at: datetime | None, limit: int) -> list[Node]:
        """Entities whose name begins with this word, by their names."""
        ...

    def in_memory(self, memory_id: str) -> list[Node]:
        """The entities that a memory mentions, by their names."""
        ...

    def nodes(self, ids: Collection[str]) -> dict[str, Node]:
        """Entities by id."""
        ...

    def edges(self, ids: Collection[str], types: Collection[str] | None, at: datetime | None, limit: int) -> list[Edge]:
        """What is said between these entities and any others, the surest and newest first."""
        ...

    def pairs(self, ids: Sequence[str], at: datetime | None, limit: int) -> list[Pair]:
        """What else the latest memories of each of these mention: for each at most `limit`, the most frequent first."""
        ...

    def memories_of(self, ids: Sequence[str], at: datetime | None, count: int) -> Mapping[str, list[str]]:
        """Ids of the latest memories that mention each of these, the newest first."""
        ...

    def counts(self) -> Counts:
        """How much there is in the whole project."""
        ...
