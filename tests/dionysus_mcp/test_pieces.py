"""Word pieces: which are kept, what their signs say, and that a recall compares them one by one."""

import contextlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from dionysus_mcp.embedding import DIMENSION, MiniLm, Pieces
from dionysus_mcp.recall.embedder import BackgroundEmbedder, embed_missing
from dionysus_mcp.recall.index import NOBODY
from dionysus_mcp.recall.pieces import (
    MOST,
    MOST_TELLING,
    Close,
    closest,
    put,
    read,
    signs,
    spoken,
    word_by_word,
)
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.recall.tables import piece
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Vectors
from dionysus_mcp.upkeep.purge import Purge, Selection
from dionysus_mcp.upkeep.verify import verify
from tests.dionysus_mcp.engines import on_both

ROW = DIMENSION // 8
WORDS = ["lake", "when", "to", "boat", "how"]


@pytest.fixture(scope="module")
def model():
    return MiniLm.load(1)


def units(count, seed=3):
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def said(vectors, words=None, gist=None):
    gist = units(1, seed=7)[0] if gist is None else gist
    return Pieces(["w"] * len(vectors) if words is None else words, vectors, gist)


def kept(vectors, words=None, gist=None):
    return signs(said(vectors, words, gist))


def close(telling, others=None, asking=(), gist=None):
    telling = np.array(telling, np.float32)
    others = np.zeros((len(telling), 0), np.float32) if others is None else np.array(others, np.float32)
    return Close(np.zeros(len(telling)) if gist is None else np.array(gist), telling, others, asking)


def beside(*sides):
    return [np.array(side) for side in sides]


def alone(count):
    return beside(*[[NOBODY] * count] * 3)


def test_pieces_come_with_the_vector_that_comes_without_them(model):
    texts = ["We drove to the lake.", "Painting!", ""]
    vectors, pieces = model.embed_with_pieces(texts)
    assert np.abs(vectors - model.embed(texts)).max() < 1e-6
    assert list(pieces[0].words) == ["we", "drove", "to", "the", "lake", "."]
    assert [one.vectors.shape for one in pieces] == [(6, DIMENSION), (2, DIMENSION), (0, DIMENSION)]
    assert np.abs(np.linalg.norm(pieces[0].vectors, axis=1) - 1).max() < 1e-5
    assert all(abs(np.linalg.norm(one.gist) - 1) < 1e-5 for one in pieces)


def test_the_gist_does_not_depend_on_what_is_read_together(model):
    _, (short, _) = model.embed_with_pieces(["Painting!", "We drove to the lake and looked at the boats for hours."])
    _, (only,) = model.embed_with_pieces(["Painting!"])
    assert short.gist @ only.gist > 0.99, "padding stands behind a text"


def test_words_with_content_come_first_and_the_others_after_them(model):
    _, (asked, nothing) = model.embed_with_pieces(["How many boats did we see?", "to the"])
    found = spoken(asked)
    assert found.vectors.shape == (1 + 7, DIMENSION)
    assert np.array_equal(found.vectors[0], asked.gist)
    assert found.telling == 1, "only boats tell"
    assert np.array_equal(found.vectors[1], asked.vectors[2])
    assert list(found.asking) == [0, 1], "how, many"
    assert spoken(nothing).telling == 2, "where no word has content, all count"


def test_of_a_memory_its_gist_and_the_first_pieces_are_kept():
    assert kept(units(0)) == b""
    assert len(kept(units(2))) == 1 + 3 * ROW
    long = kept(units(2 * MOST))
    assert (len(long), long[0]) == (1 + (1 + MOST_TELLING) * ROW, MOST_TELLING)
    mixed = kept(units(2 * MOST), ["to", "lake"] * MOST)
    assert (len(mixed), mixed[0]) == (1 + (1 + MOST) * ROW, MOST_TELLING)


def test_signs_find_the_nearest_piece():
    asked = units(4)
    memories = [kept(np.stack([asked[0], units(1, seed=9)[0]])), kept(asked[1:3]), kept(units(3, seed=8))]
    found = closest(spoken(said(asked)), memories).telling
    assert found.shape == (3, 4)
    assert found.argmax(axis=0)[:3].tolist() == [0, 1, 1]
    assert found[0, 0] > 0.7 > 0.3 > np.abs(found[2]).max()


