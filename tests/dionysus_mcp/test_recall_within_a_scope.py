"""What a recall finds and how it scores depends on the scope's own memories, whatever others write into the store."""

import contextlib
import itertools
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from dionysus_mcp.recall import within
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.versions import Versions
from dionysus_mcp.upkeep.purge import Purge, Selection
from tests.dionysus_mcp.consolidation.recalling import Embedded
from tests.dionysus_mcp.engines import BOTH, sqlite_only
from tests.dionysus_mcp.memories_of import opened, told

ENGINES = BOTH
WORDS = ("tea", "coffee", "harbour", "Monday", "ships", "sail", "drink", "Ann")
QUERIES = ("tea on Monday", "When did Ann sail?", "harbour ships coffee zebra", "drink")
_numbers = itertools.count()

sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=8).map(" ".join)
memories = st.lists(
    st.tuples(sentences, st.sampled_from([None, "Ann", "Bob"]), st.sampled_from([None, "a", "b"])),
    min_size=1,
    max_size=10,
    unique=True,
)


def tell(store, some):
    first = datetime(2024, 5, 1, tzinfo=UTC)
    new = [
        NewMemory(text, speaker=speaker, session_id=session, occurred_at=first + timedelta(days=number))
        for number, (text, speaker, session) in enumerate(some)
    ]
    store.write(lambda connection: add_in(connection, store.scope, new))


def recalled(store, model):
    """All that recalls tell, but ids and times of storing."""
    embedder = Embedded(store, model)
    embedder.follow()
    search = Search(store, embedder)
    with contextlib.closing(search), contextlib.closing(embedder):
        answers = [search.recall(Query(query, 100, 10**6)) for query in QUERIES]
    return [
        ([(hit.content, hit.speaker, hit.score, hit.similarity) for hit in one.hits], one.missing_terms, one.mode)
        for one in answers
    ]


def seen_among(settings, own, others, model):
    """What a scope recalls, whose memories were told in turn with those of others."""
    tenant = f"t{next(_numbers)}"
    # Somebody else is always there: the tests' own company, in the scope of each other kind.
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(opened(settings, tenant=tenant, project="p"))
        theirs = [
            stack.enter_context(opened(settings, tenant=tenant, **scope))
            for scope in ({"project": "q"}, {"project": "p", "user": "eve"})
        ]
        told(theirs[0], "somebody is here")
        for number, (one, other) in enumerate(itertools.zip_longest(own, others)):
            if other is not None:
                tell(theirs[number % 2], [other])
            if one is not None:
                tell(mine, [one])
        return recalled(mine, model)


@given(memories, memories)
@rules(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_by_words_nothing_depends_on_what_others_wrote(settings, own, others):
    assert seen_among(settings, own, others, None) == seen_among(settings, own, [], None)


@given(memories, memories)
@rules(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_by_meaning_nothing_depends_on_what_others_wrote(settings, model, own, others):
    assert seen_among(settings, own, others, model) == seen_among(settings, own, [], model)


OWN = [("tea on Monday", "Ann", "a"), ("Ann drinks coffee", "Bob", "a"), ("ships in the harbour", "Ann", "b")]


def test_by_meaning_it_makes_no_difference_whether_anybody_else_is_there(settings, model):
    with opened(settings, project="alone") as alone:
        tell(alone, OWN)
        before = recalled(alone, model)
        with opened(settings, project="other") as other:
            tell(other, [("tea tea coffee harbour sail", None, None)] * 1)
        assert recalled(alone, model) == before


@sqlite_only
def test_what_others_had_until_it_was_purged_counts_no_more(settings, model, tmp_path):
    file = f"sqlite:///{tmp_path / 'alone.db'}"
    with opened(settings, url=file) as alone, opened(settings) as left, opened(settings, project="other") as other:
        tell(other, [(f"tea number {number}", None, None) for number in range(60)])
        for store in (alone, left):
            tell(store, OWN)
        Purge(other, Selection(everything=True)).run()
        assert recalled(left, None) == recalled(alone, None)
        assert recalled(left, model) == recalled(alone, model)


@sqlite_only
@pytest.mark.parametrize("others", [0, 30])
def test_a_word_that_the_whole_store_is_full_of_is_counted_in_the_scope(settings, monkeypatch, others):
    monkeypatch.setattr(within, "_COMMON", 10)  # as with more than 20,000 memories
    with opened(settings, project="mine") as mine, opened(settings, project="other") as other:
        told(other, "somebody is here")
        tell(mine, OWN)
        expected = recalled(mine, None)
        tell(other, [(f"tea {number}", None, None) for number in range(others)])
        assert recalled(mine, None) == expected


def test_what_was_superseded_in_another_scope_counts_as_little(settings):
    with opened(settings, project="mine") as mine, opened(settings, project="other") as other:
        told(other, "somebody is here")
        tell(mine, OWN)
        expected = recalled(mine, None)
        Versions(other).forget(told(other, "tea Monday harbour").id, "wrong")
        assert recalled(mine, None) == expected
