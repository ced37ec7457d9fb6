import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from dionysus_mcp.beliefs import scoring
from dionysus_mcp.beliefs.models import MentalModels, NewModel
from dionysus_mcp.beliefs.predictions import NewPrediction, Predictions
from dionysus_mcp.beliefs.rules import checked_rule, outcome_of
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from tests.dionysus_mcp.engines import BOTH_IN_ALL, on_both

ENGINES = BOTH_IN_ALL


@pytest.fixture
def models(store):
    return MentalModels(store)


@pytest.fixture
def predictions(store):
    return Predictions(store)


@pytest.fixture
def belief(models):
    return models.create(NewModel("user", "The user prefers short answers.", ("style",), ("will ask for a summary",)))


def test_a_belief_is_held_with_its_first_version(models, belief):
    assert (belief.domain, belief.status, belief.version) == ("user", "active", 1)
    assert belief.accuracy is None
    assert [revision.statement for revision in belief.history] == ["The user prefers short answers."]
    assert models.get(belief.id) == belief


def test_the_same_belief_again_is_the_one_that_is_held(models, belief):
    assert models.create(NewModel("user", "  the user prefers SHORT answers. ")).id == belief.id
    assert models.create(NewModel("world", "The user prefers short answers.")).id != belief.id


@on_both
def test_a_resolved_prediction_is_scored_and_judges_its_model(models, predictions, belief):
    made = predictions.make(NewPrediction(belief.id, "asks for a summary", 0.8))
    assert (made.status, models.get(belief.id).open_predictions) == ("open", 1)
    resolved = predictions.resolve(made.id, True)
    assert resolved.outcome is True
    assert resolved.brier == pytest.approx(0.04)
    assert resolved.log_score == pytest.approx(math.log(0.8))
    judged = models.get(belief.id)
    assert (judged.alpha, judged.beta, judged.accuracy) == (2.0, 1.0, pytest.approx(2 / 3))
    assert (judged.open_predictions, judged.resolved_predictions, judged.brier) == (0, 1, pytest.approx(0.04))


def test_an_unlikely_thing_that_does_not_happen_speaks_for_the_model(models, predictions, belief):
    predictions.resolve(predictions.make(NewPrediction(belief.id, "asks for a novel", 0.1)).id, False)
    assert models.get(belief.id).alpha == 2.0


def test_resolving_twice_changes_nothing_and_otherwise_is_refused(models, predictions, belief):
    made = predictions.make(NewPrediction(belief.id, "asks", 0.6))
    first = predictions.resolve(made.id, True)
    assert predictions.resolve(made.id, "yes") == first
    assert models.get(belief.id).alpha == 2.0
    with pytest.raises(MemoryStoreError, match="resolved as true already"):
        predictions.resolve(made.id, False)


def test_a_prediction_whose_time_is_over_stays_unscored(store, models, predictions, belief):
    soon = datetime.now(UTC) + timedelta(hours=1)
    made = predictions.make(NewPrediction(belief.id, "asks today", 0.9, expires_at=soon))
    past = datetime.now(UTC) - timedelta(hours=1)
    store.write(lambda connection: connection.execute(update(schema.prediction).values(expires_at=past)))
    assert predictions.open(9) == []
    assert models.get(belief.id).open_predictions == 0
    with pytest.raises(MemoryStoreError, match=r"expired at .* stays unscored"):
        predictions.resolve(made.id, True)
    assert models.get(belief.id).alpha == 1.0


@on_both
def test_the_same_open_prediction_is_made_once(predictions, belief):
    soon = datetime.now(UTC) + timedelta(hours=1)
    new = NewPrediction(belief.id, "asks", 0.3, context="c", rule="contains: yes please", expires_at=soon)
    first = predictions.make(new)
    assert predictions.make(new).id == first.id
    predictions.resolve(first.id, False)
    assert predictions.make(new).id != first.id


@on_both
def test_open_predictions_come_in_the_order_of_their_expiry(predictions, belief):
    now = datetime.now(UTC)
    late = predictions.make(NewPrediction(belief.id, "late", 0.5, expires_at=now + timedelta(days=2)))
    never = predictions.make(NewPrediction(belief.id, "never", 0.5))
    early = predictions.make(NewPrediction(belief.id, "early", 0.5, expires_at=now + timedelta(days=1)))
    assert [one.id for one in predictions.open(9)] == [early.id, late.id, never.id]


