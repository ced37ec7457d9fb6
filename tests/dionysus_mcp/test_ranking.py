"""What recall computes with: vectors in memory, views of a text, persons of a question, features and weights."""

import json
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dionysus_mcp.recall import weights
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.asked import Asked
from dionysus_mcp.recall.candidates import candidates
from dionysus_mcp.recall.features import features
from dionysus_mcp.recall.index import NOBODY, MemoryIndex
from dionysus_mcp.recall.matrix import Matrix
from dionysus_mcp.recall.moments import Moments, agreement, moments
from dionysus_mcp.recall.persons import called, persons
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.recall.views import MAX_TERMS, Told, Trait, name_words, number_of, traits, views, without
from dionysus_mcp.recall.wording import standing
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.vectors import Indexed, Vectors

KNOWN = {"Caroline": {0}, "Caroline Smith": {0}, "Will": {1}, "May": {2}}


def units(count, dimension=96, seed=1):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# Matrix


def test_few_vectors_are_searched_exactly():
    vectors, matrix = units(3000), Matrix(96)
    for start in range(0, 3000, 700):
        matrix.extend(vectors[start : start + 700])
    found = matrix.nearest(vectors[5], None, 7)
    assert len(matrix) == 3000
    assert set(found.tolist()) == set(np.argsort(-(vectors @ vectors[5]))[:7].tolist())


def test_past_the_bound_vectors_are_kept_small_and_their_cosines_stay():
    vectors, matrix = units(500), Matrix(96, exact=200)
    for start in range(0, 500, 150):
        matrix.extend(vectors[start : start + 150])
    kept = matrix.rows(np.arange(500))
    assert kept.shape == vectors.shape
    assert np.abs((kept * vectors).sum(axis=1) - 1).max() < 0.01


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 700])
def test_cosines_are_those_of_the_vectors_however_many_are_asked_for(count):
    vectors, matrix, queries = units(1000), Matrix(96, exact=200), units(2, seed=3)
    matrix.extend(vectors)
    places = np.random.default_rng(5).permutation(1000)[:count]
    found = matrix.cosines(places, queries)
    assert found.shape == (count, 2)
    assert np.allclose(found, vectors[places] @ queries.T, atol=0.02)


def test_among_many_vectors_a_near_one_is_still_found():
    vectors, matrix = units(20_000), Matrix(96, exact=1000)
    matrix.extend(vectors)
    near = vectors[123] + 0.3 * units(1, seed=9)[0]
    assert 123 in matrix.nearest(near / np.linalg.norm(near), None, 1).tolist()


@pytest.mark.parametrize("exact", [10, 1000])
def test_what_is_not_allowed_is_not_returned(exact):
    vectors, matrix = units(100), Matrix(96, exact=exact)
    matrix.extend(vectors)
    allowed = np.zeros(100, dtype=bool)
    allowed[[3, 50]] = True
    assert sorted(matrix.nearest(vectors[7], allowed, 10).tolist()) == [3, 50]
    assert matrix.nearest(vectors[7], np.zeros(100, dtype=bool), 10).tolist() == []


def test_an_empty_matrix_has_no_nearest():
    assert Matrix(96).nearest(units(1)[0], None, 5).tolist() == []


# Persons


@pytest.mark.parametrize(
    ("question", "as_i", "as_you"),
    [
        ("When did Caroline go?", "When did I go?", "When did you go?"),
        ("What is Caroline's job?", "What is my job?", "What is your job?"),
        (
            "What did Caroline Smith say about her dog?",
            "What did I say about my dog?",
            "What did you say about your dog?",
        ),
    ],
)
def test_who_is_named_speaks_for_themselves(question, as_i, as_you):
    said = persons(question, KNOWN)
    assert (said.as_i, said.as_you, said.speakers) == (as_i, as_you, frozenset({0}))


def test_a_question_that_names_no_speaker_stays_as_it_is():
    said = persons("What does she think of Paris?", KNOWN)
    assert said.texts == ["What does she think of Paris?"]
    assert (said.nameless, said.speakers) == (said.asked, frozenset())


