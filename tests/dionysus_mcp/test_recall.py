import contextlib
import json
import re
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.recall import keywords, terms
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.embedder import BackgroundEmbedder, embed_missing
from dionysus_mcp.recall.frequencies import Frequencies
from dionysus_mcp.recall.fusion import fuse, z_scores
from dionysus_mcp.recall.index import MemoryIndex
from dionysus_mcp.recall.postgres_index import index_of
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in, memory, supersede_in
from dionysus_mcp.store.vectors import Indexed, Vectors
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH, sqlite_only
from tests.dionysus_mcp.memories_of import examples

ENGINES = BOTH

CORPUS = {
    "queue": "We chose RabbitMQ as our message queue because the operators know how to run it.",
    "redis": "Redis streams were rejected: losing unacknowledged messages on failover was not acceptable.",
    "backup": "Backups of the database run every night at 02:00 and are kept for thirty days.",
    "restore": "A restore was rehearsed in March; it took four hours from the cold copy.",
    "cat": "Whiskers slept on the warm stove all afternoon.",
    "paris": "Caroline moved to Paris in 2021 and works at the opera.",
    "login": "Users sign in with a passkey; passwords were switched off last year.",
    "latency": "The p99 response time of the search page must stay under 300 milliseconds.",
    "deploy": "Every merge to main is rolled out to production within ten minutes by the pipeline.",
    "oncall": "Whoever is on duty carries the pager for one week, Monday to Monday.",
    "cost": "The cloud bill rose by a fifth after the logs were kept uncompressed.",
    "license": "The project is published under the Apache 2.0 license.",
}


@pytest.fixture
def remembered(store):
    """Names of the corpus by memory id, and the memories stored."""
    memories = Memories(store)
    return {memories.add(NewMemory(text), limit=1000)[0].id: name for name, text in CORPUS.items()}


@pytest.fixture
def words(store):
    """Search without an embedder, which is how a server begins."""
    search = Search(store, BackgroundEmbedder(store, MemorySettings(embedder="none")))
    yield search
    search.close()


@pytest.fixture
def hybrid(store, remembered):
    embedder = BackgroundEmbedder(store, MemorySettings(embedder_threads=1))
    embedder.start()
    embedder.wait(60)
    embedder.follow()
    while embedder.pending():
        embedder.follow()
    search = Search(store, embedder)
    yield search
    search.close()
    embedder.close()


def ask(text, **options):
    return Query(text, options.pop("top_k", 3), options.pop("token_budget", 10_000), **options)


@sqlite_only
@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Which message queue did we choose?", "queue"),
        ("Why not Redis?", "redis"),
        ("where was the feline napping", "cat"),
        ("How do people authenticate?", "login"),
        ("How fast do pages have to answer?", "latency"),
        ("How do changes reach customers?", "deploy"),
        ("Who has pager duty?", "oncall"),
        ("What made our infrastructure spending go up?", "cost"),
        ("Which city does Caroline live in?", "paris"),
        ("How long does disaster recovery take?", "restore"),
        ("Is the software open source?", "license"),
        ("How often is the data saved?", "backup"),
    ],
)
def test_a_question_in_other_words_finds_its_memory(hybrid, remembered, question, expected):
    found = [remembered[hit.id] for hit in hybrid.recall(ask(question)).hits]
    assert expected in found[:2]


def test_hits_come_best_first_with_scores_in_range(hybrid):
    recall = hybrid.recall(ask("message queue", top_k=12))
    scores = [hit.score for hit in recall.hits]
    assert recall.mode == "hybrid"
    assert recall.notice is None
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert all(-1.0001 <= hit.similarity <= 1.0001 for hit in recall.hits)


def test_without_an_embedder_words_alone_serve_and_it_is_said(words, remembered):
    recall = words.recall(ask("message queue"))
    assert recall.mode == "keyword"
    assert "words alone" in recall.notice
    assert remembered[recall.hits[0].id] == "queue"


