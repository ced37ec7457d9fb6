"""Beliefs, and relations on memories, that are in both stores: an import leaves one of each, with all of both."""

import contextlib
import itertools
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.versions import Versions
from dionysus_mcp.upkeep.exporting import export_lines
from dionysus_mcp.upkeep.histories import Version, merged
from dionysus_mcp.upkeep.importing import Import
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both
from tests.dionysus_mcp.graph.worlds import end, explore, relate, said, working
from tests.dionysus_mcp.memories_of import LIMIT, examples, opened, problems, told

ENGINES = BOTH_IN_ALL


@pytest.fixture
def other(settings):
    """A store on another machine, as it were."""
    with opened(settings, tenant="elsewhere") as store:
        yield store


def exported(store):
    return list(export_lines(store, lambda *_: None))


def imported(store, source):
    """Import what a store exports, or lines; twice, as the second time must change nothing."""
    lines = source if isinstance(source, list) else exported(source)
    raw = [line.encode() for line in lines]
    first = Import(store, LIMIT, lambda _: None).take(raw)
    before = exported(store)
    assert Import(store, LIMIT, lambda _: None).take(raw).added == {}
    assert exported(store) == before
    return first


def believe(store, statement, domain="user"):
    return MentalModels(store).create(NewModel(domain, statement))


def predict(store, belief, words, outcome=None, probability=0.8):
    made = Predictions(store).make(NewPrediction(belief.id, words, probability))
    return made if outcome is None else Predictions(store).resolve(made.id, outcome)


def revise(store, belief, statement, reason="they said so"):
    return MentalModels(store).revise(belief.id, statement, reason)


def held(store):
    return MentalModels(store).held(99)


def history(belief):
    return [(one.statement, one.reason) for one in belief.history]


def test_what_is_believed_in_both_is_one_belief_with_the_predictions_of_both(store, other):
    mine = believe(store, "They like tea.")
    predict(store, mine, "asks for tea", True)
    its = believe(other, "they like TEA.")
    predict(other, its, "wants a cup", False)
    predict(other, its, "buys a kettle")
    assert imported(store, other).added == {"prediction": 2}
    (belief,) = held(store)
    assert (belief.id, belief.statement) == (mine.id, "They like tea.")
    assert (belief.alpha, belief.beta) == (2.0, 2.0)
    assert (belief.resolved_predictions, belief.open_predictions) == (2, 1)
    assert history(belief) == [("They like tea.", "first held")]


def test_both_reasons_and_both_lists_of_concepts_are_kept(store, other):
    for one, concept in ((store, "tea"), (other, "milk")):
        belief = MentalModels(one).create(NewModel("user", f"Draft about {concept}.", (concept, "drinks")))
        revise(one, belief, "They like tea.", f"they asked for {concept}")
    imported(store, other)
    (belief,) = held(store)
    assert belief.concepts == ["tea", "drinks", "milk"]
    assert {statement for statement, _ in history(belief)} == {
        "Draft about tea.",
        "Draft about milk.",
        "They like tea.",
    }
    assert "they asked for tea; also: they asked for milk" in dict(history(belief)).values()


def test_the_same_words_about_another_domain_are_another_belief(store, other):
    believe(store, "Tea is at four.", "user")
    believe(other, "Tea is at four.", "world")
    assert imported(store, other).added == {"mental_model": 1, "model_revision": 1}
    assert len(held(store)) == 2


def test_a_belief_that_was_revised_elsewhere_is_revised_here(store, other):
    mine = believe(store, "They like tea.")
    predict(store, mine, "asks for tea", True)
    its = believe(other, "They like tea.")
    imported(store, other)
    revise(other, its, "They like green tea.", "they refused black tea")
    predict(other, MentalModels(other).get(its.id), "asks for green tea", True)
    imported(store, other)
    (belief,) = held(store)
    assert (belief.id, belief.statement, belief.version) == (mine.id, "They like green tea.", 2)
    assert history(belief)[1] == ("They like green tea.", "they refused black tea")
    assert (belief.alpha, belief.beta) == (2.0, 1.0)
    assert (belief.history[0].resolved, belief.history[0].accuracy) == (1, pytest.approx(2 / 3))


@pytest.mark.parametrize("kept", [["mental_model"], ["mental_model", "prediction"], ["mental_model", "model_revision"]])
def test_an_export_that_lost_lines_is_taken_in_as_far_as_it_goes(store, other, kept):
    mine = revise(store, believe(store, "They like tea."), "They like coffee.")
    predict(store, mine, "asks for coffee", True)
    lines = [json.loads(line) for line in exported(store)[1:-1]]
    lines = [line for line in lines if line["kind"] in kept and line.get("version") != 1]
    end = {"kind": "end", "counts": {kind: sum(one["kind"] == kind for one in lines) for kind in kept}}
    raw = [exported(store)[0], *map(json.dumps, [*lines, end])]
    for _ in range(3):
        Import(other, LIMIT, lambda _: None).take([line.encode() for line in raw])
    assert [one.statement for one in held(other)] == ["They like coffee."]
    imported(other, store)  # and what is missing comes with the whole one
    assert history(held(other)[0])[-1][0] == "They like coffee."
    assert problems(other) == {}


