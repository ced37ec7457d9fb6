"""Export and import: complete, equal after a round trip, idempotent, and in bounded memory."""

import json
import string
import tracemalloc

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from dionysus_mcp.beliefs.models import MentalModels
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in
from dionysus_mcp.store.schema import memory
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.exporting import export_lines
from dionysus_mcp.upkeep.importing import Import
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both
from tests.dionysus_mcp.memories_of import LIMIT, current, examples, fill, opened, problems, told

ENGINES = BOTH_IN_ALL


ORPHANS = json.dumps({"kind": "end", "counts": {"model_revision": 2, "prediction": 2}})


def exported(store):
    return list(export_lines(store, lambda *_: None))


def imported(store, lines):
    return Import(store, LIMIT, lambda _: None).take([line.encode() for line in lines])


@pytest.fixture
def other(settings, tmp_path):
    with opened(settings, url=f"sqlite:///{tmp_path / 'other.db'}") as store:
        yield store


@on_both
def test_a_round_trip_gives_the_same_store(store, other):
    fill(store, "tea")
    lines = exported(store)
    assert imported(other, lines).present == {}
    assert exported(other) == lines
    assert problems(other) == {}
    assert current(other) == current(store)
    assert MentalModels(other).held(9) == MentalModels(store).held(9)
    newest = Memories(store).recent(1)[0]
    assert Versions(other).history(newest.id) == Versions(store).history(newest.id)


def test_names_from_before_they_were_bounded_stay_in_a_new_version_and_in_another_store(store, other):
    known = told(store, "tea", speaker="Ann")
    names = {"speaker": "s" * 10_001, "session_id": "i" * 10_001, "source": "o" * 10_001, "memory_type": "t" * 301}
    store.write(lambda connection: connection.execute(memory.update().values(names)))
    Versions(store).update(known.id, Change("more is known", content="green tea"), limit=LIMIT)
    lines = exported(store)
    imported(other, lines)
    assert exported(other) == lines
    newest = Memories(other).recent(1)[0]
    assert {name: getattr(newest, name) for name in names} == names


def test_marks_and_line_ends_of_windows_make_no_difference(store, other):
    fill(store, "tea")
    lines = exported(store)
    imported(other, ["\ufeff" + lines[0] + "\r\n", *(line + "\r\n" for line in lines[1:])])
    assert exported(other) == lines


@pytest.mark.parametrize(
    "line",
    [
        '{"content": "Tea at four", "tags": ["tea"]}',
        '{"type": "entity", "name": "Ann", "observations": ["likes tea"]}',
        '["a"]',
        "Tea at four",
        "",
    ],
)
def test_a_file_of_another_tool_is_told_apart_and_who_reads_it_is_named(other, line):
    with pytest.raises(MemoryStoreError, match="so this is none. `dionysus remember FILE` reads"):
        imported(other, [line])


def test_an_empty_file_is_said_to_be_empty(other):
    with pytest.raises(MemoryStoreError, match="the file is empty"):
        imported(other, [])


@on_both
def test_importing_again_changes_nothing(store, other):
    fill(store, "tea")
    lines = exported(store)
    first = imported(other, lines)
    second = imported(other, lines)
    assert first.added == second.present == {"memory": 4, "mental_model": 1, "model_revision": 2, "prediction": 2}
    assert second.added == {}
    assert exported(other) == lines


def test_what_was_told_in_both_stores_is_not_doubled(store, other):
    told(store, "both")
    told(other, "both")
    assert imported(other, exported(store)).present == {"memory": 1}
    assert current(other) == ["both"]


def test_a_later_export_of_the_same_store_brings_what_happened_since(store, other):
    old = told(store, "Tea is at four.")
    imported(other, exported(store))
    new = Versions(store).update(old.id, Change("it moved", content="Tea is at five."), limit=LIMIT)
    imported(other, exported(store))
    assert current(other) == ["Tea is at five."]
    assert Versions(other).history(old.id) == Versions(store).history(new.id)


def test_a_scope_can_be_copied_within_one_file(settings, store):
    fill(store, "tea")
    with opened(settings, project="copy") as copy:
        for _ in range(2):  # the second time everything is there
            imported(copy, exported(store))
            assert sorted(current(copy)) == sorted(current(store))
        assert [len(Versions(copy).history(one.id)) for one in Memories(copy).recent(9)] == [2, 2]
        ids = {one.id for each in (copy, store) for one in Memories(each).recent(9)}
        assert len(ids) == 4
        assert problems(copy) == {}


def test_an_import_knows_a_content_by_its_hash_afterwards(store, other):
    told(store, "tea", speaker="Ann", context="Kitchen")
    imported(other, exported(store))
    assert not Memories(other).add(NewMemory("tea", speaker="Ann", context="Kitchen"), limit=LIMIT)[1]


