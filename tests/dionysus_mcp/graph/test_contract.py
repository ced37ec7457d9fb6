"""What every kind of graph must do: the store's own, and Neo4j's."""

import contextlib
from datetime import UTC, datetime

import pytest

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph import writing
from dionysus_mcp.graph.sql import SqlGraph
from dionysus_mcp.store.versions import Change, Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.engines import BOTH
from tests.dionysus_mcp.graph.worlds import end, explore, relate, said, tell, working
from tests.dionysus_mcp.memories_of import a_moment_apart

ENGINES = BOTH

HOSTILE = [
    "O'Brien",
    'Robert"); DROP TABLE memory; --',
    "x'}) DETACH DELETE n //",
    "`Backtick`) MATCH (n) DETACH DELETE n",
    "${graph} $ids {0} %s %(a)s",
    "名前",
    "Zoë \u202egnp.exe",
    "😀 Smile",
    "{id: 1}",
    "a" * 120,
]


def test_a_relation_is_found_from_both_ends_with_its_evidence(world):
    store, worker, settle = world
    (memory,) = tell(store, "Some news. Ann Miller works at Acme Corp in Berlin. More news.", source="news.md")
    settle()
    for name in ("Ann Miller", "acme corp", "the ACME  Corp"):
        found = explore(worker, name, types=frozenset({"works_at"}))
        assert said(found) == {("Ann Miller", "works_at", "Acme Corp")}
        (evidence,) = found.relations[0].evidence
        assert evidence.quote == "Ann Miller works at Acme Corp in Berlin."
        assert (evidence.memory_id, evidence.source) == (memory.id, "news.md")
        assert evidence.extractor == "patterns"
        assert evidence.recorded_at == memory.recorded_at
    assert {one.name: one.kind for one in found.entities} == {"Acme Corp": "organisation", "Ann Miller": "person"}


def test_who_is_mentioned_together_comes_with_the_number_of_memories(world):
    store, worker, settle = world
    tell(store, "We met Ann Miller and Bob.", "Then Ann Miller saw Bob and Eve.", "Nobody saw Zoe.")
    settle()
    found = explore(worker, "Ann Miller")
    assert [(one.first, one.second, one.together) for one in found.companions] == [
        ("Ann Miller", "Bob", 2),
        ("Ann Miller", "Eve", 1),
    ]
    assert found.companions[0].quote == "Then Ann Miller saw Bob and Eve."
    assert {one.name for one in found.entities} == {"Ann Miller", "Bob", "Eve"}


def test_two_steps_reach_farther_than_one(world):
    store, worker, settle = world
    relate(store, "Ann", "knows", "Bob")
    relate(store, "Bob", "knows", "Eve")
    relate(store, "Eve", "knows", "Zoe")
    settle()
    assert {one.name: one.distance for one in explore(worker, "Ann").entities} == {"Ann": 0, "Bob": 1}
    found = explore(worker, "Ann", depth=2)
    assert {one.name: one.distance for one in found.entities} == {"Ann": 0, "Bob": 1, "Eve": 2}


def test_the_same_relation_told_twice_is_one(world):
    store, worker, settle = world
    first = relate(store, "Ann", "works_at", "Acme")
    assert relate(store, "ann", "works_at", "ACME") == first
    settle()
    assert len(explore(worker, "Ann").relations[0].evidence) == 1


def test_what_a_forgotten_memory_alone_said_is_no_longer_believed(world):
    store, worker, settle = world
    first, second = tell(store, "Ann Miller works at Acme Corp.", "Ann Miller works at Acme Corp. Still!")
    settle()
    before = a_moment_apart()
    Versions(store).forget(first.id, "wrong")
    settle()
    assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "works_at", "Acme Corp")}
    Versions(store).forget(second.id, "wrong as well")
    settle()
    found = explore(worker, "Ann Miller")
    assert found.entities == []
    assert "No entity is called 'Ann Miller'" in found.notice
    past = explore(worker, "Ann Miller", at=before)
    assert said(past) == {("Ann Miller", "works_at", "Acme Corp")}
    assert past.relations[0].ended_at is not None


def test_a_restored_memory_says_again_what_it_said(world):
    store, worker, settle = world
    (memory,) = tell(store, "Ann Miller works at Acme Corp.")
    settle()
    Versions(store).forget(memory.id, "wrong")
    Versions(store).restore(memory.id)
    settle()
    assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "works_at", "Acme Corp")}


