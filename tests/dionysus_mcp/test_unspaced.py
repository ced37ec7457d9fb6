"""Recall in scripts that put no blanks between words: a memory is found by any word of its own."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.recall import terms, unspaced
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.embedder import BackgroundEmbedder, embed_missing
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Vectors
from tests.dionysus_mcp.engines import BOTH

ENGINES = BOTH

CORPUS = {
    "release": "我们决定把发布推迟到三月，因为测试还没完成。",
    "running": "他喜欢在海边跑步，每天早上六点。",
    "cat": "我家的猫叫小白。",
    "python": "新同事在学Python入门课程",
    "meeting": "ミーティングは金曜日の午後三時に変更されました。",
    "refund": "고객이 환불을 요청했습니다",
    "toner": "Der Drucker im dritten Stock braucht neuen Toner, sagt Herr Müller.",
    "client": "العميل يريد تسليم المشروع في شهر مايو",
    "move": "Мы перенесли сервер в новый дата-центр в Хельсинки",
}
QUESTIONS = [
    ("发布推迟到什么时候?", "release"),
    ("推迟", "release"),
    ("跑步", "running"),
    ("谁在海边跑步", "running"),
    ("猫", "cat"),
    ("Python入门", "python"),
    ("金曜日", "meeting"),
    ("ミーティングはいつですか", "meeting"),
    ("고객", "refund"),
    ("환불", "refund"),
    ("Müller", "toner"),
    ("مايو", "client"),
    ("Хельсинки", "move"),
]


@pytest.fixture
def stored(store):
    texts = {text: name for name, text in CORPUS.items()}
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(text) for text in texts]))
    return texts


@pytest.fixture
def words(store, stored):
    search = Search(store, BackgroundEmbedder(store, MemorySettings(embedder="none")))
    yield search
    search.close()


def ask(text, **options):
    return Query(text, options.pop("top_k", 3), 10_000, **options)


@pytest.mark.parametrize(("question", "name"), QUESTIONS)
def test_each_is_found_by_words_of_its_own(words, stored, question, name):
    assert stored[words.recall(ask(question)).hits[0].content] == name


def test_the_model_does_not_take_them_from_the_top(store, stored, model):
    embedder = BackgroundEmbedder(store, MemorySettings(embedder_threads=1), lambda _: model)
    embedder.start()
    embedder.wait(60)
    search = Search(store, embedder)
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 100, terms.Stemmer())
    found = {question: stored[search.recall(ask(question)).hits[0].content] for question, _ in QUESTIONS}
    search.close()
    embedder.close()
    assert found == dict(QUESTIONS)


def test_a_word_that_stands_nowhere_is_missing_and_one_that_does_is_not(words):
    assert words.recall(ask("海边 会议 猫 狗")).missing_terms == ["会议", "狗"]
    # Of a longer run nobody knows where its words begin.
    assert words.recall(ask("发布会议室在哪里")).missing_terms == []


def test_filters_and_moments_hold(words, store):
    assert words.recall(ask("跑步", admitted=Filter(exclude_types=frozenset({"episodic"})))).hits == []
    assert words.recall(ask("跑步", as_of=datetime(2020, 1, 1, tzinfo=UTC))).hits == []


def test_other_scopes_are_not_seen(words, settings):
    with contextlib.closing(Store(settings.model_copy(update={"project": "other"}))) as other:
        other.write(lambda connection: add_in(connection, other.scope, [NewMemory("跑步鞋在柜子里")]))
        search = Search(other, BackgroundEmbedder(other, MemorySettings(embedder="none")))
        assert [hit.content for hit in search.recall(ask("跑步")).hits] == ["跑步鞋在柜子里"]
        search.close()
    assert "跑步鞋在柜子里" not in [hit.content for hit in words.recall(ask("跑步鞋")).hits]


def test_what_stands_around_a_memory_finds_it_too(words, store):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("Toner", context="打印机")]))
    assert words.recall(ask("打印机")).hits[0].content == "Toner"


@given(st.text(alphabet="abc 一丁七ぁ가%_'\"*", max_size=40))
def test_pairs_are_parts_of_the_text_and_leave_nothing_out(text):
    found = terms.all_words(text)
    assert all(word in text for word in found)
    assert set("".join(found)) == {one for one in text if one.isalnum()}


def test_the_zero_of_years_belongs_to_them(words, store):
    assert terms.all_words("二〇二六年") == ["二〇", "〇二", "二六", "六年"]
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("二〇二六年的计划")]))
    assert words.recall(ask("二〇")).hits[0].content == "二〇二六年的计划"


def test_a_text_without_them_has_the_words_it_had():
    assert terms.all_words("Straßenbahn, naïve co-op 90") == ["Straßenbahn", "naïve", "co", "op", "90"]


class TestBeyondWhatIsLookedAt:
    def test_a_word_that_no_pair_was_looked_for_is_not_missing_where_a_hit_holds_it(self, words, store):
        many = [chr(0x4E00 + 2 * number) + chr(0x4E01 + 2 * number) for number in range(30)]
        store.write(lambda connection: add_in(connection, store.scope, [NewMemory(" ".join(many))]))
        found = words.recall(ask(" ".join(many)))
        assert (found.hits[0].content, found.missing_terms) == (" ".join(many), [])

    @pytest.mark.parametrize("limit", ["_LOOKED_AT", "_MOST_FOUND"])
    def test_what_stands_alone_is_found_by_the_text_index_and_not_missing(self, words, store, limit, monkeypatch):
        texts = ["金曜日 高橋", "土曜日 高橋", "日曜日 高橋"]
        store.write(lambda connection: add_in(connection, store.scope, [NewMemory(each) for each in texts]))
        monkeypatch.setattr(unspaced, limit, 1)
        found = words.recall(ask("高橋"))
        assert ({hit.content for hit in found.hits}, found.missing_terms) == (set(texts), [])

    def test_of_long_memories_fewer_are_gone_through(self, words, store, monkeypatch):
        texts = ["金曜日高橋", *("土曜日は雨" * 20 for _ in range(3))]
        for number, each in enumerate(texts):
            store.write(
                lambda connection, each=each, n=number: add_in(connection, store.scope, [NewMemory(f"{each}{n}")])
            )
        assert words.recall(ask("高橋")).hits[0].content == "金曜日高橋0"
        monkeypatch.setattr(unspaced, "_SAMPLED", 3)
        monkeypatch.setattr(unspaced, "_CHARACTERS", 200)
        assert "金曜日高橋0" not in {hit.content for hit in words.recall(ask("高橋")).hits}
        assert words.recall(ask("曜日")).hits
