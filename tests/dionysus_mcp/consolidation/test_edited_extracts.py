"""An extract that somebody changes keeps its sources, and is theirs once it says something else."""

import contextlib
import json

import pytest
from sqlalchemy import insert, literal, select

from dionysus_mcp.consolidation.tables import link
from dionysus_mcp.store.schema import memory
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.exporting import export_lines
from dionysus_mcp.upkeep.importing import Import
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.consolidation.conftest import Told
from tests.dionysus_mcp.consolidation.test_extraction import drawn, extracts, paint
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both

ENGINES = BOTH_IN_ALL
LIMIT = 1000


@pytest.fixture
def versions(told):
    return Versions(told.store)


@pytest.fixture
def sources(told):
    return paint(told)


@pytest.fixture
def extract(told, sources):
    told.apply()
    return drawn(told)[0]


def edited(versions, extract, content="Ann paints at the lake, and since May also in the hills."):
    return versions.update(extract.id, Change("they told me more", content=content), limit=LIMIT)


@on_both
def test_its_history_names_the_sources_by_the_id_of_any_version(versions, extract, sources):
    new = edited(versions, extract)
    newest = edited(versions, new, "Ann paints in the hills.")
    names = [one.id for one in sources]
    assert [versions.sources(one.id) for one in (extract, new, newest)] == [names] * 3
    assert versions.sources(sources[0].id) == []


def test_said_otherwise_it_is_no_quote_any_more_and_the_same_edit_again_changes_nothing(versions, extract):
    new = edited(versions, extract)
    assert new.metadata == extract.metadata | {"method": "edited"}
    assert edited(versions, extract) == new
    changed = Change("mine", content="Ann paints.", metadata={"mine": True})
    assert versions.update(new.id, changed, limit=LIMIT).metadata == {"mine": True}
    assert len(versions.sources(extract.id)) == 3


def test_edited_with_metadata_that_call_it_a_quote_it_is_no_quote(versions, extract):
    told = {**extract.metadata, "tag": "x"}
    new = versions.update(extract.id, Change("mine", content="Ann paints.", metadata=told), limit=LIMIT)
    assert new.metadata == told | {"method": "edited"}
    newer = versions.update(new.id, Change("tagged", metadata={**told, "tag": "y"}), limit=LIMIT)
    assert newer.metadata == told | {"method": "edited", "tag": "y"}
    assert versions.update(new.id, Change("tagged", metadata={**told, "tag": "y"}), limit=LIMIT) == newer


def links(told, version):
    with told.store.read() as connection:
        query = select(link.c.kind).where(link.c.from_seq == memory.c.seq, memory.c.id == version.id)
        return sorted(connection.execute(query).scalars())


def called_a_quote(told, version):
    """As a store has it in which metadata of an edit were taken as they came."""
    values = {"metadata": version.metadata | {"method": "quote"}}
    told.store.write(lambda one: one.execute(memory.update().where(memory.c.id == version.id).values(values)))


def test_an_import_of_its_own_export_leaves_an_edited_one_edited(told, versions, extract):
    new = edited(versions, extract)
    called_a_quote(told, new)
    lines = [line.encode() for line in export_lines(told.store, lambda *_: None)]
    Import(told.store, 10_000, lambda _: None).take(lines)
    assert links(told, new) == ["edited"] * 3
    newest = edited(versions, new, "Ann paints in the hills.")
    assert links(told, newest) == ["edited"] * 3


def test_what_was_once_taken_for_both_can_be_edited_and_is_edited_then(told, versions, extract, sources):
    new = edited(versions, extract)
    old = link.alias()
    again = select(literal("extract"), old.c.from_seq, old.c.to_seq).where(old.c.kind == "edited")
    told.store.write(lambda one: one.execute(insert(link).from_select(["kind", "from_seq", "to_seq"], again)))
    assert len(links(told, new)) == 6
    newest = edited(versions, new, "Ann paints in the hills.")
    assert links(told, newest) == ["edited"] * 3
    assert versions.sources(newest.id) == [one.id for one in sources]