def test_what_was_purged_makes_no_word_rarer(store, words):
    """Numbers are never given again, so the highest one doesn't tell how many memories there are."""
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(f"gone {n}") for n in range(90)]))
    Purge(store, Selection(everything=True)).run()
    kept = [NewMemory(f"harbour {n}") for n in range(5)] + [NewMemory("violin solo")]
    store.write(lambda connection: add_in(connection, store.scope, kept))
    recall = words.recall(ask("harbour violin solo Lisbon", top_k=1))
    assert [hit.content for hit in recall.hits] == ["violin solo"]
    assert recall.missing_terms == ["Lisbon"], "a harbour is in most memories"


def test_missing_terms_are_the_rare_words_that_no_hit_covers(words, remembered):
    assert words.recall(ask("Which message queues did we choose for Kubernetes in Lisbon?")).missing_terms == [
        "Kubernetes",
        "Lisbon",
    ]


def test_endings_and_irregular_forms_do_not_count_as_missing(words, remembered):
    assert words.recall(ask("choosing messages, backup sleep")).missing_terms == []


def test_a_word_is_missing_where_only_memories_beyond_the_hits_hold_it(words, remembered):
    recall = words.recall(ask("queue operators Whiskers", top_k=1))
    assert recall.missing_terms == ["Whiskers"]


def test_types_can_be_wanted_and_unwanted(store, hybrid):
    answer, _ = Memories(store).add(NewMemory("The message queue is RabbitMQ.", memory_type="answer"), limit=1000)
    embed_missing(_vectors(store), hybrid._embedder.model, 10, terms.Stemmer())
    everything = hybrid.recall(ask("message queue", top_k=20))
    without = hybrid.recall(ask("message queue", top_k=20, admitted=Filter(exclude_types=frozenset({"answer"}))))
    only = hybrid.recall(ask("message queue", top_k=20, admitted=Filter(memory_types=frozenset({"answer"}))))
    assert answer.id in [hit.id for hit in everything.hits]
    assert answer.id not in [hit.id for hit in without.hits]
    assert [hit.id for hit in only.hits] == [answer.id]


def test_a_session_is_recalled_alone_when_asked_for(store, hybrid):
    Memories(store).add(NewMemory("The queue is down again", session_id="s1"), limit=1000)
    recall = hybrid.recall(ask("queue", top_k=20, admitted=Filter(session_id="s1")))
    assert [hit.session_id for hit in recall.hits] == ["s1"]


def test_a_superseded_memory_is_found_no_more(store, hybrid, remembered):
    memories = Memories(store)
    old, _ = memories.add(NewMemory("The queue runs on port 5672.", origin="/f"), limit=1000)
    embed_missing(_vectors(store), hybrid._embedder.model, 10, terms.Stemmer())
    assert old.id in [hit.id for hit in hybrid.recall(ask("queue port", top_k=20)).hits]
    store.write(lambda connection: supersede_in(connection, store.scope, "/f", set()))
    assert old.id not in [hit.id for hit in hybrid.recall(ask("queue port", top_k=20)).hits]


def test_what_another_process_stored_is_found_by_meaning_too(settings, hybrid, model):
    other = Store(settings)
    stored, _ = Memories(other).add(NewMemory("Our canteen serves noodles on Thursdays."), limit=1000)
    hybrid.recall(ask("anything"))
    embed_missing(_vectors(other), model, 10, terms.Stemmer())
    other.close()
    hit = hybrid.recall(ask("When is there pasta for lunch?")).hits[0]
    assert hit.id == stored.id
    assert hit.similarity is not None


