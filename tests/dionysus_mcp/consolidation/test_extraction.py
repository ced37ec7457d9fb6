"""What several sessions state becomes a semantic memory beside them, and never stands in their way."""

from datetime import UTC, datetime, timedelta

import pytest

from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.search import Query
from dionysus_mcp.store.memories import NewMemory
from dionysus_mcp.store.versions import Change, Versions
from tests.dionysus_mcp.consolidation.conftest import Told
from tests.dionysus_mcp.engines import on_both

LIMIT = 1000
FIRST = datetime(2024, 5, 1, 12, tzinfo=UTC)


def paint(told, sessions="abc", **rest):
    """Somebody says in several sessions that she paints, in the last ones a little otherwise."""
    texts = [
        "I love painting at the lake.",
        "Hi Bob! I really love painting at the lake. How are you?",
        "Well, I love painting at the lake a lot.",
    ]
    return [
        told.tell(text, speaker="Ann", session_id=session, occurred_at=FIRST + timedelta(days=number), **rest)
        for number, (text, session) in enumerate(zip(texts, sessions, strict=False))
    ]


def drawn(told):
    return [one for one in told.memories.recent(100) if one.memory_type == "semantic"]


def extracts(plan):
    return [one for one in plan.actions if one.kind == "extract"]


class TestDrawing:
    def test_it_is_a_sentence_that_was_said_with_all_places_where_it_was_said(self, told):
        sources = paint(told)
        [action] = extracts(told.plan())
        assert [quote.memory_id for quote in action.sources] == [one.id for one in sources]
        for quote, source in zip(action.sources, sources, strict=True):
            assert source.content[quote.start : quote.stop] == quote.text
            assert "painting at the lake" in quote.text
        assert action.content in [quote.text for quote in action.sources]
        assert (action.speaker, action.method) == ("Ann", "quote")

    def test_the_sources_stay_and_the_new_one_names_them(self, told):
        sources = paint(told)
        told.consolidation.apply(told.plan())
        assert len(told.current(semantic=False)) == 3
        [one] = drawn(told)
        assert one.metadata["drawn_from"] == [source.id for source in sources]
        assert (one.speaker, one.source, one.session_id) == ("Ann", "consolidation", None)
        assert one.occurred_at == FIRST + timedelta(days=2), "it holds as of the day it was said last"

    @pytest.mark.parametrize(
        "texts",
        [
            ("I love painting at the lake.", "I don't love painting at the lake."),
            ("I paid 15 euros for the ticket to Rome.", "I paid 50 euros for the ticket to Rome."),
            ("My sister Ann lives in the old town.", "My sister Anne lives in the old town."),
            ("Do you love painting at the lake?", "Do you love painting at the lake?"),
            ("He loves painting at the lake.", "He loves painting at the lake."),
            ("I painted at the lake yesterday.", "I painted at the lake yesterday."),
        ],
    )
    def test_what_is_denied_asked_pointed_at_or_of_a_day_is_not_drawn(self, told, texts):
        for text, session in zip(texts, "ab", strict=True):
            told.tell(text, speaker="Chloe", session_id=session)
        assert extracts(told.plan()) == []

    @pytest.mark.parametrize("other", [{"speaker": "Bob", "session_id": "b"}, {"speaker": "Ann", "session_id": "a"}])
    def test_another_person_or_the_same_session_is_no_second_episode(self, told, other):
        told.tell("I love painting at the lake.", speaker="Ann", session_id="a")
        told.tell("I really love painting at the lake.", **other)
        assert extracts(told.plan()) == []

    def test_without_sessions_days_are_the_episodes(self, told):
        told.tell("User loves painting at the lake.", occurred_at=FIRST)
        told.tell("The user really loves painting at the lake.", occurred_at=FIRST + timedelta(hours=1))
        assert extracts(told.plan()) == []
        told.tell("The user loves painting at the lake!", occurred_at=FIRST + timedelta(days=3))
        assert len(extracts(told.plan())) == 1

    def test_it_is_drawn_once_however_often_it_is_said_again(self, told):
        paint(told)
        told.apply()
        told.tell("I do love painting at the lake.", speaker="Ann", session_id="d")
        assert extracts(told.plan()) == []
        assert len(drawn(told)) == 1

    def test_what_its_user_forgot_is_not_drawn_again(self, told):
        paint(told)
        told.apply()
        Versions(told.store).forget(drawn(told)[0].id, "not true any more")
        assert extracts(told.plan()) == []

    def test_what_was_undone_is_not_drawn_again(self, told):
        paint(told)
        before = told.state()
        run = told.apply()
        told.consolidation.undo(run.id)
        assert told.state() == before
        assert extracts(told.plan()) == []

    def test_what_was_changed_since_stays_when_the_run_is_undone(self, told):
        paint(told)
        run = told.apply()
        [one] = drawn(told)
        Versions(told.store).update(one.id, Change("more", content="Ann paints at the lake."), limit=LIMIT)
        undone = told.consolidation.undo(run.id)
        assert [each.reason for each in undone.skipped] == [f"{one.id} was superseded since"]
        assert [each.content for each in drawn(told)] == ["Ann paints at the lake."]