def test_a_model_that_is_mostly_wrong_needs_revision_and_starts_afresh_after_it(models, predictions, belief):
    for number in range(4):
        predictions.resolve(predictions.make(NewPrediction(belief.id, f"asks {number}", 0.9)).id, False)
    flagged = models.get(belief.id)
    assert (flagged.status, flagged.beta) == ("needs_revision", 5.0)
    revised = models.revise(belief.id, "The user prefers long answers.", "four of four were wrong")
    assert (revised.status, revised.version, revised.accuracy) == ("active", 2, None)
    assert (revised.history[0].accuracy, revised.history[0].resolved) == (pytest.approx(1 / 6), 4)
    assert revised.history[1].reason == "four of four were wrong"


def test_a_prediction_of_an_earlier_version_does_not_judge_the_next(models, predictions, belief):
    made = predictions.make(NewPrediction(belief.id, "asks", 0.9))
    models.revise(belief.id, "The user prefers tables.", "said so")
    assert predictions.resolve(made.id, False).brier == pytest.approx(0.81)
    assert models.get(belief.id).beta == 1.0


def test_a_revision_to_the_same_statement_changes_nothing(models, belief):
    assert models.revise(belief.id, belief.statement, "again").version == 1


def test_what_needs_revision_comes_first(models, predictions, belief):
    newer = models.create(NewModel("world", "It rains."))
    assert [model.id for model in models.held(9)] == [newer.id, belief.id]
    for number in range(4):
        predictions.resolve(predictions.make(NewPrediction(belief.id, f"asks {number}", 1.0)).id, False)
    assert [model.id for model in models.held(9)] == [belief.id, newer.id]


@pytest.mark.parametrize(
    ("new", "words"),
    [
        (NewPrediction("b-nope", "x", 0.5), "b-nope"),
        (NewPrediction("", "x", 1.5), r"probability is 1\.5"),
        (NewPrediction("", "x", math.nan), "probability is nan"),
        (NewPrediction("", " ", 0.5), "statement must have"),
        (NewPrediction("", "x", 0.5, rule="equals: y"), "rule 'equals: y'"),
        (NewPrediction("", "x", 0.5, expires_at=datetime(2020, 1, 1, tzinfo=UTC)), "expired already"),
        (NewPrediction("", "a\x00", 0.5), "NUL"),
    ],
)
def test_a_prediction_that_cannot_be_judged_is_refused(predictions, new, words):
    with pytest.raises(MemoryStoreError, match=words):
        predictions.make(new)


def test_unknown_models_and_predictions_are_named(models, predictions):
    with pytest.raises(MemoryStoreError, match="b-none"):
        models.revise("b-none", "x", "y")
    with pytest.raises(MemoryStoreError, match="p-none"):
        predictions.resolve("p-none", True)


@on_both
def test_another_scope_knows_nothing_of_it(settings, belief, predictions):
    made = predictions.make(NewPrediction(belief.id, "asks", 0.9))
    other = Store(MemorySettings(url=settings.url, project="other"))
    assert MentalModels(other).held(9) == []
    for attempt in (
        lambda: MentalModels(other).get(belief.id),
        lambda: Predictions(other).resolve(made.id, True),
        lambda: Predictions(other).make(NewPrediction(belief.id, "asks", 0.9)),
    ):
        with pytest.raises(MemoryStoreError, match="Unknown"):
            attempt()
    other.close()


@pytest.mark.parametrize(
    ("observation", "rule", "outcome"),
    [
        (True, None, True),
        ({"outcome": False, "seen": "x"}, None, False),
        ("Yes.", None, True),
        (" no ", "contains: no", False),
        ("They said: thank   YOU very much", "contains: thank you", True),
        ("They left.", "contains: thank you", False),
        ("They left.", "lacks: thank you", True),
    ],
)
def test_an_observation_tells_the_outcome(observation, rule, outcome):
    assert outcome_of(observation, checked_rule(rule)) is outcome


@pytest.mark.parametrize("observation", ["it went well", {"outcome": "true"}, {}, {"result": True}])
def test_an_observation_that_does_not_tell_is_refused(observation):
    with pytest.raises(MemoryStoreError, match="true or false"):
        outcome_of(observation, None)


@given(st.floats(0, 1), st.booleans())
def test_scores_stay_in_their_range(probability, outcome):
    assert 0 <= scoring.brier_score(probability, outcome) <= 1
    assert math.log(1e-9) <= scoring.log_score(probability, outcome) <= 0


@given(st.integers(1, 30), st.integers(1, 30))
def test_the_posterior_agrees_with_its_mirror_image(alpha, beta):
    below = scoring.posterior_below(alpha, beta, 0.5)
    assert below + scoring.posterior_below(beta, alpha, 0.5) == pytest.approx(1)


def test_the_posterior_of_known_cases():
    assert scoring.posterior_below(1, 1, 0.3) == pytest.approx(0.3)
    assert scoring.posterior_below(2, 1, 0.5) == pytest.approx(0.25)
    assert not scoring.needs_revision(1, 4)
    assert scoring.needs_revision(1, 5)
