"""A store with the real model, memories told to it, and its consolidation."""

import contextlib
from datetime import UTC, datetime

import pytest

from dionysus_mcp.consolidation.consolidation import Consolidation
from dionysus_mcp.consolidation.shadows import shadowed
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in
from tests.dionysus_mcp.consolidation.recalling import Embedded


class Told:
    """A store that things are told to, with vectors where there is a model."""

    def __init__(self, settings, model=None):
        self.settings = settings
        self.store = Store(settings)
        self.memories = Memories(self.store)
        self.embedder = Embedded(self.store, model)
        self.search = Search(self.store, self.embedder, shadowed)
        self.consolidation = Consolidation(self.store)

    def tell(self, content, **rest):
        return self.memories.add(NewMemory(content, **rest), limit=100_000)[0]

    def tell_all(self, contents, **rest):
        new = [NewMemory(content, **rest) for content in contents]
        self.store.write(lambda connection: add_in(connection, self.store.scope, new))
        return new

    def current(self, *, semantic=True):
        held = self.memories.recent(100_000)
        return sorted(one.content for one in held if semantic or one.memory_type != "semantic")

    def state(self):
        """Everything that a memory is, but its number, its id and when it was recorded."""
        kept = ("content", "memory_type", "importance", "metadata", "speaker", "session_id", "source", "occurred_at")
        held = self.memories.recent(100_000)
        return sorted(repr([getattr(one, name) for name in kept]) for one in held)

    def plan(self, **how):
        self.embedder.follow()
        return self.consolidation.plan(**how)

    def apply(self, **how):
        return self.consolidation.apply(self.plan(**how))

    def found(self, text, as_of=None, top_k=5, **rest):
        self.embedder.follow()
        return [hit.content for hit in self.search.recall(Query(text, top_k, 100_000, as_of=as_of, **rest)).hits]

    def close(self):
        self.search.close()
        self.embedder.close()
        self.store.close()


@pytest.fixture
def told(settings, model):
    with contextlib.closing(Told(settings, model)) as opened:
        yield opened


@pytest.fixture
def by_words(words_only):
    with contextlib.closing(Told(words_only)) as opened:
        yield opened


@pytest.fixture
def day():
    return datetime(2024, 5, 1, 12, tzinfo=UTC)
