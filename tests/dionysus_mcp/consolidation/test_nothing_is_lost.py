"""Whatever is told, no fact that was told once is lost by a consolidation, and all of it can be taken back."""

import contextlib
import tempfile
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.consolidation.wording import sentences
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import NewMemory, add_in, believed
from tests.dionysus_mcp.consolidation.conftest import Told
from tests.dionysus_mcp.memories_of import a_moment_apart, examples

DAY = datetime(2024, 5, 1, 12, tzinfo=UTC)
PEOPLE = st.sampled_from(["Ann", "Anne", "Bob", "Rob", "Chloe"])
FACTS = st.one_of(
    st.builds(
        "{} owes {} {} {}".format, PEOPLE, PEOPLE, st.sampled_from([15, 50, 5]), st.sampled_from(["euros", "pounds"])
    ),
    st.builds("{} {} swim".format, PEOPLE, st.sampled_from(["can", "can't", "will", "won't"])),
    st.builds("Turn {} at the {}".format, st.sampled_from(["left", "right"]), st.sampled_from(["church", "mill"])),
    st.builds("The box weighs {} {}".format, st.sampled_from(["2", "2.5", "25"]), st.sampled_from(["kg", "g"])),
    st.builds("I {} in {}".format, st.sampled_from(["live", "lived"]), st.sampled_from(["Rome", "Paris"])),
)
WORDINGS = st.sampled_from(
    [
        lambda fact: fact,
        lambda fact: f"{fact}.",
        lambda fact: f"{fact}!",
        lambda fact: f"  {fact.replace(' ', '  ')} ",
        lambda fact: fact.replace("can't", "cannot").replace("won't", "will not"),
        lambda fact: fact.replace("'", "’"),
        lambda fact: f"Note that {fact}",
        lambda fact: fact.replace(" 15 ", " fifteen ").replace(" 5 ", " five "),
        lambda fact: f"{fact}. The weather is fine",
        lambda fact: f"{fact}. Not really",
        lambda fact: fact.lower(),
    ]
)


@st.composite
def stories(draw):
    """Facts as they were told: what, in which words, by whom, when, where."""
    told = []
    for fact in draw(st.lists(FACTS, min_size=2, max_size=5, unique=True)):
        for wording in draw(st.lists(WORDINGS, min_size=1, max_size=3)):
            who = draw(st.sampled_from([None, "Chloe", "Dan"]))
            when = draw(st.sampled_from([None, DAY, DAY + timedelta(days=1)]))
            session = draw(st.sampled_from([None, "s"]))
            told.append((fact, NewMemory(wording(fact), speaker=who, occurred_at=when, session_id=session)))
    return draw(st.permutations(told))


@pytest.fixture(scope="module")
def embedding():
    from dionysus_mcp.embedding import MiniLm

    return MiniLm.load(threads=1)


@contextlib.contextmanager
def opened(model):
    with tempfile.TemporaryDirectory() as folder:
        where = MemorySettings(url=f"sqlite:///{folder}/memory.db", embedder="none" if model is None else "minilm")
        with contextlib.closing(Told(where, model)) as told:
            yield told


def statements(one):
    """What a memory states, by whom, when and where; without the capital of a first word."""
    return {
        (sentence.words, one.speaker, one.occurred_at, one.session_id)
        for sentence in sentences(one.content)
        if sentence.words
    }


def check_story(told, story):
    told.store.write(lambda connection: add_in(connection, told.store.scope, [new for _, new in story]))
    planted = set().union(*(statements(new) for _, new in story))
    before, then = told.state(), a_moment_apart()
    plan = told.plan(limit=1000)
    assert told.state() == before, "a plan changes nothing"
    run = told.consolidation.apply(plan)
    assert not run.skipped
    held = told.memories.recent(1000)
    assert planted == set().union(*(statements(one) for one in held if one.memory_type == "episodic"))
    for fact, new in story:
        [said, *_] = sentences(new.content)
        hits = told.found(fact, top_k=20)
        assert any(said.words in [each.words for each in sentences(hit)] for hit in hits), (fact, hits)
    with told.store.read() as connection:
        query = select(schema.memory.c.content).where(believed(then)).order_by(schema.memory.c.content)
        assert list(connection.execute(query).scalars()) == sorted({new.hash: new.content for _, new in story}.values())
    assert told.plan(limit=1000).actions == [], "what is done is done"
    told.consolidation.undo(run.id)
    assert told.state() == before
    again = {one.kind for one in told.plan(limit=1000).actions}
    assert again <= {"link"}, "what was undone is not done again; what came back may be linked"


def quick(many):
    return settings(
        max_examples=examples(many),
        deadline=None,
        # Making a story smaller takes minutes, and a story is small.
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )


@quick(20)
@given(story=stories())
def test_every_planted_fact_is_there_afterwards_and_found_by_words(home, story):
    with opened(None) as told:
        check_story(told, story)


@quick(8)
@given(story=stories())
def test_every_planted_fact_is_there_afterwards_and_found_by_meaning(home, embedding, story):
    with opened(embedding) as told:
        check_story(told, story)


def test_what_one_restatement_says_more_stays(told):
    told.tell("Ann has a dog")
    told.tell("Ann has a dog. Its name is Rex.", metadata={"from": "chat"})
    told.tell("Ann has a dog!", metadata={"from": "mail"})
    told.apply()
    assert told.current() == ["Ann has a dog!", "Ann has a dog. Its name is Rex."]


def test_the_settings_of_nearness_never_decide_what_is_superseded(settings, model):
    """Vectors link; words alone supersede."""
    with contextlib.closing(Told(settings, model)) as told:
        told.tell_all(
            ["Ann owes Bob 15 euros", "Ann owes Bob 50 euros", "Bob owes Ann 15 euros", "Anne owes Bob 15 euros"]
        )
        told.embedder.follow()
        loose = ConsolidationSettings(similar=0.01, related=0.01)
        from dionysus_mcp.consolidation.consolidation import Consolidation

        plan = Consolidation(told.store, loose).plan()
        assert {one.kind for one in plan.actions} == {"link"}
        assert all(one.differing for one in plan.actions)
