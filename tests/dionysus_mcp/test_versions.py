"""What becomes of a memory: changed, forgotten, restored, and recalled as it was believed at a moment."""

import contextlib
from datetime import timedelta

import pytest

from dionysus_mcp.client import McpClient, McpToolError, MemoryClient, memory_server
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory
from dionysus_mcp.store.versions import Change, Versions
from tests.dionysus_mcp.engines import BOTH, postgres_in_all
from tests.dionysus_mcp.memories_of import a_moment_apart

ENGINES = BOTH

LIMIT = 1000


@pytest.fixture
def memories(store):
    return Memories(store)


@pytest.fixture
def versions(store):
    return Versions(store)


def told(memories, content, **rest):
    return memories.add(NewMemory(content, **rest), limit=LIMIT)[0]


def current(memories):
    return [one.content for one in memories.recent(99)]


class TestUpdate:
    def test_the_new_version_is_current_and_the_old_one_stays(self, memories, versions):
        old = told(memories, "Tea is at four.", speaker="Ann", session_id="s", source="chat", metadata={"a": 1})
        new = versions.update(old.id, Change("it moved", content="Tea is at five."), limit=LIMIT)
        assert current(memories) == ["Tea is at five."]
        assert (new.speaker, new.session_id, new.source, new.metadata) == ("Ann", "s", "chat", {"a": 1})
        [kept] = memories.get([old.id])
        assert (kept.content, kept.ended_as, kept.ended_because) == ("Tea is at four.", "superseded", "it moved")
        assert kept.superseded_at == new.recorded_at
        assert versions.history(old.id) == versions.history(new.id) == [kept, new]

    def test_what_was_left_out_stays_as_it_was(self, memories, versions):
        old = told(memories, "tea", importance=0.2, metadata={"a": 1})
        new = versions.update(old.id, Change("matters", importance=0.9), limit=LIMIT)
        assert (new.content, new.importance, new.metadata) == ("tea", 0.9, {"a": 1})
        emptied = versions.update(new.id, Change("tidy", metadata={}), limit=LIMIT)
        assert (emptied.importance, emptied.metadata) == (0.9, {})

    def test_the_same_update_again_gives_the_version_that_it_made(self, memories, versions):
        old = told(memories, "Tea is at four.")
        change = Change("it moved", content="Tea is at five.")
        new = versions.update(old.id, change, limit=LIMIT)
        assert versions.update(old.id, change, limit=LIMIT) == new
        assert len(versions.history(old.id)) == 2

    def test_what_changes_nothing_makes_no_version(self, memories, versions):
        old = told(memories, "tea", metadata={"a": 1})
        assert versions.update(old.id, Change("why not", content="tea", metadata={"a": 1}), limit=LIMIT) == old
        assert versions.history(old.id) == [old]

    def test_two_who_update_the_same_version_are_not_merged_silently(self, memories, versions):
        old = told(memories, "Tea is at four.")
        first = versions.update(old.id, Change("a", content="Tea is at five."), limit=LIMIT)
        with pytest.raises(MemoryStoreError, match=f"superseded by '{first.id}'; use that id"):
            versions.update(old.id, Change("b", content="Tea is at six."), limit=LIMIT)
        assert current(memories) == ["Tea is at five."]

    def test_what_another_memory_says_already_is_not_doubled(self, memories, versions):
        old, other = told(memories, "Tea is at four."), told(memories, "Tea is at five.")
        with pytest.raises(MemoryStoreError, match=f"'{other.id}' says the same"):
            versions.update(old.id, Change("it moved", content="Tea is at five."), limit=LIMIT)
        assert len(current(memories)) == 2

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (Change(" "), "reason must have"),
            (Change("r" * 4001), "reason must have"),
            (Change("r\x00"), "NUL"),
            (Change("r", content=" "), "empty"),
            (Change("r", content="x" * (LIMIT + 1)), "1,001 characters"),
            (Change("r", content="\ud800"), "surrogate"),
            (Change("r", metadata={"a": float("inf")}), "JSON"),
        ],
    )
    def test_what_cannot_be_stored_leaves_all_as_it_was(self, memories, versions, change, words):
        old = told(memories, "tea")
        with pytest.raises(MemoryStoreError, match=words):
            versions.update(old.id, change, limit=LIMIT)
        assert memories.get([old.id]) == [old]


