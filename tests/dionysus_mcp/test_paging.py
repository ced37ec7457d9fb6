"""Long results come in pages that fit their budget, and nothing is lost between two of them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.paging import (
    beginning,
    metadata_beginning,
    page,
    pages_of_memories,
    place_of,
    versions_within,
    within_budget,
)
from dionysus_mcp.records import ConsciousnessState, Memory, MemoryHealth, MentalModel, Revision

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def memories(*contents):
    return [Memory(id=f"m-{number:016x}", content=content, recorded_at=NOW) for number, content in enumerate(contents)]


def model(number, versions=1):
    history = [Revision(version=one, statement="s" * 500, reason="r", at=NOW) for one in range(versions)]
    return MentalModel(id=f"b-{number:016x}", domain="world", statement="s" * 500, created_at=NOW, history=history)


@given(st.lists(st.text(max_size=3000) | st.just('"' * 5000), max_size=12), st.integers(300, 2000))
def test_all_pages_together_are_all_memories_and_each_fits(contents, budget):
    held, cursor, read = memories(*contents), None, {}
    for _ in range(1000):
        kept, cursor = pages_of_memories(held, budget, cursor)
        assert sum(len(one.model_dump_json()) for one in kept) <= 4 * budget
        for one in kept:
            read[one.id] = read.get(one.id, "") + one.content
        if cursor is None:
            break
    assert read == {one.id: one.content for one in held}


metadata = st.dictionaries(st.text(max_size=5), st.text(max_size=4000) | st.just('"\\' * 3000), max_size=3)


@given(st.lists(st.tuples(st.text(max_size=1500), metadata), max_size=5), st.integers(300, 2000))
def test_metadata_that_are_too_long_come_as_text_after_the_content(told, budget):
    held = [
        one.model_copy(update={"metadata": its})
        for one, (_, its) in zip(memories(*(c for c, _ in told)), told, strict=True)
    ]
    cursor, read, parts = None, {}, {}
    for _ in range(1000):
        kept, cursor = pages_of_memories(held, budget, cursor)
        assert sum(len(one.model_dump_json()) for one in kept) <= 4 * budget
        for one in kept:
            read[one.id] = read.get(one.id, "") + one.content
            if one.metadata_part is None:
                parts[one.id] = one.metadata
            else:
                assert one.metadata == {}
                parts[one.id] = parts.get(one.id, "") + one.metadata_part
        if cursor is None:
            break
    assert read == {one.id: one.content for one in held}
    given_ = {key: json.loads(one) if isinstance(one, str) else one for key, one in parts.items()}
    assert given_ == {one.id: one.metadata for one in held}


def test_metadata_of_a_usual_size_stay_as_they_are():
    (one,) = (each.model_copy(update={"metadata": {"tags": ["tea"] * 9}}) for each in memories("Tea."))
    assert pages_of_memories([one], 1000, None) == ([one], None)
    assert metadata_beginning(one.metadata, 1000) is None


@given(st.integers(0, 30), st.integers(100, 3000))
def test_pages_of_records_leave_none_out(count, budget):
    models, start, seen = [model(number) for number in range(count)], 0, []
    while True:
        kept, cursor = page(models, budget, start)
        seen += kept
        if cursor is None:
            break
        start = place_of(cursor)[0]
    assert seen == models


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1:", "1:x", "1:2:3", "٣", "9" * 30, "0x1", " 1"])
def test_a_cursor_that_is_none_is_refused(cursor):
    with pytest.raises(MemoryStoreError, match="is no cursor"):
        place_of(cursor)


def test_a_cursor_behind_the_end_is_refused():
    with pytest.raises(MemoryStoreError, match="behind the last of 1"):
        pages_of_memories(memories("a"), 1000, "1")


def test_a_huge_memory_is_echoed_by_its_beginning():
    (huge,) = memories("x" * 100_000)
    assert 1000 < len(beginning(huge, 1000).content) < 4000
    assert beginning(huge, 100_000) == huge


def test_the_versions_of_a_belief_come_in_pages():
    belief = model(1, versions=40)
    first = versions_within(belief, 2000)
    assert 0 < len(first.history) < 40
    second = versions_within(belief, 2000, first.next_cursor)
    assert second.history[0].version == first.history[-1].version + 1
    assert versions_within(belief, 100_000) == belief


def test_a_state_is_cut_to_its_budget_and_says_so():
    health = MemoryHealth(embedder="off")
    state = ConsciousnessState(
        total_memories=50, recent=memories(*["x" * 2000] * 50), models=[model(n) for n in range(50)], health=health
    )
    short = within_budget(state, 4000)
    assert len(short.model_dump_json()) < 4 * 4000 + 1000
    assert "of 50 recent memories" in short.notice
    assert within_budget(state.model_copy(update={"recent": [], "models": []}), 4000).notice is None