def test_content_looks_for_content_and_the_rest_for_all():
    asked = spoken(said(units(2), ["lake", "when"]))
    crossed = kept(units(2)[::-1], ["lake", "when"])
    found = closest(asked, [crossed, kept(units(2), ["lake", "when"])])
    assert found.telling[0, 0] < 0.3 < 0.7 < found.telling[1, 0], "its own vector belongs to a word without content"
    assert found.others.min() > 0.7
    assert list(found.asking) == [0]


def test_gists_are_compared_with_each_other_alone():
    gist, piece_like = units(2, seed=4)
    asked = spoken(said(units(2), gist=gist))
    found = closest(asked, [kept(units(1, seed=6), gist=gist), kept(gist[None], gist=piece_like)]).gist
    assert found[0] > 0.7 > 0.3 > abs(found[1])


def test_a_memory_without_pieces_is_an_average_one():
    asked = spoken(said(units(2)))
    told = kept(units(2))
    found = closest(asked, [told, None, kept(units(2, seed=5)), b"", told[1:]]).telling
    assert np.allclose(found[1], (found[0] + found[2]) / 2)
    assert np.allclose(found[1], found[3])
    assert np.allclose(found[1], found[4]), "nor is one read that was kept in another way"
    assert not closest(asked, [None, None]).telling.any()
    assert closest(asked, []).telling.shape == (0, 2)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.sampled_from(WORDS), min_size=1, max_size=4))
def test_how_close_memories_are_does_not_depend_on_their_neighbours_in_the_list(counts, words):
    asked = spoken(said(units(len(words)), words))
    memories = [kept(units(count, seed=count), (WORDS * 2)[:count]) if count else None for count in counts]
    together = closest(asked, memories)
    for place, one in enumerate(memories):
        if one is not None:
            single = closest(asked, [one])
            assert np.allclose(together.gist[place], single.gist[0], atol=1e-5)
            assert np.allclose(together.telling[place], single.telling[0], atol=1e-5)
            assert np.allclose(together.others[place], single.others[0], atol=1e-5)


def test_a_thread_meets_words_together():
    found = word_by_word(close([[1, 0], [0, 0], [0, 1], [0.9, 0]]), np.array([7, 7, 7, NOBODY]), alone(4))
    assert found["pieces"].argmin() == 1
    assert np.ptp(found["pieces_thread"][:3]) == 0, "each is as good as all of its thread"
    assert found["pieces_thread"][3] < found["pieces_thread"][0], "what is in no thread stands alone"


def test_an_answer_meets_words_together_with_what_it_answers():
    sides = beside([NOBODY, 0, 1], [NOBODY, NOBODY, 0], [1, 2, NOBODY])
    found = word_by_word(close([[1, 0], [0, 0], [0, 1]]), np.array([7, 7, 7]), sides)
    assert found["pieces_since"].argmax() == 2, "it has both words, one of them two before it"
    assert found["pieces_since"][0] == found["pieces_since"][1], "what comes later doesn't count"


def test_what_is_asked_with_is_seen_in_each_neighbour():
    sides = beside([NOBODY, 0, 1], [NOBODY, NOBODY, 0], [1, 2, NOBODY])
    found = word_by_word(close([[0]] * 3, [[0.9, 0], [0, 0], [0, 0.9]], [1]), np.array([7, 7, 7]), sides)
    assert found["asks"].argmax() == 2, "the first of the others is no word that one asks with"
    assert found["asks_after"].tolist() == [found["asks"][1], found["asks"][2], 0]
    assert found["asks_before"].tolist() == [0, found["asks"][0], found["asks"][1]]
    assert found["phrase_two_before"].tolist() == [0, 0, found["phrase"][0]]


@pytest.mark.parametrize("nothing", [None, close(np.zeros((2, 0)))], ids=["not compared", "no pieces"])
def test_what_is_not_compared_stands_out_nowhere(nothing):
    found = word_by_word(nothing, np.array([0, 0]), alone(2))
    assert all(values.tolist() == [0, 0] for values in found.values())