class TestForget:
    def test_a_forgotten_memory_is_read_by_id_alone(self, memories, versions):
        old = told(memories, "tea")
        gone = versions.forget(old.id, "asked to")
        assert current(memories) == []
        assert memories.counts() == {}
        assert memories.get([old.id]) == [gone]
        assert (gone.ended_as, gone.ended_because) == ("forgotten", "asked to")

    def test_forgetting_again_changes_nothing(self, memories, versions):
        old = told(memories, "tea")
        assert versions.forget(old.id, "asked to") == versions.forget(old.id, "once more")

    def test_an_old_version_cannot_be_forgotten_in_place_of_the_current_one(self, memories, versions):
        old = told(memories, "tea")
        new = versions.update(old.id, Change("more", content="tea and cake"), limit=LIMIT)
        with pytest.raises(MemoryStoreError, match=new.id):
            versions.forget(old.id, "wrong one")
        assert current(memories) == ["tea and cake"]

    def test_a_restored_memory_is_a_new_version_and_the_gap_stays(self, memories, versions):
        old = told(memories, "tea")
        gone = versions.forget(old.id, "asked to")
        back = versions.restore(old.id)
        assert (back.content, back.superseded_at) == ("tea", None)
        assert back.recorded_at >= gone.superseded_at
        assert versions.history(back.id) == [gone, back]
        assert versions.restore(old.id) == versions.restore(back.id) == back

    def test_what_was_told_again_meanwhile_is_what_is_restored(self, memories, versions):
        old = told(memories, "tea")
        versions.forget(old.id, "asked to")
        again = told(memories, "tea")
        assert versions.restore(old.id) == again
        assert current(memories) == ["tea"]

    def test_what_was_changed_after_it_was_restored_is_not_restored_over_it(self, memories, versions):
        old = told(memories, "tea")
        versions.forget(old.id, "asked to")
        newest = versions.update(versions.restore(old.id).id, Change("more", content="tea and cake"), limit=LIMIT)
        with pytest.raises(MemoryStoreError, match=newest.id):
            versions.restore(old.id)
        assert current(memories) == ["tea and cake"]

    def test_a_superseded_version_is_not_restored(self, memories, versions):
        old = told(memories, "tea")
        versions.update(old.id, Change("more", content="tea and cake"), limit=LIMIT)
        with pytest.raises(MemoryStoreError, match="superseded by"):
            versions.restore(old.id)

    def test_a_forgotten_memory_is_not_updated(self, memories, versions):
        old = told(memories, "tea")
        versions.forget(old.id, "asked to")
        with pytest.raises(MemoryStoreError, match="restore_memory"):
            versions.update(old.id, Change("more", content="cake"), limit=LIMIT)


def test_no_other_scope_reaches_a_version(settings, memories, versions):
    mine = told(memories, "mine")
    with contextlib.closing(Store(settings.model_copy(update={"tenant": "other"}))) as other:
        theirs = Versions(other)
        for attempt in (
            lambda: theirs.update(mine.id, Change("r", content="theirs"), limit=LIMIT),
            lambda: theirs.forget(mine.id, "r"),
            lambda: theirs.restore(mine.id),
            lambda: theirs.history(mine.id),
        ):
            with pytest.raises(MemoryStoreError, match="Unknown memory ids"):
                attempt()
    assert versions.history(mine.id) == [mine]


class Recalling:
    """A search over the store as a server has it."""

    def __init__(self, store, settings, model=None):
        self.embedder = BackgroundEmbedder(store, settings, None if model is None else lambda _threads: model)
        self.embedder.start()
        self.embedder.wait(60)
        self.search = Search(store, self.embedder)

    def found(self, text, as_of=None, top_k=5):
        self.embedder.follow()
        recall = self.search.recall(Query(text, top_k, 8000, as_of=as_of))
        return [hit.content for hit in recall.hits]

    def close(self):
        self.embedder.close()
        self.search.close()


@pytest.fixture(params=["words", "meaning"])
def recalling(request, store, settings, words_only, model):
    by_words = request.param == "words"
    opened = Recalling(store, words_only if by_words else settings, None if by_words else model)
    yield opened
    opened.close()


