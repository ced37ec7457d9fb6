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
from dionysus_mcp.recall.pieces import MOST, closest, put, read, signs, telling, word_by_word
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.recall.tables import piece
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Vectors
from dionysus_mcp.upkeep.purge import Purge, Selection
from dionysus_mcp.upkeep.verify import verify


@pytest.fixture(scope="module")
def model():
    return MiniLm.load(1)


def units(count, seed=3):
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def kept(vectors):
    return signs(Pieces(["w"] * len(vectors), vectors))


def test_pieces_come_with_the_vector_that_comes_without_them(model):
    texts = ["We drove to the lake.", "Painting!", ""]
    vectors, pieces = model.embed_with_pieces(texts)
    assert np.abs(vectors - model.embed(texts)).max() < 1e-6
    assert list(pieces[0].words) == ["we", "drove", "to", "the", "lake", "."]
    assert [one.vectors.shape for one in pieces] == [(6, DIMENSION), (2, DIMENSION), (0, DIMENSION)]
    assert np.abs(np.linalg.norm(pieces[0].vectors, axis=1) - 1).max() < 1e-5


def test_only_words_with_content_are_compared(model):
    _, (said, nothing) = model.embed_with_pieces(["We drove to the lake.", "to the"])
    assert len(telling(said)) == 2
    assert len(telling(nothing)) == 2, "where no word has content, all count"


def test_of_a_long_memory_the_first_pieces_are_kept():
    assert len(kept(units(2 * MOST))) == MOST * DIMENSION // 8


def test_signs_find_the_nearest_piece():
    asked = units(4)
    memories = [kept(np.stack([asked[0], units(1, seed=9)[0]])), kept(asked[1:3]), kept(units(3, seed=8))]
    found = closest(asked, memories)
    assert found.shape == (3, 4)
    assert found.argmax(axis=0)[:3].tolist() == [0, 1, 1]
    assert found[0, 0] > 0.7 > 0.3 > np.abs(found[2]).max()


def test_a_memory_without_pieces_is_an_average_one():
    asked = units(2)
    found = closest(asked, [kept(asked), None, kept(units(2, seed=5)), b""])
    assert np.allclose(found[1], (found[0] + found[2]) / 2)
    assert np.allclose(found[1], found[3])
    assert not closest(asked, [None, None]).any()
    assert closest(asked[:0], [kept(asked)]).shape == (1, 0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.integers(1, 4))
def test_how_close_memories_are_does_not_depend_on_their_neighbours_in_the_list(counts, words):
    asked = units(words)
    memories = [kept(units(count, seed=count)) if count else None for count in counts]
    found = closest(asked, memories)
    alone = [closest(asked, [one])[0] for one in memories if one]
    assert np.allclose(found[[bool(one) for one in memories]], np.array(alone).reshape(-1, words), atol=1e-5)


def test_a_thread_meets_words_together():
    close = np.array([[1, 0], [0, 0], [0, 1], [0.9, 0]], np.float32)
    found = word_by_word(close, np.array([7, 7, 7, NOBODY]))
    assert found["pieces"].argmin() == 1
    assert np.ptp(found["pieces_thread"][:3]) == 0, "each is as good as all of its thread"
    assert found["pieces_thread"][3] < found["pieces_thread"][0], "what is in no thread stands alone"


def test_what_is_not_compared_stands_out_nowhere():
    found = word_by_word(np.zeros((2, 0), np.float32), np.array([0, 0]))
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
    assert [(row.memory_seq, len(row.signs)) for row in rows] == [(1, 2 * DIMENSION // 8)]
    assert held == {1: rows[0].signs}


def test_pieces_go_with_their_memory_when_it_is_purged(store, model):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("We drove.", speaker="Ann")]))
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 10, Stemmer())
    Purge(store, Selection(everything=True)).run()
    with store.read() as connection:
        assert connection.execute(select(piece)).all() == []


def test_pieces_of_a_wrong_length_are_found_and_dropped(store, model):
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory("We drove.", speaker="Ann")]))
    embed_missing(Vectors(store, model.model_id, model.dimension), model, 10, Stemmer())
    store.write(lambda connection: connection.execute(piece.update().values(signs=b"short")))
    (found,) = [check for check in verify(store, lambda *_: None, repair=True).checks if check.problems]
    assert (found.name, found.problems, found.repaired) == ("pieces", 1, True)
    assert not [check for check in verify(store, lambda *_: None).checks if check.problems]


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