def test_memories_that_wait_for_their_vectors_are_told_of(store, settings, remembered, model):
    embedder = BackgroundEmbedder(store, settings)  # its thread doesn't run: what it will do, it has not done yet
    embedder._model, embedder._index, embedder.status = model, index_of(embedder._vectors), "ready"
    search = Search(store, embedder)
    assert search.recall(ask("pasta for lunch")).notice is None, "nobody has looked yet what there is to do"
    while embedder.pending():
        embedder.follow()
    assert search.recall(ask("pasta for lunch")).notice is None
    with contextlib.closing(Store(settings)) as other:  # of a process whose model is not there yet
        stored, _ = Memories(other).add(NewMemory("Our canteen serves noodles on Thursdays."), limit=1000)
    missed = search.recall(ask("When is there pasta for lunch?"))
    assert stored.id not in [hit.id for hit in missed.hits]
    assert "wait for their vectors" in missed.notice
    assert search.recall(ask("canteen noodles")).hits[0].id == stored.id
    embedder.follow()
    found = search.recall(ask("When is there pasta for lunch?"))
    assert (found.hits[0].id, found.notice) == (stored.id, None)
    search.close()
    embedder.close()


def test_a_threshold_leaves_out_what_scores_less(hybrid):
    recall = hybrid.recall(ask("message queue", top_k=12, threshold=0.6))
    assert recall.hits
    assert all(hit.score >= 0.6 for hit in recall.hits)


def test_a_token_budget_leaves_out_whole_hits_and_says_so(hybrid):
    recall = hybrid.recall(ask("message queue", top_k=12, token_budget=140))
    assert 1 <= len(recall.hits) < 12
    assert all(hit.content in CORPUS.values() for hit in recall.hits)
    assert re.search(r"\d+ more hits did not fit the budget of 140 tokens", recall.notice)


def test_a_budget_too_small_for_one_hit_gives_its_beginning(store, words):
    Memories(store).add(NewMemory("zebra " * 200), limit=10_000)
    recall = words.recall(ask("zebra", token_budget=10))
    assert recall.hits[0].content == ("zebra " * 200)[:40]
    assert "get_memories" in recall.notice


def test_long_metadata_are_shown_by_their_beginning_and_keep_no_other_hit_out(store, words):
    huge = {"log": "zebra\n" * 5000}
    long, _ = Memories(store).add(NewMemory("The zebra is long.", metadata=huge), limit=1000)
    Memories(store).add(NewMemory("The zebra is short.", metadata={"tag": 1}), limit=1000)
    recall = words.recall(ask("zebra", token_budget=600))
    found = {hit.content: hit for hit in recall.hits}
    assert found["The zebra is short."].metadata == {"tag": 1}
    assert found["The zebra is short."].metadata_part is None
    assert found["The zebra is long."].metadata == {}
    assert found["The zebra is long."].metadata_part == json.dumps(huge)[:200]
    assert "get_memories gives them whole" in recall.notice
    assert len(recall.model_dump_json()) < 4 * 600
    assert Memories(store).get([long.id])[0].metadata == huge


def test_headings_and_speakers_help_to_find(store, words):
    Memories(store).add(NewMemory("Call the number on the door.", context="Fire drill"), limit=1000)
    Memories(store).add(NewMemory("I like tea.", speaker="Melanie"), limit=1000)
    assert words.recall(ask("fire drill")).hits[0].content == "Call the number on the door."
    assert words.recall(ask("What does Melanie like?")).hits[0].speaker == "Melanie"


@pytest.mark.parametrize("query", ["", "  \n", "x" * 10_001])
def test_an_empty_or_endless_query_is_refused(words, query):
    with pytest.raises(MemoryStoreError, match="A query has 1 to 10,000 characters"):
        words.recall(ask(query))


@pytest.mark.parametrize(
    "query",
    [
        '"',
        "a AND",
        "NEAR(a b, 3)",
        "content:x",
        "* OR ^a",
        "a -b",
        "{content} : x",
        "'; DROP TABLE memory; --",
        "a\x00b",
    ],
)
def test_no_query_is_syntax(words, remembered, query):
    words.recall(ask(query))