def test_pieces_of_what_was_told_are_stored_once(store, model):
    new = [NewMemory("We drove to the lake.", speaker="Ann", session_id="s"), NewMemory("A note on lakes.")]
    store.write(lambda connection: add_in(connection, store.scope, new))
    vectors = Vectors(store, model.model_id, model.dimension)
    assert embed_missing(vectors, model, 10, Stemmer()) == 2
    store.write(lambda connection: put(connection, model.model_id, {1: b"again"}))
    with store.read() as connection:
        rows = connection.execute(select(piece)).all()
        held = read(connection, model.model_id, [1, 2, 3])
        assert read(connection, "another model", [1]) == read(connection, model.model_id, []) == {}
    assert [(row.memory_seq, len(row.signs)) for row in rows] == [(1, 1 + 7 * ROW)]
    assert held == {1: rows[0].signs}
    assert rows[0].signs[0] == 2, "drove, lake"


def test_pieces_go_with_their_memory_when_it_is_purged(store, model):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("We drove.", speaker="Ann")]))
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 10, Stemmer())
    Purge(store, Selection(everything=True)).run()
    with store.read() as connection:
        assert connection.execute(select(piece)).all() == []


@on_both
@pytest.mark.parametrize(
    "wrong",
    [b"short", bytes(2 * ROW), bytes(1 + ROW), b"1"],
    ids=["cut off", "without their count", "a gist alone", "a count alone"],
)
def test_pieces_of_a_wrong_length_are_found_dropped_and_made_anew(store, model, wrong):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("We drove.", speaker="Ann")]))
    vectors = Vectors(store, model.model_id, model.dimension)
    embed_missing(vectors, model, 10, Stemmer())
    store.write(lambda connection: connection.execute(piece.update().values(signs=wrong)))
    (found,) = [check for check in verify(store, lambda *_: None, repair=True).checks if check.problems]
    assert (found.name, found.problems, found.repaired) == ("pieces", 1, True)
    assert not [check for check in verify(store, lambda *_: None).checks if check.problems]
    assert embed_missing(vectors, model, 10, Stemmer()) == 1
    with store.read() as connection:
        assert len(read(connection, model.model_id, [1])[1]) == 1 + 4 * ROW


@on_both
def test_what_has_no_pieces_is_not_damaged(store, model):
    new = [NewMemory("\u200b", speaker="Ann"), NewMemory("We drove.", speaker="Ann")]
    store.write(lambda connection: add_in(connection, store.scope, new))
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 10, Stemmer())
    with store.read() as connection:
        assert read(connection, model.model_id, [1])[1] == b""
    assert not [check for check in verify(store, lambda *_: None).checks if check.problems]


@pytest.mark.parametrize("wrong", [b"1", bytes(1 + ROW), b"1" * (1 + ROW)], ids=["count", "gist", "gist of one"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_pieces_that_are_a_gist_alone_count_as_unknown_and_change_no_others(wrong, place):
    asked = spoken(said(units(2)))
    whole = [kept(units(2)), kept(units(2, seed=5))]
    found = closest(asked, [*whole[:place], wrong, *whole[place:]])
    rest = closest(asked, [*whole[:place], None, *whole[place:]])
    assert np.array_equal(found.gist, rest.gist)
    assert np.array_equal(found.telling, rest.telling)


def test_a_recall_works_before_and_after_a_memory_has_its_pieces(tmp_path):
    settings = MemorySettings(url=f"sqlite:///{tmp_path / 'memory.db'}", embedder_threads=1)
    with contextlib.closing(Store(settings)) as store, contextlib.closing(BackgroundEmbedder(store, settings)) as one:
        said = ["We drove to the lake.", "I paint every morning.", "How nice!", "The boat leaked."]
        new = [NewMemory(text, speaker="Ann", session_id="s") for text in said]
        store.write(lambda connection: add_in(connection, store.scope, new))
        one.start()
        one.wait(30)
        one.follow()
        search = Search(store, one)
        asked = Query("When does Ann paint?", 4, 1000)
        assert search.recall(asked).hits[0].content == said[1]
        store.write(lambda connection: connection.execute(piece.delete()))
        assert search.recall(asked).hits[0].content == said[1]
        search.close()
