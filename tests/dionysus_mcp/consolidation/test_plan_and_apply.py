"""What a plan names, what doing it changes, and what the store no longer allows."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from dionysus_mcp.consolidation.lease import ConsolidationBusy, Lease
from dionysus_mcp.consolidation.tables import TABLES, link
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store import schema
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.consolidation.conftest import Told
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both, sqlite_only
from tests.dionysus_mcp.memories_of import problems

ENGINES = BOTH_IN_ALL

LIMIT = 1000


def only(plan, kind):
    return [one for one in plan.actions if one.kind == kind]


class TestSuperseding:
    def test_a_plan_names_both_memories_their_similarity_and_what_differs(self, told):
        first, second = told.tell("Tea is at four."), told.tell("Note: Tea is at 4. The cake is good.")
        [action] = told.plan().actions
        assert (action.kind, action.memory_id, action.survivor_id) == ("supersede", first.id, second.id)
        assert action.similarity is not None
        assert 0.5 < action.similarity < 1
        assert set(action.differing) == {"the", "cake", "is", "good"}

    def test_the_older_of_two_alike_stays_and_the_other_tells_why_it_ended(self, by_words):
        first, second = by_words.tell("Tea is at four."), by_words.tell("Tea is at 4")
        run = by_words.apply()
        [ended] = by_words.memories.get([second.id])
        assert (ended.ended_as, first.id in ended.ended_because) == ("superseded", True)
        assert run.id in ended.ended_because
        assert by_words.current() == ["Tea is at four."]
        assert by_words.found("tea four") == ["Tea is at four."]

    @pytest.mark.parametrize(
        "other",
        [
            {"speaker": "Ann"},
            {"session_id": "s"},
            {"occurred_at": datetime(2024, 5, 1, tzinfo=UTC)},
            {"source": "chat"},
            {"context": "Winter"},
            {"memory_type": "semantic"},
            {"metadata": {"a": 1}, "importance": 0.1},
            {"origin": "/notes.md"},
        ],
        ids=lambda other: "+".join(other),
    )
    def test_another_speaker_session_date_or_place_is_another_memory(self, by_words, other):
        by_words.tell("Tea is served at four.", metadata={"b": 2} if "metadata" in other else {})
        by_words.tell("Tea is served at 4", **other)
        assert only(by_words.plan(), "supersede") == []

    def test_metadata_that_only_python_takes_for_equal_are_two(self, by_words):
        by_words.tell("Tea is served at four.", metadata={"a": 1})
        by_words.tell("Tea is served at 4", metadata={"a": True})
        assert by_words.plan().actions == []

    def test_what_was_read_from_files_is_left_to_its_files(self, by_words):
        """Its survivor may be gone with a change of the file, and the file with the other one is not read again."""
        by_words.tell("Tea is served at four.", origin="/a.md")
        by_words.tell("Tea is served at 4", origin="/a.md")
        assert only(by_words.plan(), "supersede") == []

    def test_what_matters_more_and_knows_more_is_what_stays(self, by_words):
        by_words.tell("Tea is served at four.", importance=0.5)
        by_words.tell("Tea is served at 4", importance=0.9, metadata={"a": [1]})
        by_words.apply()
        assert by_words.current() == ["Tea is served at 4"]

    def test_a_reply_stays_unless_it_was_sent_twice(self, by_words):
        """ "Yes" to one question is not "yes" to another."""
        for content in (
            "Is tea at four?",
            "Yes, it is.",
            "Yes, it is!",
            "Is cake at five?",
            "Yes it  is",
            "Yes, it  is.",
        ):
            by_words.tell(content, speaker="Ann", session_id="s")
        by_words.apply()
        assert by_words.current() == sorted(
            ["Is tea at four?", "Yes, it is.", "Is cake at five?", "Yes it  is", "Yes, it  is."]
        )

    def test_today_is_another_day_tomorrow(self, by_words):
        first = by_words.tell("I ran five miles today.")
        by_words.tell("I saw a heron on the lake")
        second = by_words.tell("I ran five miles today!")
        assert by_words.plan().actions == []
        day = datetime(2024, 5, 1, tzinfo=UTC)
        table = schema.memory
        by_words.store.write(
            lambda connection: connection.execute(
                update(table).where(table.c.id.in_([first.id, second.id])).values(occurred_at=day)
            )
        )
        assert len(only(by_words.plan(), "supersede")) == 1

    @on_both
    def test_of_many_alike_one_is_left_which_is_superseded_by_none(self, by_words):
        by_words.tell_all([f"Tea is at four{'!' * number}" for number in range(30)])
        run = by_words.apply()
        assert run.done == {"supersede": 29}
        assert len(by_words.current()) == 1

    def test_a_run_does_no_more_than_its_limit(self, by_words):
        by_words.tell_all([f"Tea is at four{'!' * number}" for number in range(10)])
        plan = by_words.plan(limit=4)
        assert (len(plan.actions), plan.left_out) == (4, 5)
        by_words.consolidation.apply(plan)
        assert len(by_words.current()) == 6


class TestScopes:
    def test_no_other_scope_is_looked_at_or_named(self, words_only, by_words):
        by_words.tell("Tea is at four.")
        with contextlib.closing(Told(words_only.model_copy(update={"project": "other"}))) as other:
            other.tell("Tea is at 4")
            assert by_words.plan().actions == other.plan().actions == []
            other.tell("Tea is at four!")
            run = other.apply()
            assert run.done == {"supersede": 1}
            assert by_words.consolidation.runs() == []
            for attempt in (by_words.consolidation.undo, by_words.consolidation.actions):
                with pytest.raises(MemoryStoreError, match="has no consolidation run"):
                    attempt(run.id)

    def test_a_plan_of_another_scope_does_nothing(self, words_only, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        plan = by_words.plan()
        with contextlib.closing(Told(words_only.model_copy(update={"tenant": "other"}))) as other:
            run = other.consolidation.apply(plan)
        assert (run.done, [one.reason for one in run.skipped]) == ({}, [f"{plan.actions[0].memory_id} is gone"])
        assert len(by_words.current()) == 2


class TestStale:
    def test_what_changed_since_the_plan_is_skipped_and_said(self, by_words):
        first, second = by_words.tell("Tea is at four."), by_words.tell("Tea is at 4")
        kept, other = by_words.tell("Cake is at five."), by_words.tell("Cake is at 5")
        plan = by_words.plan()
        Versions(by_words.store).update(first.id, Change("moved", content="Tea is at six."), limit=LIMIT)
        run = by_words.consolidation.apply(plan)
        assert [(one.action.memory_id, one.reason) for one in run.skipped] == [
            (second.id, f"{first.id} was superseded meanwhile")
        ]
        assert by_words.current() == ["Cake is at five.", "Tea is at 4", "Tea is at six."]
        assert by_words.memories.get([other.id])[0].ended_as == "superseded"
        assert kept.id

    def test_a_plan_that_was_done_is_not_done_twice(self, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        plan = by_words.plan()
        by_words.consolidation.apply(plan)
        again = by_words.consolidation.apply(plan)
        assert (again.done, len(again.skipped)) == ({}, 1)

    def test_a_memory_that_was_purged_meanwhile_is_skipped(self, by_words):
        by_words.tell("Tea is at four.")
        second = by_words.tell("Tea is at 4")
        plan = by_words.plan()
        Purge(by_words.store, Selection(ids=[second.id])).run()
        assert by_words.consolidation.apply(plan).skipped[0].reason == f"{second.id} is gone"


class TestUndo:
    @on_both
    def test_what_was_superseded_is_back_as_a_new_version(self, told):
        told.tell("Tea is at four.", importance=0.6)
        second = told.tell("Tea is at 4", speaker=None)
        before = told.state()
        run = told.apply()
        undone = told.consolidation.undo(run.id)
        assert (undone.status, undone.undone, told.state()) == ("undone", 1, before)
        history = Versions(told.store).history(second.id)
        assert [one.content for one in history] == ["Tea is at 4"] * 2
        assert history[-1].superseded_at is None
        assert told.found("when is tea", top_k=5)[:2] != []
        assert sorted(told.found("when is tea")) == ["Tea is at 4", "Tea is at four."]
        assert problems(told.store) == {}

    def test_what_was_undone_is_left_apart_from_then_on(self, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        by_words.consolidation.undo(by_words.apply().id)
        assert by_words.plan().actions == []
        by_words.tell("Tea is at four!")
        assert len(by_words.plan().actions) == 1

    def test_undoing_twice_changes_nothing_more(self, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        run = by_words.apply()
        by_words.consolidation.undo(run.id)
        before = by_words.state()
        assert by_words.consolidation.undo(run.id).undone == 1
        assert by_words.state() == before

    def test_what_was_told_again_since_is_not_doubled_and_said(self, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        run = by_words.apply()
        again = by_words.tell("Tea is at 4")
        undone = by_words.consolidation.undo(run.id)
        assert [one.reason for one in undone.skipped] == [f"{again.id} says it already"]
        assert by_words.current() == ["Tea is at 4", "Tea is at four."]

    def test_an_unknown_run_is_refused_with_what_to_do(self, by_words):
        with pytest.raises(MemoryStoreError, match="--list"):
            by_words.consolidation.undo("c-none")

    def test_runs_tell_what_they_did(self, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        run = by_words.apply()
        assert by_words.consolidation.actions(run.id)[0].content == "Tea is at 4"
        [listed] = by_words.consolidation.runs()
        assert (listed.id, listed.status, listed.done) == (run.id, "done", {"supersede": 1})


class TestLinks:
    def test_what_is_near_but_not_the_same_is_linked_with_the_words_that_differ(self, told):
        told.tell("The meeting with the council is on Monday in the town hall.")
        told.tell("The meeting with the council is on Tuesday in the town hall.")
        [action] = told.plan().actions
        assert (action.kind, set(action.differing)) == ("link", {"Monday", "Tuesday"})
        run = told.consolidation.apply(told.plan())
        assert len(told.current()) == 2
        assert told.plan().actions == []
        told.consolidation.undo(run.id)
        with told.store.read() as connection:
            assert connection.execute(select(func.count()).select_from(link)).scalar_one() == 0


@on_both
class TestOneAtATime:
    def test_while_one_consolidates_another_is_refused_and_told_when(self, words_only, by_words):
        by_words.tell("Tea is at four.")
        by_words.tell("Tea is at 4")
        with contextlib.closing(Told(words_only)) as other, Lease(other.store):
            with pytest.raises(ConsolidationBusy, match="Another process is consolidating local/default"):
                by_words.consolidation.run()
            assert by_words.plan().actions  # to look is free
        assert by_words.consolidation.run()[1].done == {"supersede": 1}

    def test_a_lease_that_was_left_behind_ends_by_itself(self, by_words):
        left = Lease(by_words.store, timedelta(seconds=-1))
        left.renew()
        with Lease(by_words.store):
            pass

    def test_who_lost_its_lease_stops(self, by_words):
        with contextlib.ExitStack() as stack:
            first = stack.enter_context(Lease(by_words.store, timedelta(seconds=-1)))
            stack.enter_context(Lease(by_words.store))
            with pytest.raises(ConsolidationBusy):
                first.renew()


@on_both
def test_no_table_of_consolidation_holds_a_text_of_memory(told):
    """Or a purge would leave it in the file."""
    for session in "ab":
        told.tell("I adore marzipan from the corner shop.", speaker="Ann", session_id=session)
    told.tell("Marzipan is sold at the corner.")
    told.tell("Marzipan is sold at the corner!")
    told.apply(now=datetime.now(UTC) + timedelta(days=400))
    with told.store.read() as connection:
        for table in TABLES:
            for row in connection.execute(select(table)):
                assert "arzipan" not in repr(row)


@sqlite_only
def test_a_purge_with_versions_takes_what_was_superseded_along(by_words):
    kept = by_words.tell("Marzipan is sold at the corner.")
    by_words.tell("Marzipan is sold at the corner")
    by_words.apply()
    assert Purge(by_words.store, Selection(ids=[kept.id])).trial().other_versions == 1
    assert Purge(by_words.store, Selection(ids=[kept.id], versions=True)).run().memories == 2
    by_words.store.close()
    assert b"arzipan" not in by_words.store.path.read_bytes()


@sqlite_only
def test_a_purged_memory_takes_what_was_drawn_from_it_along(told):
    ids = [
        told.tell("I adore marzipan from the corner shop.", speaker="Ann", session_id=session).id for session in "ab"
    ]
    told.apply()
    assert len(told.current()) == 3
    Purge(told.store, Selection(ids=ids)).run()
    told.store.close()
    assert told.current() == []
    assert b"arzipan" not in told.store.path.read_bytes()
    assert problems(told.store) == {}