@given(query=st.text(min_size=1, max_size=80) | st.from_regex(r"[\"*^:(){}+\-' a-c]{1,30}(AND|OR|NOT|NEAR)?"))
@hypothesis_settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
def test_any_text_can_be_asked(words, remembered, query):
    if query.strip():
        assert len(words.recall(ask(query)).hits) <= 3


def test_a_store_that_is_empty_answers_with_nothing_but_missing_words(words):
    recall = words.recall(ask("anything about Lisbon"))
    assert recall.hits == []
    assert recall.missing_terms == ["anything", "Lisbon"]


def test_common_words_are_not_searched_for_in_a_large_store():
    common, rare = terms.Term("time", ("time",), 5000), terms.Term("zebra", ("zebra",), 3)
    assert terms.worth_matching([common, rare], 10_000) == [rare]
    assert terms.worth_matching([common], 10_000) == [common]
    assert terms.worth_matching([common, rare], 100) == [common, rare]


def test_a_large_store_is_searched_for_the_rarest_words_that_match_few_memories():
    weighed = [terms.Term(f"w{count}", (f"w{count}",), count) for count in (3000, 900, 0, 20, 300)]
    assert [term.frequency for term in terms.worth_matching(weighed, 10_000)] == [20, 300, 900]


def test_frequencies_of_rare_words_are_never_stale_and_of_common_ones_hardly(store):
    def remember(first, last):
        new = [NewMemory(f"buoy number {n}") for n in range(first, last)]
        store.write(lambda connection: add_in(connection, store.scope, new))

    frequencies = Frequencies()

    def held(total):
        with store.read() as connection:
            return frequencies.of(connection, {"buoi", "zebra", "number"}, total)

    remember(0, 2100)
    assert held(2100) == {"buoi": 2100, "number": 2100}
    remember(2100, 2200)
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("zebra")]))
    assert held(2201) == {"buoi": 2100, "number": 2100, "zebra": 1}
    remember(2200, 2600)
    assert held(2601) == {"buoi": 2600, "number": 2600, "zebra": 1}


def test_an_embedder_that_is_ready_has_read_all_vectors(store, settings, model):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(text) for text in CORPUS.values()]))
    while embed_missing(Vectors(store, model.model_id, model.dimension), model, 50, terms.Stemmer()):
        pass
    embedder = BackgroundEmbedder(store, settings)
    assert embedder.index is None
    embedder.start()
    embedder.wait(60)
    assert embedder.status == "ready"
    assert embedder.index is not None
    assert len(embedder.index) == len(CORPUS)
    embedder.close()


def test_an_embedder_that_is_stopped_leaves_the_rest_for_later(store, model):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(text) for text in CORPUS.values()]))
    vectors, stop = Vectors(store, model.model_id, model.dimension), threading.Event()
    stop.set()
    assert embed_missing(vectors, model, 50, terms.Stemmer(), stop) == 0
    assert vectors.count_missing() == len(CORPUS)


def test_the_words_of_one_scope_are_found_among_many_better_matches_of_another(settings):
    loud, quiet = (Store(settings.model_copy(update={"project": name})) for name in ("loud", "quiet"))
    loud.write(lambda c: add_in(c, loud.scope, [NewMemory(f"zebra zebra zebra {n}") for n in range(900)]))
    quiet.write(lambda c: add_in(c, quiet.scope, [NewMemory("a long tale in which once a zebra went by")]))
    with quiet.read() as connection:
        zebra = terms.Term("zebra", ("zebra",), 901, ("zebra",))
        found = keywords.matches(connection, quiet.scope, [zebra], Filter(), 100)
        (mine,) = connection.execute(select(memory.c.seq).where(memory.c.project == "quiet")).scalars()
    assert list(found) == [mine]
    loud.close()
    quiet.close()