def test_of_two_who_are_named_the_first_is_asked_about_and_the_other_is_spoken_to():
    found = persons("Which trips did Caroline plan with Will?", KNOWN)
    assert found.as_i == "Which trips did I plan with you?"
    assert found.as_you == "Which trips did you plan with I?"
    assert found.speakers == {0, 1}


def test_a_name_that_is_a_word_too_counts_only_as_it_is_spelled():
    assert called("will it rain in may?", {**KNOWN, "will": {3}}) == []
    assert called("When did Will leave?", KNOWN) == ["Will"]


def test_names_with_marks_of_patterns_do_no_harm():
    known = {"A.J. (x": {0}, "A": {0}}
    assert persons("Did A win?", known).as_i == "Did I win?"
    assert without("A.J. (x wins", known) == "wins"


# Views


def test_speakers_are_called_by_their_whole_name_and_its_first_word():
    assert name_words(["Caroline Smith", " Bo ", "", None]) == {"Caroline Smith", "Caroline", "Bo"}


def test_names_go_unless_nothing_would_be_left():
    names = {"Caroline", "Caroline Smith"}
    assert without("Thanks Caroline Smith, Caroline's dog is fine", names) == "Thanks , dog is fine"
    assert without("Caroline!", names) == "Caroline!"
    assert without("Carolines are here", names) == "Carolines are here"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Did you see it?", Trait.QUESTION),
        ("He asked “why?”", Trait.QUESTION),
        ("I went there yesterday", Trait.TIME),
        ("We have seven", Trait.NUMBER),
        ("we met Anna", Trait.NAME),
        ("nothing of the kind", 0),
        ("Were you in Rome in 2021?", Trait.QUESTION | Trait.TIME | Trait.NUMBER | Trait.NAME),
    ],
)
def test_traits_are_seen(text, expected):
    assert traits(text) == expected


def test_a_view_has_stems_in_order_and_text_below_its_headings():
    one, other = views(
        [Told("Caroline painted paintings", "Arts", frozenset({"Caroline"})), Told("the of", "", frozenset())],
        Stemmer(),
    )
    assert one.plain == "Arts\npainted paintings"
    assert one.terms.tolist() == [number_of("art"), number_of("paint"), number_of("paint")]
    assert (other.plain, other.terms.tolist(), other.terms.dtype) == ("the of", [], np.dtype("<u4"))


def test_a_long_text_keeps_its_first_stems():
    text = " ".join(f"w{number}" for number in range(2 * MAX_TERMS))
    assert len(views([Told(text, "", frozenset())], Stemmer())[0].terms) == MAX_TERMS


# Features


TURNS = [
    ("Ann", "s1", "Where did you paint?"),
    ("Bo", "s1", "By the lake."),
    ("Ann", "s1", "How nice!"),
    ("Bo", "s2", "We paint boats."),
    (None, None, "A note on lakes, from yesterday."),
]


@pytest.fixture
def index(store):
    new = [NewMemory(text, speaker=speaker, session_id=session) for speaker, session, text in TURNS]
    store.write(lambda connection: add_in(connection, store.scope, new))
    rows = Vectors(store, "test", 96)
    seen = views([Told(text, "", frozenset()) for *_, text in TURNS], Stemmer())
    rows.put(
        [
            Indexed(one.seq, vector, view.terms, view.traits)
            for one, vector, view in zip(rows.missing(10), units(5), seen, strict=True)
        ]
    )
    held = MemoryIndex(rows)
    held.catch_up()
    return held


def asked(word, speakers=(), vector=None, **wants):
    both = np.stack([units(5)[0] if vector is None else vector] * 2)
    terms = [([number_of(word)], 1.5)] if word else []
    named = wants.get("moments", Moments())
    return Asked(both, terms, frozenset(speakers), named, wants.get("time", False), wants.get("number", False))


