"""Which beliefs of an export an import joins with which of the store, and how it stores them."""

import json
import sqlite3
from collections import Counter

import pytest

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.upkeep import importing
from dionysus_mcp.upkeep.identity import own_ids
from dionysus_mcp.upkeep.importing import Import
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both
from tests.dionysus_mcp.memories_of import LIMIT, opened
from tests.dionysus_mcp.test_transfer_beliefs import believe, exported, held, imported, predict, revise

ENGINES = BOTH_IN_ALL


@pytest.fixture
def other(settings):
    """A store on another machine, as it were."""
    with opened(settings, tenant="elsewhere") as store:
        yield store


def test_two_beliefs_of_one_store_are_not_joined_with_the_same_one(store, other):
    revise(store, believe(store, "They like tea."), "They like coffee.")
    believe(store, "They like tea.")
    believe(other, "They like tea.")
    imported(other, store)
    assert sorted(one.statement for one in held(other)) == ["They like coffee.", "They like tea."]
    imported(store, other)
    assert sorted(one.statement for one in held(store)) == ["They like coffee.", "They like tea."]


def test_two_beliefs_far_apart_in_an_export_are_not_joined_with_the_same_one(store, other, monkeypatch):
    monkeypatch.setattr(importing, "_TOGETHER", 1)
    revise(store, believe(store, "They like tea."), "They like coffee.")
    believe(store, "They like tea.")
    believe(other, "They like tea.")
    imported(other, store)
    assert sorted(one.statement for one in held(other)) == ["They like coffee.", "They like tea."]


@on_both
@pytest.mark.parametrize("lost", ["before", "after"])
def test_a_write_that_is_tried_again_joins_what_it_joined_before(store, other, monkeypatch, lost):
    believe(store, "They like tea.")
    believe(other, "They like tea.")
    write = Store.write

    def twice(self, work, **how):
        def again(connection):
            if lost == "before":
                with connection.begin_nested() as undone:
                    work(connection)
                    undone.rollback()
            else:
                work(connection)
            return work(connection)

        return write(self, again, **how)

    monkeypatch.setattr(Store, "write", twice)
    imported(other, store)
    assert len(held(other)) == 1


def test_beliefs_with_very_many_predictions_are_stored_one_by_one(store, other, monkeypatch):
    monkeypatch.setattr(importing, "_TOGETHER", 10)
    for word, count in (("tea", 12), ("coffee", 12), ("milk", 1), ("water", 1)):
        belief = believe(store, f"They like {word}.")
        for number in range(count):
            predict(store, belief, f"asks for {word} {number}")
    sizes = []
    believed = Import._believed
    monkeypatch.setattr(Import, "_believed", lambda *given: sizes.append(len(given[3])) or believed(*given))
    added = Import(other, LIMIT, lambda _: None).take([line.encode() for line in exported(store)]).added
    assert added == {"mental_model": 4, "model_revision": 4, "prediction": 26}
    assert sizes == [1, 1, 2]


def crafted(*lines):
    counts = Counter(line["kind"] for line in lines)
    return [json.dumps(one) for one in ({"kind": "header", "version": 2}, *lines, {"kind": "end", "counts": counts})]


def taken(store, *lines):
    return Import(store, LIMIT, lambda _: None).take([line.encode() for line in crafted(*lines)])


def model_line(key, statement, version=1, **values):
    return {
        "kind": "mental_model",
        "id": key,
        "domain": "user",
        "statement": statement,
        "concepts": [],
        "prediction_templates": [],
        "status": "active",
        "version": version,
        "alpha": 1.0,
        "beta": 1.0,
        "created_at": "2030-01-01T00:00:00Z",
    } | values


def revision_line(key, statement, version=1, **values):
    at = f"2030-01-0{version}T00:00:00Z"
    line = {"kind": "model_revision", "model_id": key, "version": version, "statement": statement}
    return line | {"reason": "because", "at": at, "resolved": 0} | values


def prediction_line(key, model, version=1, **values):
    return {
        "kind": "prediction",
        "id": key,
        "model_id": model,
        "model_version": version,
        "statement": "asks for it",
        "probability": 0.8,
        "created_at": "2030-01-01T00:00:00Z",
        "status": "open",
    } | values