def changed(lines, number, **values):
    line = json.loads(lines[number]) | values
    return [*lines[:number], json.dumps(line), *lines[number + 1 :]]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda lines: [], "cut"),
        (lambda lines: lines[:-1], "cut"),
        (lambda lines: lines[1:], "Line 1 .*header"),
        (lambda lines: [*lines, lines[1]], "Line 12 .*goes on after"),
        (lambda lines: [*lines[:2], lines[-1]], "lacks lines"),
        (lambda lines: [lines[0], lines[1][:20]], "Line 2 .*JSON"),
        (lambda lines: [lines[0], "\x00"], "Line 2 .*JSON"),
        (lambda lines: [lines[0], '"just text"'], "Line 2 "),
        (lambda lines: [lines[0], '{"kind": "poem"}'], "Line 2 .*poem"),
        (lambda lines: changed(lines, 0, version=99), "update Dionysus"),
        (lambda lines: changed(lines, 0, format="csv"), "Line 1 "),
        (lambda lines: changed(lines, 1, content=5), "Line 2 .*content"),
        (lambda lines: changed(lines, 1, content="x" * (LIMIT + 1)), "Line 2 .*100,001 characters"),
        (lambda lines: changed(lines, 1, content="a\x00b"), "Line 2 .*NUL"),
        (lambda lines: changed(lines, 1, content="\ud800"), "Line 2 .*JSON"),
        (lambda lines: changed(lines, 1, importance=7), "Line 2 .*importance"),
        (lambda lines: changed(lines, 1, recorded_from="2024-01-01T00:00:00"), "Line 2 .*recorded_from"),
        (lambda lines: changed(lines, 1, occurred_at="9999-12-31T23:59:59-12:00"), "Line 2 .*beyond the years"),
        (lambda lines: changed(lines, 1, metadata={"x": "y" * 70_000}), "Line 2 .*65,536"),
        (lambda lines: [lines[0], '{"a":' * 100_000], "Line 2 "),
        (lambda lines: [lines[0], *lines[6:-1], ORPHANS], "mental model .* is not in the file"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line_and_leaves_the_store_sound(store, other, spoil, words):
    fill(store, "tea")
    lines = exported(store)
    with pytest.raises(MemoryStoreError, match=words):
        imported(other, spoil(lines))
    assert problems(other) == {}
    imported(other, lines)  # and the right one goes on from there
    assert current(other) == current(store)


@on_both
def test_few_rows_at_a_time_are_held(store, other):
    text = f"{'x' * 999} " * 16
    for start in range(0, 1200, 100):
        batch = [NewMemory(f"{number} {text}") for number in range(start, start + 100)]
        store.write(lambda connection, batch=batch: add_in(connection, store.scope, batch))
    del batch
    tracemalloc.start()
    try:
        lines = (line.encode() for line in export_lines(store, lambda *_: None))
        summary = Import(other, LIMIT, lambda _: None).take(lines)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert summary.added == {"memory": 1200}
    assert most < 12e6, most  # the texts are 19 MB


texts = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00"), min_size=1, max_size=40)
words = texts.filter(lambda text: text.strip())
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
maybe = st.none() | texts
moments = st.none() | st.datetimes(timezones=st.timezones())
news = st.builds(
    NewMemory,
    content=words,
    memory_type=st.sampled_from(["episodic", "document"]) | words,
    importance=st.floats(0, 1),
    metadata=st.dictionaries(texts, values, max_size=3),
    context=texts | st.just(""),
    speaker=maybe,
    session_id=maybe,
    source=maybe,
    position=maybe,
    origin=maybe,
    occurred_at=moments,
)
fates = st.sampled_from(["stays", "forgotten", "restored", "updated"])


@on_both
@given(st.lists(st.tuples(news, fates), max_size=4), st.text(string.ascii_letters, min_size=1, max_size=5))
@rules(max_examples=examples(10), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_is_stored_comes_back_equal(settings, tmp_path_factory, told_now, project):
    folder = tmp_path_factory.mktemp("trip")
    scope = {"url": f"sqlite:///{folder / 'a.db'}", "project": project}
    with opened(settings, **scope) as first, opened(settings, url=f"sqlite:///{folder / 'b.db'}") as second:
        for new, fate in told_now:
            _live(first, new, fate)
        lines = exported(first)
        imported(second, lines)
        assert exported(second) == lines
        assert Memories(second).recent(99) == Memories(first).recent(99)
        assert imported(second, lines).added == {}
        assert problems(second) == {}


def _live(store: Store, new: NewMemory, fate: str) -> None:
    versions = Versions(store)
    stored, _ = Memories(store).add(new, limit=LIMIT)
    if fate == "updated":
        versions.update(
            stored.id, Change("because", importance=stored.importance / 2, metadata={"new": 1}), limit=LIMIT
        )
    elif fate != "stays":
        versions.forget(stored.id, "because")
        if fate == "restored":
            versions.restore(stored.id)