def test_an_updated_memory_says_only_what_it_says_now(world):
    store, worker, settle = world
    (memory,) = tell(store, "Ann Miller works at Acme Corp.")
    settle()
    Versions(store).update(memory.id, Change("new job", content="Ann Miller works at Globex."), limit=1000)
    settle()
    assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "works_at", "Globex")}


def test_nothing_is_left_of_what_a_purged_memory_alone_named(world):
    store, worker, settle = world
    gone, _ = tell(store, "Ann Miller works at Acme Corp.", "Bob met Ann Miller and Eve.")
    relate(store, "Zoe", "knows", "Acme Corp", memory_id=gone.id)
    settle()
    Purge(store, Selection(ids=[gone.id])).run()
    settle()
    assert explore(worker, "Acme Corp").entities == []
    assert explore(worker, "Zoe").entities == []
    assert {one.name for one in explore(worker, "Ann Miller").entities} == {"Ann Miller", "Eve"}
    graph, _, _ = worker.graph()
    assert graph.counts() == SqlGraph(store).counts()
    assert graph.nodes([writing.names.entity_id(store.scope, "acme corp")]) == {}


def test_a_purge_of_everything_leaves_nothing(world):
    store, worker, settle = world
    tell(store, "Ann Miller works at Acme Corp.")
    relate(store, "Zoe", "knows", "Eve")
    settle()
    Purge(store, Selection(everything=True)).run()
    settle()
    counts = worker.graph()[0].counts()
    assert (counts.entities, counts.mentions, counts.relations) == (0, 0, 0)


def test_a_relation_that_was_ended_was_believed_before(world):
    store, worker, settle = world
    relate(store, "Ann", "works_at", "Acme")
    between = a_moment_apart()
    ended = end(store, "Ann", "works_at", "Acme")
    assert ended.ended_at is not None
    assert end(store, "Ann", "works_at", "Acme") == ended
    settle()
    assert explore(worker, "Ann").relations == []
    assert said(explore(worker, "Ann", at=between)) == {("Ann", "works_at", "Acme")}
    relate(store, "Ann", "works_at", "Acme")
    settle()
    assert said(explore(worker, "Ann")) == {("Ann", "works_at", "Acme")}


def test_what_never_was_said_cannot_be_ended(world):
    store, _, _ = world
    with pytest.raises(MemoryStoreError, match="Nothing says"):
        end(store, "Ann", "works_at", "Acme")


def test_a_relation_with_other_times_replaces_the_one_before(world):
    store, worker, settle = world
    since, to = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)
    relate(store, "Ann", "works_at", "Acme", valid_from=since)
    relate(store, "Ann", "works_at", "Acme", valid_from=since, valid_to=to)
    settle()
    (found,) = explore(worker, "Ann").relations
    assert (found.valid_from, found.valid_to, len(found.evidence)) == (since, to, 1)


def test_another_name_of_the_start_is_followed_and_stays_an_entity_of_its_own(world):
    store, worker, settle = world
    (memory,) = tell(store, "The World Health Organization (WHO) met.")
    tell(store, "We visited the WHO in Geneva.")
    settle()
    found = explore(worker, "World Health Organization")
    assert {one.name: one.distance for one in found.entities} == {
        "World Health Organization": 0,
        "WHO": 0,
        "Geneva": 1,
    }
    Versions(store).forget(memory.id, "untrue")
    settle()
    assert explore(worker, "World Health Organization").entities == []
    assert {one.name for one in explore(worker, "WHO").entities} == {"WHO", "Geneva"}


def test_names_without_an_exact_match_are_suggested_not_merged(world):
    store, worker, settle = world
    relate(store, "Ann Miller", "knows", "Bob")
    settle()
    found = explore(worker, "Ann Smith")
    assert found.entities == []
    assert found.notice == "No entity is called 'Ann Smith'. There are: 'Ann Miller'."


def test_a_first_name_is_taken_for_the_only_person_who_has_it(world):
    store, worker, settle = world
    tell(store, "Ann Miller works at Acme Corp.")
    settle()
    found = explore(worker, "Ann")
    assert found.start == ["Ann Miller"]
    assert "the only one so called" in found.notice
    tell(store, "Ann Smith works at Globex.")
    settle()
    assert explore(worker, "Ann").entities == []


def test_a_memory_is_explored_by_what_it_mentions(world):
    store, worker, settle = world
    memory, _ = tell(store, "We met Bob and Eve.", "Ann Miller is the sister of Bob.")
    settle()
    found = explore(worker, memory_id=memory.id, types=frozenset({"sister_of"}))
    assert found.start == ["Bob", "Eve"]
    assert said(found) == {("Ann Miller", "sister_of", "Bob")}