@on_both
class TestRecall:
    def test_a_source_is_shown_and_its_extract_is_not_beside_it(self, told):
        sources = paint(told)
        told.apply()
        hits = told.search.recall(Query("what does Ann love at the lake", 10, LIMIT)).hits
        assert {hit.id for hit in hits} == {one.id for one in sources}

    def test_where_its_sources_are_not_asked_for_it_is_found(self, told):
        paint(told)
        told.apply()
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert told.found("painting at the lake", admitted=wanted) == [drawn(told)[0].content]

    def test_an_extract_does_not_outlive_a_source_that_was_forgotten(self, told):
        sources = paint(told)
        told.apply()
        then = datetime.now(UTC)
        Versions(told.store).forget(sources[0].id, "asked to")
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert told.found("painting at the lake", admitted=wanted) == []
        assert len(told.found("painting at the lake", as_of=then, admitted=wanted)) == 1
        run = told.apply()
        assert run.done["retire"] == 1
        # Two others still say so: what is drawn from them is theirs.
        assert [one.metadata["drawn_from"] for one in drawn(told)] == [[one.id for one in sources[1:]]]

    def test_a_source_that_came_back_brings_its_extract_back(self, told):
        sources = paint(told)
        told.apply()
        Versions(told.store).forget(sources[0].id, "asked to")
        Versions(told.store).restore(sources[0].id)
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert len(told.found("painting at the lake", admitted=wanted)) == 1
        assert {one.kind for one in told.plan().actions} <= {"link"}

    def test_a_source_that_has_a_duplicate_is_not_lost(self, told):
        paint(told)
        told.apply()
        told.tell(
            "I love painting at the lake. The water is clear there.", speaker="Ann", session_id="a", occurred_at=FIRST
        )
        run = told.apply()
        assert run.done == {"supersede": 1}
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert len(told.found("painting at the lake", admitted=wanted)) == 1
        assert told.plan().actions == []
        told.consolidation.undo(run.id)
        assert len(told.found("painting at the lake", admitted=wanted)) == 1
        assert "retire" not in {one.kind for one in told.plan().actions}

    def test_the_end_of_an_extract_can_be_undone(self, told):
        sources = paint(told)
        told.apply()
        before = told.state()
        Versions(told.store).forget(sources[0].id, "asked to")
        run = told.apply()
        Versions(told.store).restore(sources[0].id)
        told.consolidation.undo(run.id)
        assert told.state() == before
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert len(told.found("painting at the lake", admitted=wanted)) == 1

    def test_as_of_before_the_run_there_was_none(self, told):
        paint(told)
        told.embedder.follow()
        then = datetime.now(UTC)
        told.apply()
        wanted = Filter(memory_types=frozenset({"semantic"}))
        assert told.found("painting at the lake", as_of=then, admitted=wanted) == []


class TestUsers:
    def test_what_belongs_to_one_user_is_not_drawn_into_what_all_share(self, settings, model):
        anns = Told(settings.model_copy(update={"user": "ann"}), model)
        shared = Told(settings, model)
        try:
            paint(anns)
            assert shared.plan().actions == []
            run = anns.apply()
            assert run.done["extract"] == 1
            assert shared.current() == []
            assert shared.consolidation.runs() == []
        finally:
            anns.close()
            shared.close()

    def test_a_user_does_not_supersede_what_all_share(self, words_only):
        shared, anns = Told(words_only), Told(words_only.model_copy(update={"user": "ann"}))
        try:
            shared.tell("Tea is served at four.")
            anns.tell("Tea is served at 4")
            assert anns.plan().actions == shared.plan().actions == []
        finally:
            anns.close()
            shared.close()

    def test_a_session_draws_within_itself(self, settings, model):
        told = Told(settings.model_copy(update={"session": "q4"}), model)
        try:
            for day in range(2):
                new = NewMemory("I love painting at the lake.", speaker="Ann", occurred_at=FIRST + timedelta(days=day))
                told.memories.add(new, limit=LIMIT)
            told.apply()
            assert {one.session_id for one in told.memories.recent(9)} == {"q4"}
        finally:
            told.close()
