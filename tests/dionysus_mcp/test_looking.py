"""Looking at candidates: what is worked out quickly is what it would be if it were worked out plainly."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.recall import terms
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.candidates import candidates, look
from dionysus_mcp.recall.features import _threads, features
from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.keywords import covered, uncovered
from dionysus_mcp.recall.matrix import Matrix
from dionysus_mcp.recall.moments import Moments
from dionysus_mcp.recall.terms import Stemmer, Term
from dionysus_mcp.recall.wording import counted, standing
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Indexed, Vectors

COUNT = 400
WIDE = 96


def units(count, seed=1):
    vectors = np.random.default_rng(seed).normal(size=(count, WIDE)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def index(store):
    new = [NewMemory(f"turn {n}", speaker="AB"[n % 2], session_id=f"s{n // 7}") for n in range(COUNT)]
    store.write(lambda connection: add_in(connection, store.scope, new))
    rows, random = Vectors(store, "test", WIDE), np.random.default_rng(2)
    rows.put(
        [
            Indexed(one.seq, vector, random.integers(0, 30, size=random.integers(0, 9), dtype=np.uint32), n % 16)
            for n, (one, vector) in enumerate(zip(rows.missing(COUNT), units(COUNT), strict=True))
        ]
    )
    held = MemoryIndex(rows)
    held.catch_up()
    return held


@pytest.fixture
def asked():
    words = [([3, 4], 2.0), ([4], 1.0), ([29], 3.0), ([99], 4.0)]
    return Asked(units(2, seed=8), words, frozenset({0}), Moments(), True, False)


def test_words_are_counted_in_one_pass_as_one_by_one(index, asked):
    places = np.arange(COUNT)
    stems, lengths = index.terms(places)
    owner = np.repeat(places, lengths)
    plain = [np.bincount(owner[np.isin(stems, own)], minlength=COUNT) for own, _ in asked.terms]
    found = counted(index, asked, places)
    assert found.frequency.T.tolist() == [one.tolist() for one in plain]
    assert found.lengths.tolist() == lengths.tolist()
    assert found.frequency[:, 1].sum() > 0, "a stem that two words have counts for both"


def test_nothing_is_counted_where_there_are_no_words(index, asked):
    empty = Asked(asked.vectors, [], frozenset(), Moments(), False, False)
    assert counted(index, empty, np.arange(5)).frequency.shape == (5, 0)


def test_a_second_look_reads_nothing_anew_and_sees_the_same(index, asked):
    chosen = candidates(index, asked, Filter(), [1, 5, 9])
    assert chosen.glimpse is not None
    assert len(chosen.places) == 100
    kept = features(index, asked, chosen.places, {}, None, chosen.glimpse)
    anew = features(index, asked, chosen.places, {}, None)
    assert kept.keys() == anew.keys()
    assert all(np.allclose(kept[name], anew[name], atol=1e-5) for name in kept)


def test_a_look_at_few_sees_what_a_look_at_many_saw(index, asked):
    many, few = look(index, asked, np.arange(50)), np.array([3, 20, 33])
    seen = look(index, asked, few, many.glimpse)
    assert np.allclose(seen.quick, look(index, asked, few).quick, atol=1e-5)


@pytest.mark.parametrize("exact", [10, 1000])
def test_cosines_are_those_of_the_rows(exact):
    matrix, queries = Matrix(WIDE, exact=exact), units(3, seed=4)
    matrix.extend(units(200))
    places = np.array([5, 199, 0, 5])
    assert np.allclose(matrix.cosines(places, queries), matrix.rows(places) @ queries.T, atol=1e-5)


@given(st.lists(st.tuples(st.integers(NOBODY, 4), st.floats(-3, 3, width=32)), min_size=1, max_size=40))
def test_a_thread_is_as_good_as_its_best_and_its_best_three(pairs):
    threads = np.array([thread for thread, _ in pairs])
    base = np.array([value for _, value in pairs])
    best, three = np.zeros(len(base)), np.zeros(len(base))
    for place, thread in enumerate(threads):
        if thread != NOBODY:
            own = sorted(base[threads == thread], reverse=True)
            best[place], three[place] = own[0], sum([*own, -1, -1][:3]) / 3
    found = _threads(threads, base)
    assert np.allclose(found["thread_best"], best)
    assert np.allclose(found["thread_three"], standing(three), atol=1e-6)


@given(st.lists(st.floats(-1e3, 1e3), max_size=30))
def test_standing_is_how_many_deviations_a_value_lies_above_the_mean(values):
    found, values = standing(np.array(values)), np.array(values)
    spread = values.std() if len(values) else 0.0
    expected = (values - values.mean()) / spread if spread > 1e-6 else np.zeros(len(values))
    assert np.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("frequency", [1, 1_000_000])
def test_what_no_hit_covers_is_found_at_once_as_one_by_one(store, frequency):
    texts = ["We painted the lake.", "Boats on a lake", 'A "quoted" OR word']
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(text) for text in texts]))
    words = ("painting", "boat", "lakes", "word", 'a"b', "NEAR", "nothing")
    asked = [Term(word, (word,), frequency) for word in words]
    with store.read() as connection:
        for seqs in ([1], [1, 2], [2, 3], [3]):
            plain = [term for term in asked if not covered(connection, term, seqs)]
            assert uncovered(connection, asked, seqs) == plain
        assert [term.word for term in uncovered(connection, asked, [1, 2, 3])] == ['a"b', "NEAR", "nothing"]
        assert uncovered(connection, [], [1]) == []
        assert uncovered(connection, asked, []) == asked


def test_stems_are_the_same_whether_they_were_asked_for_before(monkeypatch):
    monkeypatch.setattr(terms, "_REMEMBERED", 40)
    with contextlib.closing(Stemmer()) as stemmer, contextlib.closing(Stemmer()) as other:
        for start in range(0, 200, 7):
            words = ["painting", "...", *(f"walking{n}s" for n in range(start, start + 20))]
            assert stemmer.stems(words) == other.stems(words) == stemmer.stems(words)
            assert len(stemmer._known) <= 140
        assert stemmer.stems(["painting", "..."]) == {"painting": "paint"}
