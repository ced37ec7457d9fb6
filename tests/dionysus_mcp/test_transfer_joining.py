"""Which beliefs of an export an import joins with which of the store, and how it stores them."""

import pytest

from dionysus_mcp.store.access import Store
from dionysus_mcp.upkeep import importing
from dionysus_mcp.upkeep.importing import Import
from tests.dionysus_mcp.engines import BOTH
from tests.dionysus_mcp.memories_of import LIMIT, opened
from tests.dionysus_mcp.test_transfer_beliefs import believe, exported, held, imported, predict, revise

ENGINES = BOTH


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