def test_the_index_passes_over_what_other_scopes_stored_only_once(settings):
    loud, quiet = (Store(settings.model_copy(update={"project": name})) for name in ("loud", "quiet"))
    rows = {}
    for one in (quiet, loud):
        one.write(lambda c, one=one: add_in(c, one.scope, [NewMemory(f"{one.scope.project} memory")]))
        rows[one] = Vectors(one, "test", 4)
        rows[one].put([Indexed(each.seq, np.ones(4), np.zeros(0, np.uint32), 0) for each in rows[one].missing(5)])
        assert rows[one].missing(5) == []
    index = MemoryIndex(rows[quiet])
    index.catch_up()
    assert len(index) == 1
    assert list(rows[quiet].since(rows[quiet].last()[0])) == []
    quiet.write(lambda c: add_in(c, quiet.scope, [NewMemory("a later one")]))
    (later,) = rows[quiet].missing(5)
    assert later.content == "a later one"
    rows[quiet].put([Indexed(later.seq, np.ones(4), np.zeros(0, np.uint32), 0)])
    index.catch_up()
    assert len(index) == 2
    loud.close()
    quiet.close()


@given(
    words=st.dictionaries(st.integers(0, 30), st.floats(0, 50), max_size=20),
    meaning=st.none() | st.dictionaries(st.integers(0, 30), st.floats(-1, 1), max_size=20),
)
def test_fusion_scores_the_union_within_its_range(words, meaning):
    scores = fuse(words, meaning)
    assert set(scores) == set(words) | set(meaning or {})
    assert all(0 < score < 1 for score in scores.values())


@given(st.dictionaries(st.integers(0, 9), st.floats(0, 1), min_size=2), st.integers(0, 9))
def test_a_better_match_never_scores_less(values, place):
    if place in values:
        improved = {**values, place: values[place] + 1.0}
        before, after = fuse(values, values), fuse(improved, improved)
        assert after[place] >= before[place] - 1e-9


@given(st.lists(st.floats(-1e6, 1e6), min_size=1))
def test_z_scores_are_centred(values):
    assert abs(sum(z_scores(values))) < 1e-6 * len(values) * max(1.0, len(values))


def test_equal_values_have_no_spread():
    assert z_scores([0.1, 0.1, 0.1]) == [0.0, 0.0, 0.0]
    assert z_scores([]) == []


@sqlite_only
def test_the_cache_grows_and_finds_the_nearest_exactly(store):
    generator = np.random.default_rng(7)
    vectors = generator.normal(size=(1500, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    new = [NewMemory(f"memory {number}") for number in range(1500)]
    store.write(lambda connection: add_in(connection, store.scope, new))
    rows = _vectors(store)
    waiting = rows.missing(2000)
    nothing = np.zeros(0, np.uint32)
    rows.put([Indexed(one.seq, vector, nothing, 0) for one, vector in zip(waiting, vectors, strict=True)])
    index = MemoryIndex(rows)
    index.catch_up()
    found = index.column("seqs", index.nearest(vectors[1234], Filter(), 5))
    expected = np.argsort(-(vectors @ vectors[1234]))[:5]
    assert sorted(found.tolist()) == sorted(waiting[place].seq for place in expected)
    assert rows.count_missing() == 0


def test_vectors_of_another_model_count_as_missing(store, model):
    Memories(store).add(NewMemory("embedded by another model"), limit=100)
    other = Vectors(store, "another-model", 3)
    other.put([Indexed(one.seq, np.ones(3), np.zeros(0, np.uint32), 0) for one in other.missing(5)])
    mine = _vectors(store)
    assert (other.count_missing(), mine.count_missing()) == (0, 1)
    assert embed_missing(mine, model, 5, terms.Stemmer()) == 1
    index = MemoryIndex(mine)
    index.catch_up()
    assert len(index.nearest(np.zeros(384, np.float32), Filter(), 5)) == 1


def _vectors(store):
    from dionysus_mcp.embedding import DIMENSION, MODEL_ID

    return Vectors(store, MODEL_ID, DIMENSION)