class TestThePast:
    def test_recall_gives_what_was_believed_then(self, memories, versions, recalling):
        before = a_moment_apart()
        told(memories, "The harbour has a lighthouse.")
        old = told(memories, "Tea is served at four.")
        assert recalling.found("when is tea served", top_k=1) == ["Tea is served at four."]
        first = a_moment_apart()
        new = versions.update(old.id, Change("it moved", content="Tea is served at five."), limit=LIMIT)
        assert recalling.found("when is tea served", top_k=1) == ["Tea is served at five."]
        second = a_moment_apart()
        versions.forget(new.id, "no more tea")
        third = a_moment_apart()
        for moment, expected in [(first, "Tea is served at four."), (second, "Tea is served at five.")]:
            assert recalling.found("when is tea served", moment, top_k=1) == [expected]
        assert recalling.found("when is tea served", before) == []
        for gone in (None, third, third + timedelta(days=1)):
            assert not any("Tea" in content for content in recalling.found("when is tea served", gone))

    def test_a_hit_of_the_past_tells_that_it_ended(self, store, memories, versions, recalling):
        old = told(memories, "Tea is served at four.")
        moment = a_moment_apart()
        gone = versions.forget(old.id, "asked to")
        [hit] = recalling.search.recall(Query("tea", 5, 8000, as_of=moment)).hits
        assert (hit.id, hit.superseded_at) == (old.id, gone.superseded_at)

    def test_what_was_restored_is_recalled_but_not_within_the_gap(self, memories, versions, recalling):
        old = told(memories, "Tea is served at four.")
        assert recalling.found("tea")
        versions.forget(old.id, "asked to")
        gap = a_moment_apart()
        versions.restore(old.id)
        assert recalling.found("tea") == ["Tea is served at four."]
        assert recalling.found("tea", gap) == []

    def test_another_process_sees_an_update_at_once(self, settings, words_only, memories, versions, recalling):
        old = told(memories, "Tea is served at four.")
        assert recalling.found("tea") == ["Tea is served at four."]
        with contextlib.closing(Store(settings)) as other:
            Versions(other).update(old.id, Change("it moved", content="Tea is served at five."), limit=LIMIT)
        assert recalling.found("tea") == ["Tea is served at five."]


@postgres_in_all
@pytest.mark.anyio
async def test_a_client_changes_forgets_restores_and_looks_back(words_only, trace):
    async with McpClient("memory", memory_server(words_only, trace)) as client:
        memory = MemoryClient(client)
        tools = {tool.name: tool for tool in await client.tools()}
        assert {"update_memory", "forget_memory", "restore_memory", "memory_history"} <= tools.keys()
        old = await memory.create("Tea is at four.")
        moment = a_moment_apart()
        new = await memory.update(old.id, "it moved", content="Tea is at five.", metadata={"by": "Ann"})
        assert [hit.id for hit in (await memory.recall("tea")).hits] == [new.id]
        assert [hit.id for hit in (await memory.recall("tea", as_of=moment)).hits] == [old.id]
        gone = await memory.forget(new.id, "asked to")
        assert (await memory.recall("tea")).hits == []
        assert (await memory.history(old.id)).current is None
        back = await memory.restore(new.id)
        history = await memory.history(old.id)
        assert [one.id for one in history.versions] == [old.id, new.id, back.id]
        assert (history.current, history.versions[1]) == (back.id, gone)
        for tool, arguments, words in (
            ("update_memory", {"memory_id": "m-none", "reason": "r"}, "Unknown memory ids: 'm-none'"),
            ("update_memory", {"memory_id": back.id, "reason": ""}, "reason"),
            ("update_memory", {"memory_id": back.id, "reason": "r", "importance": 2}, "importance"),
            ("forget_memory", {"memory_id": old.id, "reason": "r"}, "superseded"),
            ("memory_history", {"memory_id": 5}, "memory_id"),
            ("semantic_recall", {"query": "tea", "as_of": "yesterday"}, "as_of"),
        ):
            with pytest.raises(McpToolError, match=words):
                await client.call(tool, arguments)
        assert (await memory.recall("tea")).hits