def test_long_histories_are_merged_whole():
    here, there = ([version(f"{word} {number}", number) for number in range(3000)] for word in ("this", "that"))
    assert [one.statement for one in merged(here, there, same_id=True)] == [
        one.statement for pair in zip(here, there, strict=True) for one in pair
    ]


@pytest.mark.parametrize("both", [False, True])
def test_an_older_export_takes_nothing_back(store, other, both):
    believe(other, "They like tea.")
    if both:
        believe(store, "They like tea.")
    old = exported(other)
    imported(store, old)
    (mine,) = held(store)
    revise(store, mine, "They like coffee.")
    assert imported(store, old).added == {}
    assert [one.statement for one in held(store)] == ["They like coffee."]


def test_beliefs_that_were_revised_apart_both_stay(store, other):
    revise(store, believe(store, "They like tea."), "They like green tea.")
    revise(other, believe(other, "They like tea."), "They like iced tea.")
    imported(store, other)
    assert {one.statement for one in held(store)} == {"They like green tea.", "They like iced tea."}


def test_a_later_export_brings_what_was_learnt_since(settings, tmp_path, store):
    mine = believe(store, "They like tea.")
    waiting = predict(store, mine, "asks for tea")
    with opened(settings, url=f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        imported(copy, store)
        Predictions(store).resolve(waiting.id, True)
        for number in range(4):
            predict(store, mine, f"asks for tea again {number}", False)
        revise(store, mine, "They like coffee.", "they never ask")
        predict(store, mine, "asks for coffee", True)
        imported(copy, store)
        assert exported(copy) == exported(store)
        assert held(copy) == held(store)
        assert problems(copy) == {}


@on_both
def test_one_belief_revised_on_two_machines_has_the_versions_of_both_and_the_latest_counts(settings, tmp_path, store):
    mine = believe(store, "They like tea.")
    with opened(settings, url=f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        imported(copy, store)
        revise(copy, mine, "They like iced tea.", "it was hot")
        predict(copy, mine, "asks for ice", False)
        revise(store, mine, "They like green tea.", "they bought some")
        predict(store, mine, "asks for green tea", True)
        imported(store, copy)
        imported(copy, store)
        for one in (store, copy):
            belief = MentalModels(one).get(mine.id)
            assert [each.statement for each in belief.history] == [
                "They like tea.",
                "They like iced tea.",
                "They like green tea.",
            ]
            assert (belief.statement, belief.alpha, belief.beta) == ("They like green tea.", 2.0, 1.0)
            assert (belief.history[1].resolved, belief.history[1].accuracy) == (1, pytest.approx(1 / 3))
        assert held(store) == held(copy)


def test_an_outcome_that_is_known_here_stays(settings, tmp_path, store):
    mine = believe(store, "They like tea.")
    made = predict(store, mine, "asks for tea")
    with opened(settings, url=f"sqlite:///{tmp_path / 'copy.db'}") as copy:
        imported(copy, store)
        Predictions(store).resolve(made.id, True)
        Predictions(copy).resolve(made.id, False)
        imported(store, copy)
    belief = MentalModels(store).get(mine.id)
    assert (belief.alpha, belief.beta, belief.resolved_predictions) == (2.0, 1.0, 1)


def test_many_wrong_predictions_of_both_ask_for_a_revision(store, other):
    for one in (store, other):
        belief = believe(one, "They like tea.")
        for number in range(2):
            predict(one, belief, f"asks for tea {number}", False)
    assert [one.status for one in held(store)] == ["active"]
    predict(other, held(other)[0], "and again", False)
    imported(store, other)
    assert [(one.status, one.beta) for one in held(store)] == [("needs_revision", 6.0)]


def test_two_beliefs_of_one_store_that_come_to_say_the_same_stay_two(store, other):
    believe(store, "They like tea.")
    revise(store, believe(store, "They like coffee."), "They like tea.")
    imported(other, store)
    assert [one.statement for one in held(other)] == ["They like tea."] * 2


def test_what_ended_in_a_break_is_finished_by_the_next_import(store, other):
    belief = believe(store, "They like tea.")
    predict(store, belief, "asks for tea", True)
    told(store, "They drank tea.")
    lines = exported(store)
    with pytest.raises(Exception, match="cut"):
        Import(other, LIMIT, lambda _: None).take([line.encode() for line in lines[:-2]])
    imported(other, lines)
    assert [(one.alpha, one.resolved_predictions) for one in held(other)] == [(2.0, 1)]


def test_the_same_statement_with_other_capitals_is_held_once_in_any_script(store):
    first = believe(store, "Ärger mögen sie nicht.")
    assert believe(store, "Ärger mögen sie nicht.").id == first.id


@on_both
def test_a_relation_follows_its_memory_to_the_id_that_it_has_there(words_only):
    here = words_only.model_copy(update={"tenant": "elsewhere"})
    with working(words_only) as (store, _), working(here) as (other, worker):
        mine, its = told(store, "Ann met Bob."), told(other, "Ann met Bob.")
        assert mine.id != its.id
        relate(store, "Ann", "knows", "Bob", memory_id=mine.id, told_by="laptop")
        relate(store, "Ann", "trusts", "Bob", memory_id=mine.id)
        end(store, "Ann", "trusts", "Bob")
        assert imported(other, store).added == {"relation": 2}
        assert worker.wait(30)
        found = explore(worker, "Ann")
        assert said(found) == {("Ann", "knows", "Bob")}
        assert found.relations[0].evidence[0].memory_id == its.id
        assert found.relations[0].evidence[0].told_by == "laptop"
        Versions(other).forget(its.id, "wrong")
        assert explore(worker, "Ann").relations == []


def test_a_relation_far_behind_its_memory_finds_it(words_only):
    here = words_only.model_copy(update={"tenant": "elsewhere"})
    with working(words_only) as (store, _), working(here) as (other, _):
        mine = told(store, "Ann met Bob.")
        told(other, "Ann met Bob.")
        relate(store, "Ann", "knows", "Bob", memory_id=mine.id)
        notes = [NewMemory(f"Note {number}.") for number in range(250)]
        store.write(lambda connection: add_in(connection, store.scope, notes))
        assert imported(other, store).added == {"memory": 250, "relation": 1}


acts = st.lists(
    st.tuples(
        st.integers(0, 1),  # which machine
        st.sampled_from(["believe", "revise", "predict", "sync", "back up", "bring back"]),
        st.sampled_from(["A", "B", "C"]),
        st.booleans(),
    ),
    max_size=14,
)


@on_both
@given(acts)
@rules(max_examples=examples(12), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happened_on_two_machines_nothing_is_lost_and_twice_is_once(settings, did):
    names = (f"m{next(_numbers)}" for _ in range(2))
    with contextlib.ExitStack() as stack:
        machines = [stack.enter_context(opened(settings, tenant=name)) for name in names]
        kept = exported(machines[0])
        for which, act, word, yes in did:
            store, away = machines[which], machines[1 - which]
            beliefs = held(store)
            if act == "believe":
                believe(store, word)
            elif act == "revise" and beliefs:
                revise(store, beliefs[0], word, f"because {yes}")
            elif act == "predict" and beliefs:
                predict(store, beliefs[-1], word, yes)
            elif act == "sync":
                known = _everything(store) | _everything(away)
                imported(store, away)
                assert _everything(store) == known
            elif act == "back up":
                kept = exported(store)
            elif act == "bring back":
                imported(store, kept)
        for store in machines:
            assert problems(store) == {}
            for belief in held(store):
                assert [one.version for one in belief.history] == [*range(1, belief.version + 1)]
                assert belief.alpha + belief.beta == 2 + belief.resolved_predictions


_numbers = itertools.count()


def _everything(store):
    """All statements with each reason, and all predictions by words, outcome and time."""
    lines = held(store)
    reasons = {
        (each.statement.lower(), part)
        for one in lines
        for each in one.history
        for part in each.reason.split("; also: ")
    }
    predictions = {line for line in exported(store) if '"kind":"prediction"' in line}

    told_ = {tuple(json.loads(line).get(key) for key in ("statement", "outcome", "created_at")) for line in predictions}
    return reasons | told_


def version(statement, minute, **numbers):
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    return Version(statement, "because", at, None, 0, **numbers)


versions = st.lists(st.builds(version, st.sampled_from("ABC"), st.integers(0, 5)), max_size=6)


@given(versions, versions, st.booleans())
def test_merging_keeps_each_order_and_is_settled_after_once(here, there, same_id):
    once = merged(here, there, same_id=same_id)
    assert [one.statement for one in merged(once, there, same_id=same_id)] == [one.statement for one in once]
    assert merged(once, once, same_id=True) == once
    for each in (here, there):
        rest = iter(one.statement for one in once)
        assert all(one.statement in rest for one in each)