def test_any_name_goes_in_and_is_found(world):
    store, worker, settle = world
    for name in HOSTILE:
        relate(store, name, "knows", "Ann Miller")
        tell(store, f"We saw “{name}” with Ann Miller.")
    settle()
    for name in HOSTILE:
        (found,) = explore(worker, name, types=frozenset({"knows"})).relations
        assert found.subject == writing.names.shown(name)
        assert "\u202e" not in found.subject
    known = explore(worker, "Ann Miller", limit=99, budget=100_000).relations
    assert ({one.type for one in known}, len(known)) == ({"knows"}, len(HOSTILE))


def test_types_and_limits_narrow_what_is_found(world):
    store, worker, settle = world
    for number in range(30):
        relate(store, "Ann", "knows" if number % 2 else "likes", f"Person {number}")
    settle()
    assert len(explore(worker, "Ann", types=frozenset({"likes"})).relations) == 15
    found = explore(worker, "Ann", limit=10)
    assert len(found.entities) == 11
    assert "20 more entities were left out" in found.notice
    assert len(explore(worker, "Ann", limit=30, budget=500).relations) < 15
    assert "left out" in explore(worker, "Ann", limit=30, budget=500).notice


def test_scopes_see_nothing_of_each_other(world):
    store, worker, settle = world
    (memory,) = tell(store, "Ann Miller works at Acme Corp.")
    settle()
    for other in ({"project": "other"}, {"tenant": "other"}):
        with working(worker._settings, **other) as (theirs, their_worker):
            tell(theirs, "Ann Miller works at Globex.")
            assert their_worker.wait(60)
            assert said(explore(their_worker, "Ann Miller")) == {("Ann Miller", "works_at", "Globex")}
            assert explore(their_worker, "Acme Corp").entities == []
            with pytest.raises(MemoryStoreError, match="Unknown memory"):
                explore(their_worker, memory_id=memory.id)
            with pytest.raises(MemoryStoreError, match="Unknown memory"):
                relate(theirs, "Ann", "knows", "Bob", memory_id=memory.id)
            Purge(theirs, Selection(everything=True)).run()
            assert their_worker.wait(60)
    assert said(explore(worker, "Ann Miller")) == {("Ann Miller", "works_at", "Acme Corp")}


def test_users_see_what_is_shared_and_what_is_theirs(world):
    store, worker, settle = world
    tell(store, "Ann Miller works at Acme Corp.")
    settle()
    with contextlib.ExitStack() as stack:
        (anna, annas), (ben, bens) = [
            stack.enter_context(working(worker._settings, user=user)) for user in ("anna", "ben")
        ]
        tell(anna, "Ann Miller lives in Berlin. We saw Zoe there.")
        relate(anna, "Ann Miller", "knows", "Eve")
        for each in (annas, bens, worker):
            assert each.wait(60)
        shared = {("Ann Miller", "works_at", "Acme Corp")}
        own = {("Ann Miller", "lives_in", "Berlin"), ("Ann Miller", "knows", "Eve")}
        assert said(explore(annas, "Ann Miller")) == shared | own
        for other in (bens, worker):
            assert said(explore(other, "Ann Miller")) == shared
            assert [explore(other, name).entities for name in ("Berlin", "Zoe", "Eve")] == [[], [], []]
            assert [explore(other, name).notice.count("There are") for name in ("Berlin", "Zoe", "Eve")] == [0, 0, 0]
        with pytest.raises(MemoryStoreError, match="Nothing says"):
            end(ben, "Ann Miller", "knows", "Eve")
        with pytest.raises(MemoryStoreError, match="shared by the whole project"):
            end(anna, "Ann Miller", "works_at", "Acme Corp")
        for each in (annas, bens, worker):
            assert each.wait(60)
        assert said(explore(annas, "Ann Miller")) == shared | own
        Purge(anna, Selection(everything=True)).run()
        for each in (annas, bens, worker):
            assert each.wait(60)
        assert said(explore(annas, "Ann Miller")) == said(explore(worker, "Ann Miller")) == shared


def test_a_session_sees_itself_alone(world):
    store, worker, settle = world
    tell(store, "Ann Miller works at Acme Corp.", session_id="s1")
    tell(store, "Ann Miller lives in Berlin.", session_id="s2")
    settle()
    with working(worker._settings, session="s1") as (_, theirs):
        assert theirs.wait(60)
        assert said(explore(theirs, "Ann Miller")) == {("Ann Miller", "works_at", "Acme Corp")}
        assert explore(theirs, "Berlin").entities == []
