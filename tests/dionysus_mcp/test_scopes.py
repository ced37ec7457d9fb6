"""Whatever one scope does, another one sees nothing of it: as if each had a store of its own."""

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from dionysus_mcp import admin
from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.store.counting import count_rows
from dionysus_mcp.store.memories import Memories
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.exporting import export_lines
from dionysus_mcp.upkeep.importing import Import
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH
from tests.dionysus_mcp.memories_of import LIMIT, opened, problems, told

ENGINES = BOTH


# Few words and names, so that both scopes often say and name the same; the second scope is made to look like the first.
WORDS = ("tea", "coffee", "harbour")
SCOPES = (("local", "default"), ("local", "Default"), ("local", "default%"), ("local' OR '1'='1", "default"))
actions = st.tuples(
    st.sampled_from(
        ["tell", "update", "forget", "restore", "believe", "predict", "import", "purge one", "purge", "cross"]
    ),
    st.sampled_from(WORDS),
    st.integers(0, 5),
)


class One:
    """One scope and what it does."""

    def __init__(self, settings, scope):
        self.opening = opened(settings, tenant=scope[0], project=scope[1], embedder="none")
        self.store = self.opening.__enter__()
        self.settings = settings.model_copy(update={"tenant": scope[0], "project": scope[1], "embedder": "none"})
        self.embedder = BackgroundEmbedder(self.store, self.settings)
        self.embedder.start()
        self.search = Search(self.store, self.embedder)
        self.ids: list[str] = []
        self.beliefs: list[str] = []

    def do(self, action, word, number, other):
        versions = Versions(self.store)
        chosen = self.ids[number % len(self.ids)] if self.ids else "m-none"
        steps = {
            "tell": lambda: told(self.store, f"{word} {number}", session_id=word, source=f"{word}.md").id,
            "update": lambda: versions.update(chosen, Change("r", content=f"{word} anew"), limit=LIMIT).id,
            "forget": lambda: versions.forget(chosen, "r").id,
            "restore": lambda: versions.restore(chosen).id,
            "believe": lambda: self.beliefs.append(MentalModels(self.store).create(NewModel("world", word)).id),
            "predict": lambda: self._predict(word),
            "import": lambda: self._import(other),
            "purge one": lambda: Purge(self.store, Selection(ids=[chosen], versions=True)).trial(),
            "purge": lambda: self._purge(word),
            "cross": lambda: self._cross(other),
        }
        try:
            made = steps[action]()
        except MemoryStoreError:
            return
        if isinstance(made, str) and made not in self.ids:
            self.ids.append(made)

    def seen(self):
        """All that a user of this scope can see."""
        memories = Memories(self.store)
        recalled = [
            [(hit.id, hit.content) for hit in self.search.recall(Query(word, 100, 8000)).hits] for word in WORDS
        ]
        return (
            {one.id: one for one in memories.recent(999)},
            memories.counts(),
            count_rows(self.store),
            {id_ for hits in recalled for id_, _ in hits},
            list(export_lines(self.store, lambda *_: None)),
            MentalModels(self.store).held(99),
            Predictions(self.store).open(99),
            Purge(self.store, Selection(everything=True)).trial(),
        )

    def _predict(self, word):
        return Predictions(self.store).make(NewPrediction(self.beliefs[-1], word, 0.5)) if self.beliefs else None

    def _import(self, other):
        lines = [line.encode() for line in export_lines(other.store, lambda *_: None)]
        Import(self.store, LIMIT, lambda _: None).take(lines)

    def _purge(self, word):
        Purge(self.store, Selection(sessions=[word], sources=[f"{word}.md"])).run()
        self.ids = [one.id for one in Memories(self.store).recent(99)]

    def _cross(self, other):
        """Try every door with the other's ids."""
        versions = Versions(self.store)
        for one in set(other.ids) - set(self.ids):
            for attempt in (
                lambda one=one: Memories(self.store).get([one]),
                lambda one=one: versions.history(one),
                lambda one=one: versions.forget(one, "r"),
                lambda one=one: versions.restore(one),
                lambda one=one: versions.update(one, Change("r", content="stolen"), limit=LIMIT),
                lambda one=one: Purge(self.store, Selection(ids=[one])).run(),
            ):
                with pytest.raises(MemoryStoreError, match="Unknown memory ids"):
                    attempt()
        for one in set(other.beliefs) - set(self.beliefs):
            with pytest.raises(MemoryStoreError, match="Unknown mental model"):
                MentalModels(self.store).revise(one, "stolen", "r")
            with pytest.raises(MemoryStoreError, match="Unknown mental model"):
                Predictions(self.store).make(NewPrediction(one, "stolen", 0.5))

    def close(self):
        self.search.close()
        self.embedder.close()
        self.opening.__exit__(None, None, None)


@given(
    st.lists(st.tuples(st.booleans(), actions), min_size=4, max_size=12),
    st.sampled_from([(SCOPES[0], other) for other in SCOPES[1:]]),
)
@rules(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_one_scope_does_changes_nothing_that_another_sees(settings, tmp_path_factory, steps, scopes):
    file = {"url": f"sqlite:///{tmp_path_factory.mktemp('scopes') / 'm.db'}"}
    both = [One(settings.model_copy(update=file), scope) for scope in scopes]
    try:
        told(both[0].store, "tea 0", session_id="tea")
        told(both[1].store, "tea 0", session_id="tea")
        for second, (action, word, number) in steps:
            actor, watcher = (both[1], both[0]) if second else (both[0], both[1])
            before = watcher.seen()
            actor.do(action, word, number, watcher)
            assert watcher.seen() == before, action
        assert not set(both[0].seen()[0]) & set(both[1].seen()[0])
        assert problems(both[0].store) == {}
    finally:
        for one in both:
            one.close()


def test_recall_by_meaning_stays_within_its_scope(settings, model):
    for project, content in (("a", "Whiskers slept on the warm stove."), ("b", "A kitten dozed by the oven.")):
        scope = settings.model_copy(update={"project": project})
        admin.ingest_text(content, scope)
    for project, content in (("a", "Whiskers slept on the warm stove."), ("b", "A kitten dozed by the oven.")):
        with opened(settings, project=project) as store:
            embedder = BackgroundEmbedder(store, settings, lambda _threads: model)
            embedder.start()
            embedder.wait(60)
            search = Search(store, embedder)
            found = search.recall(Query("feline nap", 10, 8000))
            embedder.close()
            search.close()
            assert ([hit.content for hit in found.hits], found.mode) == ([content], "hybrid")


@pytest.mark.parametrize("scope", [{"tenant": ""}, {"project": ""}])
def test_there_is_no_scope_without_a_name(settings, scope):
    with pytest.raises(MemoryStoreError, match="scope has a tenant and a project"):
        with opened(settings, **scope):
            pass
