"""How well a memory would still be in mind: it decays, a recall raises it, and nothing is deleted by it."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.consolidation.recalled import RecallCounts
from dionysus_mcp.consolidation.retention import MOST_STABLE, after_recall, band, first_stability, retention
from dionysus_mcp.consolidation.strengths import strengths
from dionysus_mcp.store.versions import Versions
from tests.dionysus_mcp.engines import on_both

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STABILITIES = st.floats(0.1, MOST_STABLE)
DAYS = st.floats(0, 5000)


def later(days):
    return NOW + timedelta(days=days)


def test_after_its_stability_nine_of_ten_are_left():
    assert retention(7.0, NOW, later(7)) == pytest.approx(0.9)
    assert retention(7.0, NOW, NOW) == 1


@given(STABILITIES, DAYS, DAYS)
def test_it_only_decays(stability, first, second):
    early, late = sorted((first, second))
    assert 0 < retention(stability, NOW, later(late)) <= retention(stability, NOW, later(early)) <= 1


@given(STABILITIES, DAYS)
def test_a_recall_never_weakens_and_is_bounded(stability, days):
    after = after_recall(stability, NOW, later(days))
    assert stability * (1 - 1e-9) <= after <= MOST_STABLE


def test_what_was_recalled_just_now_gains_nothing_from_another_recall():
    """Or whatever stands at the top of every answer would never leave it."""
    assert after_recall(7.0, NOW, NOW) == pytest.approx(7.0)


def test_what_matters_more_lasts_longer():
    assert first_stability(0.0) < first_stability(0.5) == 7.0 < first_stability(1.0)


@pytest.mark.parametrize(("value", "name"), [(1.0, "strong"), (0.7, "strong"), (0.5, "fading"), (0.1, "faded")])
def test_bands(value, name):
    assert band(value) == name


class TestRuns:
    def test_what_was_not_recalled_fades_and_is_recalled_as_before(self, by_words):
        by_words.tell("Tea is served at four.")
        by_words.tell("Cake is served at five.", importance=1.0)
        now = datetime.now(UTC)
        plan = by_words.plan(now=now + timedelta(days=50))
        assert [(one.kind, one.content, one.before, one.after) for one in plan.actions] == [
            ("fade", "Tea is served at four.", "strong", "fading")
        ]
        before = by_words.state()
        run = by_words.consolidation.apply(plan)
        assert (by_words.state(), run.done) == (before, {"fade": 1})
        assert by_words.found("tea") == ["Tea is served at four."]
        assert by_words.plan(now=now + timedelta(days=50)).actions == []
        assert [one.after for one in by_words.plan(now=now + timedelta(days=5000)).actions] == ["faded", "faded"]

    def test_undoing_gives_the_band_back(self, by_words):
        by_words.tell("Tea is served at four.")
        now = datetime.now(UTC) + timedelta(days=50)
        run = by_words.apply(now=now)
        by_words.consolidation.undo(run.id)
        with by_words.store.read() as connection:
            assert strengths(connection, by_words.store.scope) == {}
        assert by_words.plan(now=now).actions == [], "what was undone is not done again"

    def test_what_was_recalled_since_keeps_its_strength(self, by_words):
        one = by_words.tell("Tea is served at four.")
        run = by_words.apply(now=datetime.now(UTC) + timedelta(days=50))
        note(by_words, [one.id])
        undone = by_words.consolidation.undo(run.id)
        assert [each.reason for each in undone.skipped] == ["it was recalled or rated since"]
        [held] = strength_of(by_words)
        assert (held.recalls, held.band) == (1, "strong")

    def test_what_is_least_in_mind_is_dealt_with_first(self, by_words):
        kept = [by_words.tell(f"Tea is served at four{mark}") for mark in ("", ".", "!")]
        assert kept
        note(by_words, [kept[1].id])
        [action] = by_words.plan(limit=1, now=datetime.now(UTC) + timedelta(days=9)).actions
        assert action.memory_id == kept[2].id


def note(told, ids):
    counts = RecallCounts(told.store, pause=0.01)
    counts.start()
    counts.note(ids)
    counts.close()


def strength_of(told):
    with told.store.read() as connection:
        return list(strengths(connection, told.store.scope).values())


@on_both
class TestCounting:
    def test_recalls_are_counted_and_unknown_ids_are_passed_over(self, by_words):
        one = by_words.tell("Tea is served at four.")
        for _ in range(3):
            note(by_words, [one.id, "m-none"])
        [held] = strength_of(by_words)
        assert (held.recalls, held.recalled_at is not None) == (3, True)

    def test_hits_further_down_are_no_useful_recall(self, by_words):
        ids = [by_words.tell(f"Tea number {number}.").id for number in range(6)]
        note(by_words, ids)
        assert len(strength_of(by_words)) == 3

    def test_what_has_ended_is_not_counted(self, by_words):
        one = by_words.tell("Tea is served at four.")
        Versions(by_words.store).forget(one.id, "asked to")
        note(by_words, [one.id])
        assert strength_of(by_words) == []

    def test_a_store_that_cannot_be_written_does_not_hold_up_a_recall(self, by_words, monkeypatch):
        from dionysus_mcp.errors import MemoryStoreError

        one = by_words.tell("Tea is served at four.")

        def refuse(_work):
            raise MemoryStoreError("a full disk")

        monkeypatch.setattr(by_words.store, "write", refuse)
        note(by_words, [one.id])  # ends, and raises nothing

    def test_without_a_thread_nothing_is_gathered(self, by_words):
        counts = RecallCounts(by_words.store)
        counts.note(["m-1"])
        counts.flush()
        counts.close()
        assert strength_of(by_words) == []