def test_edited_it_is_recalled_beside_its_sources(told, versions, extract, sources):
    assert extract.content not in told.found("painting at the lake", top_k=9)[3:]
    new = edited(versions, extract)
    found = told.found("painting at the lake", top_k=9)
    assert new.content in found
    assert {one.content for one in sources} <= set(found)


def test_edited_it_stays_when_a_source_is_forgotten(told, versions, extract, sources):
    new = edited(versions, extract)
    versions.forget(sources[0].id, "not true")
    plan = told.plan()
    assert [one for one in plan.actions if one.kind == "retire"] == []
    told.consolidation.apply(plan)
    assert new.content in told.found("painting at the lake")


def test_what_it_said_before_is_not_drawn_again(told, versions, extract):
    edited(versions, extract)
    assert extracts(told.plan()) == []


def test_rated_otherwise_it_is_an_extract_still(told, versions, extract, sources):
    new = versions.update(extract.id, Change("it matters", importance=0.9), limit=LIMIT)
    assert len(told.found("painting at the lake", top_k=9)) == 3, "the sources stand for it"
    versions.forget(sources[0].id, "not true")
    assert [one.memory_id for one in told.plan().actions if one.kind == "retire"] == [new.id]


def test_forgotten_and_restored_it_is_an_extract_still(told, versions, extract, sources):
    versions.forget(extract.id, "not true")
    restored = versions.restore(extract.id)
    assert len(told.found("painting at the lake", top_k=9)) == 3
    assert versions.sources(restored.id) == [one.id for one in sources]


@on_both
def test_a_purge_of_a_source_takes_the_edited_one_along(told, versions, extract, sources):
    new = edited(versions, extract)
    assert Purge(told.store, Selection(ids=[sources[0].id])).trial().memories == 3
    Purge(told.store, Selection(ids=[sources[0].id])).run()
    assert new.content not in told.current()
    assert drawn(told) == []


def test_what_nobody_drew_has_no_method(told, versions):
    one = told.tell("Ann paints.", metadata={"drawn_from": ["a book"], "method": "quote"}, memory_type="semantic")
    new = versions.update(one.id, Change("more", content="Ann paints well."), limit=LIMIT)
    assert new.metadata["method"] == "quote"


@pytest.mark.parametrize("edit", [False, True])
@pytest.mark.parametrize("there", [False, True])
def test_an_import_links_extracts_to_their_sources(told, extract, versions, sources, model, edit, there):
    newest = edited(versions, extract) if edit else extract
    lines = [line.encode() for line in export_lines(told.store, lambda *_: None)]
    elsewhere = told.settings.model_copy(update={"project": "elsewhere"})
    with contextlib.closing(Told(elsewhere, model)) as other:
        if there:  # what it was drawn from was told here, too, and has other ids
            paint(other)
        for _ in range(2):
            Import(other.store, 10_000, lambda _: None).take(lines)
        [one] = drawn(other)
        assert one.content == newest.content
        linked = Versions(other.store).sources(one.id)
        assert len(linked) == 3
        assert {one.content for one in other.memories.get(linked)} == {one.content for one in sources}
        assert len(other.found("painting at the lake", top_k=9)) == (4 if edit else 3)


@pytest.mark.parametrize("sources", ["m-1", {"a": 1}, [1, None, ["m-1"]], ["m-none", "m-1"] * 50, None])
def test_sources_of_a_hostile_export_are_passed_over(told, sources):
    mine = told.tell("Ann paints.")
    line = {
        "kind": "memory",
        "id": "m-1",
        "content": "Ann paints well.",
        "memory_type": "semantic",
        "importance": 0.5,
        "source": "consolidation",
        "metadata": {"drawn_from": sources},
        "recorded_from": "2024-01-01T00:00:00Z",
    }
    header = {"kind": "header", "format": "dionysus-memory", "version": 2}
    lines = [header, line, {"kind": "end", "counts": {"memory": 1}}]
    Import(told.store, 1000, lambda _: None).take([json.dumps(one).encode() for one in lines])
    assert Versions(told.store).sources("m-1") == []
    assert set(told.found("Ann paints")) == {mine.content, "Ann paints well."}