def test_each_candidate_gets_every_feature_that_has_a_weight(index):
    found = features(index, asked("paint"), np.arange(5), {}, None)
    assert {name for kind in weights.load().values() for name in kind} <= set(found)
    assert all(values.shape == (5,) and np.isfinite(values).all() for values in found.values())


def test_words_count_where_they_stand_and_beside_it(index):
    found = features(index, asked("paint"), np.arange(5), {}, None)
    assert found["covers"].tolist() == [1, 0, 0, 1, 0]
    assert found["covers_window"].tolist() == [1, 1, 0, 1, 0]
    assert found["words"].argmax() in (0, 3)


def test_threads_are_kept_apart(index):
    found = features(index, asked("paint"), np.arange(5), {}, None)
    assert found["first"].tolist() == [1, 0, 0, 1, 0]
    assert found["answers"].tolist() == [0, 1, 0, 0, 0]
    assert index.beside(np.array([0, 1, 2, 3, 4]), 1).tolist() == [1, 2, NOBODY, NOBODY, NOBODY]


def test_the_named_speaker_and_the_nearest_vector_stand_out(index):
    (bo,) = index.names["Bo"]
    found = features(index, asked("", {bo}, vector=units(5)[4]), np.arange(5), {}, None)
    assert found["speaker"].tolist() == [0, 1, 0, 1, 0]
    assert found["plain_i"].argmax() == 4


def test_the_best_passage_lifts_its_memory(index):
    best = {2: np.array([0.99, 0.99])}
    found = features(index, asked("", vector=units(1, seed=7)[0]), np.arange(5), best, None)
    assert found["passage_i"].argmax() == 2
    assert (
        found["plain_i"].tolist()
        == features(index, asked("", vector=units(1, seed=7)[0]), np.arange(5), {}, None)["plain_i"].tolist()
    )


def test_a_time_counts_only_where_it_is_asked_for(index):
    asking, not_asking = (features(index, asked("lake", time=wants), np.arange(5), {}, None) for wants in (True, False))
    assert asking["time"].tolist() == not_asking["time"].tolist() == [0, 0, 0, 0, 1]
    assert asking["time_wanted"].tolist() == [0, 0, 0, 0, 1]
    assert not not_asking["time_wanted"].any()


def test_what_was_closed_stands_beside_nothing(index, store):
    index._live.values[1] = False
    assert index.beside(np.array([0]), 1).tolist() == [NOBODY]
    assert index.nearest(units(5)[1], Filter(), 5).tolist() == [0, 2, 3, 4]


def test_a_few_messages_among_notes_make_no_conversation(index, store):
    assert index.is_told
    store.write(lambda connection: add_in(connection, store.scope, [NewMemory(f"note {n}") for n in range(4)]))
    missing = index.vectors.missing(10)
    index.vectors.put([Indexed(one.seq, units(1)[0], np.zeros(0, np.uint32), 0) for one in missing])
    index.catch_up()
    assert not index.is_told


def test_a_filter_of_types_or_sessions_holds_for_vectors_too(index):
    near, here = units(5)[4], np.arange(5)
    assert index.nearest(near, Filter(session_id="s2"), 5).tolist() == [3]
    assert index.nearest(near, Filter(session_id="unheard of"), 5).tolist() == []
    assert index.admits(here, Filter(session_id="s1")).tolist() == [True, True, True, False, False]
    assert index.admits(here, Filter(memory_types=frozenset({"document"}))).tolist() == [False] * 5
    assert index.admits(here, Filter(exclude_types=frozenset({"document"}))).tolist() == [True] * 5


def test_a_lone_candidate_is_an_average_one(index):
    found = features(index, asked("paint"), np.array([3]), {}, None)
    assert weights.score(found, weights.load()["told"]).tolist() == [0.5]


def test_a_reply_counts_by_how_well_the_question_before_it_fits(index):
    found = features(index, asked("paint", vector=units(5)[0]), np.arange(5), {}, None)
    assert found["replies"][1] > 0
    assert not found["replies"][[0, 2, 3, 4]].any()
    assert found["before_near"][1] > found["before_near"][2]


# Candidates


