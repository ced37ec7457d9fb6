"""Passages: recall says which words of a memory answer."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.admin import ingest_text
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.passages import MOST, spans
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.engines import BOTH

ENGINES = BOTH

NOTE = (
    "The choir room was painted in May. Nobody liked the colour at first. "
    "Rehearsals moved to Wednesday because the hall is let on Tuesdays. Dr. Amsel brought cake."
)


@given(st.text(max_size=600))
def test_spans_are_ordered_do_not_overlap_and_have_no_blank_edges(text):
    found = spans(text)
    assert all(a < b for a, b in found)
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(found))
    assert all(text[a:b] == text[a:b].strip() for a, b in found)
    assert len(found) <= MOST


def test_sentences_list_items_and_paragraphs_are_passages():
    text = "One thing. Another thing!\n- an item\n- a second item\n\nA paragraph of Dr. Amsel."
    pieces = [text[a:b] for a, b in spans(text)]
    assert pieces == ["One thing.", "Another thing!", "an item", "a second item", "A paragraph of Dr. Amsel."]


@pytest.fixture
def search(tmp_path: Path):
    settings = MemorySettings(url=f"sqlite:///{tmp_path / 'memory.db'}")
    ingest_text(NOTE, settings)
    ingest_text("A short one about paint.", settings)
    store = Store(settings)
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(30)
    search = Search(store, embedder)
    yield search
    search.close()
    embedder.close()
    store.close()


def test_the_passage_that_answers_comes_first(search):
    hit = search.recall(Query("On which day do we practise singing?", 5, 1000)).hits[0]
    assert hit.passages[0].text == "Rehearsals moved to Wednesday because the hall is let on Tuesdays."
    assert hit.passages[0].similarity > hit.passages[1].similarity
    assert all(piece.text in hit.content for piece in hit.passages)


def test_a_memory_of_one_piece_names_none(search):
    hits = search.recall(Query("What is the short one about?", 5, 1000)).hits
    assert next(hit for hit in hits if hit.content.startswith("A short")).passages == []