RIGHT = {"status": "resolved", "outcome": True, "resolved_at": "2030-01-02T00:00:00Z"}


def named_here(store, table, key):
    with store.read() as connection:
        return own_ids(connection, store.scope, table, [key])[key]


def test_an_import_changes_no_belief_of_another_scope_whatever_ids_are_in_it(store, other):
    taken(other, model_line("b-1", "They like tea."), revision_line("b-1", "They like tea."))
    made = named_here(store, schema.mental_model, "b-1")
    assert made != "b-1"
    taken(other, model_line(made, "They like milk."), revision_line(made, "They like milk."))
    before = exported(other)
    taken(
        store,
        model_line("b-1", "They like gin.", 2),
        revision_line("b-1", "They like milk."),
        revision_line("b-1", "They like gin.", 2),
    )
    assert exported(other) == before
    assert held(store) == []


def test_an_import_resolves_no_prediction_of_another_scope(store, other):
    believed = model_line("b-1", "They like tea."), revision_line("b-1", "They like tea.")
    taken(other, *believed, prediction_line("p-1", "b-1"))
    taken(other, *believed, prediction_line(named_here(store, schema.prediction, "p-1"), "b-1"))
    before = exported(other)
    line = model_line("b-2", "They like gin.")
    taken(store, line, revision_line("b-2", "They like gin."), prediction_line("p-1", "b-2", **RIGHT))
    assert exported(other) == before


@pytest.mark.parametrize(
    ("line", "name"),
    [
        (model_line("b-1", "x", 10**30), "version"),
        (revision_line("b-1", "x", version=1, resolved=2**31), "resolved"),
        (revision_line("b-1", "x") | {"version": 2**31}, "version"),
        (prediction_line("p-1", "b-1", 10**30), "model_version"),
        (
            {"kind": "file", "origin": "x", "digest": "x", "pieces": 10**30, "recorded_at": "2030-01-01T00:00:00Z"},
            "pieces",
        ),
        ({"kind": "relation", "first": 10**30}, "first"),
        ({"kind": "relation", "last": 2**31}, "last"),
        (prediction_line("p-1", "b-1", **(RIGHT | {"outcome": None})), "outcome"),
    ],
)
def test_numbers_that_no_database_holds_and_predictions_without_their_outcome_are_named(store, line, name):
    full = {
        "subject": "Ann",
        "subject_kind": "person",
        "type": "knows",
        "object": "Bob",
        "object_kind": "person",
        "extractor": "told",
        "confidence": 1.0,
        "recorded_from": "2030-01-01T00:00:00Z",
    }
    wrong = full | line if line["kind"] == "relation" else line
    with pytest.raises(MemoryStoreError, match=f"Line 3 .*{name}"):
        taken(store, model_line("b-1", "x"), wrong)


@pytest.mark.parametrize("there", [False, True], ids=["new", "joined"])
def test_predictions_of_versions_that_the_export_lost_belong_to_the_last_that_there_is(store, there):
    if there:
        believe(store, "They like tea.")
    taken(
        store,
        model_line("b-1", "They like tea.", 3),
        revision_line("b-1", "They like tea."),
        prediction_line("p-1", "b-1", 3, **RIGHT),
    )
    (belief,) = held(store)
    told = [json.loads(line) for line in exported(store)]
    assert [one["model_version"] for one in told if one["kind"] == "prediction"] == [belief.version]
    if there:
        assert (belief.version, belief.alpha, belief.resolved_predictions) == (1, 2.0, 1)


def test_a_full_folder_for_temporary_files_is_told_with_what_to_do(store, monkeypatch):
    connect = sqlite3.connect

    def small(name, **how):
        connection = connect(name, **how)
        if name == "":
            connection.execute("PRAGMA max_page_count = 8")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    lines = [model_line("b-1", "x"), *(revision_line("b-1", "y" * 5000, 1 + number % 9) for number in range(20))]
    with pytest.raises(MemoryStoreError, match="full.*make space there, or set SQLITE_TMPDIR"):
        taken(store, *lines)
    assert held(store) == []