def test_in_a_conversation_what_stands_beside_a_find_is_a_candidate_too(index):
    found = candidates(index, asked("", vector=units(5)[4]), Filter(session_id="s1"), [1]).places
    assert {0, 1, 2} <= set(found.tolist())
    assert not {3, 4} & set(found.tolist())


def test_of_many_finds_in_a_conversation_the_likeliest_are_kept(store):
    new = [NewMemory(f"turn {n}", speaker="Ann", session_id="s") for n in range(400)]
    store.write(lambda connection: add_in(connection, store.scope, new))
    rows, vectors = Vectors(store, "test", 96), units(400)
    rows.put(
        [
            Indexed(one.seq, vector, np.array([n], np.uint32), 0)
            for n, (one, vector) in enumerate(zip(rows.missing(400), vectors, strict=True))
        ]
    )
    held = MemoryIndex(rows)
    held.catch_up()
    both = np.stack([vectors[7]] * 2)
    query = Asked(both, [([300], 5.0)], frozenset(), Moments(), wants_time=False, wants_number=False)
    found = candidates(held, query, Filter(), [int(held.column("seqs", np.array([300]))[0])]).places
    assert len(found) == 100
    assert {7, 300} <= set(found.tolist())
    assert found.tolist() == sorted(set(found.tolist()))


# Moments


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("What happened on 7 May, 2023?", ({5}, {2023}, {7})),
        ("Where was she on August 15th?", ({8}, set(), {15})),
        ("What did he do on 2023-05-07?", ({5}, {2023}, {7})),
        ("What was new in 2022 or 1999?", (set(), {2022, 1999}, set())),
        ("What may happen in 12 days?", (set(), set(), set())),
        ("What was on the 45th of june 2021-44", ({6}, {2021}, {45})),
        ("When did she go?", (set(), set(), set())),
    ],
)
def test_dates_are_read_where_they_are_written_out(text, expected):
    found = moments(text)
    assert (set(found.months), set(found.years), set(found.days)) == expected
    assert bool(found) == bool(expected[0] or expected[1])


def test_a_memory_agrees_by_month_year_and_day_and_an_unknown_date_says_nothing():
    dates = [date(2023, 5, 7), date(2023, 5, 9), date(2022, 5, 7), date(2023, 6, 7), date(2022, 6, 8)]
    ordinals = np.array([*(day.toordinal() for day in dates), NOBODY])
    assert agreement(moments("on 7 May 2023"), ordinals).tolist() == [2.0, 1.5, 1.0, -0.5, -1.5, 0.0]
    assert not agreement(moments("when?"), ordinals).any()


@given(st.lists(st.dates(min_value=date(1, 1, 1)), min_size=1))
def test_every_date_agrees_with_itself(days):
    ordinals = np.array([day.toordinal() for day in days])
    for place, day in enumerate(days):
        named = Moments(frozenset({day.month}), frozenset({day.year}), frozenset({day.day}))
        assert agreement(named, ordinals)[place] == 2.0


# Weights


def test_scores_keep_the_order_of_the_sum_and_lie_between_0_and_1():
    found = {"a": np.array([0.0, 1.0, 5.0]), "b": np.array([3.0, 0.0, 0.0])}
    scores = weights.score(found, {"a": 1.0, "unknown": 9.0})
    assert 0 < scores[0] < scores[1] < scores[2] < 1
    assert weights.score(found, {}).tolist() == [0.5] * 3


def test_how_far_a_value_stands_out_is_counted_in_deviations():
    assert standing(np.array([1.0, 3.0])).tolist() == [-1, 1]
    assert standing(np.full(3, 7.0)).tolist() == [0, 0, 0]
    assert standing(np.zeros(0)).tolist() == []


def test_the_weights_tell_where_they_come_from():
    held = json.loads(weights.FILE.read_text(encoding="utf-8"))
    assert "LoCoMo" in held["from"]
    assert "Cranfield" in held["from"]
    assert all(isinstance(value, float) for kind in weights.load().values() for value in kind.values())
