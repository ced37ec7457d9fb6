"""What can't be meant is refused in words that name it, before anything is opened, asked or spent."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import pytest

from cognition import Cancelled, ConfigurationError, ThinkingError
from cognition.settings import SettingsError
from tests.cognition.mind.test_thinking import only_manager
from tests.support.openai_server import Fail, OpenAIServer, Say
from tests.support.scripted_model import ScriptedModel, report

NAN, INFINITE = float("nan"), float("inf")
LONG_AGO = datetime.now(UTC) - timedelta(days=365)


@pytest.fixture
def closed(make_mind):
    """A mind that nobody has opened yet, and the model that it would ask."""
    model = ScriptedModel(only_manager(lambda _: report("fine")))
    mind = make_mind(tiers={"scripted": model}, tier="scripted")
    yield mind, model
    mind.close()


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        *[({"steps": value}, "steps") for value in (0, -1, 2.5, True, NAN, INFINITE, 10**12, "many")],
        *[({"model_calls": value}, "model_calls") for value in (0, -1, NAN, 10**12)],
        *[({"tokens": value}, "tokens") for value in (0, -5, 0.5, NAN, 10**30)],
        *[({"usd": value}, "usd") for value in (0, -0.01, NAN, INFINITE, 1e300, True)],
        *[({"seconds": value}, "seconds") for value in (0, -1, NAN, INFINITE)],
        ({"dollars": 1}, "dollars"),
        (5, "Budget"),
        ("much", "Budget"),
    ],
)
def test_a_budget_that_makes_no_sense_starts_nothing(closed, budget, named):
    mind, model = closed
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match=f"(?s)budget.*{named}"):
        mind.start("x", budget=budget)
    assert (model.requests, set(threading.enumerate()) - before) == ([], set())


@pytest.mark.parametrize("deadline", [0, -1, -1e300, NAN, INFINITE, LONG_AGO, LONG_AGO.replace(tzinfo=None), "5", True])
def test_a_deadline_that_is_no_time_to_come_starts_nothing(closed, deadline):
    mind, model = closed
    before = set(threading.enumerate())
    with pytest.raises(ValueError, match="deadline"):
        mind.start("x", deadline=deadline)
    assert (model.requests, set(threading.enumerate()) - before) == ([], set())


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"models": []}, "models"),
        ({"models": [""]}, "models"),
        ({}, "models"),
        ({"models": ["openai/x"], "api_base": "localhost:1234"}, "localhost:1234"),
        ({"models": ["openai/x"], "api_base": "not a url"}, "api_base"),
        ({"models": ["openai/x"], "api_base": ""}, "api_base"),
    ],
)
def test_a_tier_that_leads_nowhere_makes_no_mind(make_mind, table, named):
    with pytest.raises(SettingsError, match=rf"(?s)tiers\.broken.*{named}"):
        make_mind(tiers={"broken": table}, tier="broken")


@pytest.mark.parametrize(
    "circle", [{"one": {"models": ["one"]}}, {"one": {"models": ["two"]}, "two": {"models": ["openai/x", "one"]}}]
)
def test_a_tier_that_names_itself_is_told_before_anything_is_asked(make_mind, circle):
    mind = make_mind(tiers=circle, tier="one")
    with pytest.raises((ConfigurationError, SettingsError), match=r"names itself \(.*one"):
        mind.think("x")


def test_a_price_that_is_no_number_makes_no_mind(make_mind):
    for price in (-1.0, NAN, INFINITE):
        prices = {"input_usd_per_million": price, "output_usd_per_million": 1.0}
        with pytest.raises(SettingsError, match="input_usd_per_million"):
            make_mind(tiers={"broken": {"models": ["openai/x"], **prices}}, tier="broken")


def test_a_wrong_budget_in_the_settings_makes_no_mind(make_mind):
    with pytest.raises(SettingsError, match=r"\[budget\] usd"):
        make_mind(budget={"usd": -1})


@pytest.mark.parametrize("times", [1, 2, 5])
def test_a_run_cancelled_before_it_began_asks_no_model(closed, times):
    mind, model = closed
    thinking = mind.start("x")  # its parts are still to be opened
    for _ in range(times):
        thinking.cancel()
    with pytest.raises(Cancelled) as ended:
        thinking.result()
    assert model.requests == []
    assert ended.value.partial.total.model_calls == 0


def test_a_cancel_after_the_end_changes_nothing(closed):
    mind, _ = closed
    thinking = mind.start("x")
    thought = thinking.result()
    thinking.cancel()
    thinking.cancel()
    assert thinking.result() == thought
    assert thought.answer == "fine"
    assert list(thinking.events())[-1].summary == "answered"


@pytest.mark.parametrize(("status", "setting"), [(401, "api_key"), (404, "models"), (403, "models")])
def test_a_refused_key_or_model_is_told_after_one_call(make_mind, status, setting):
    with OpenAIServer(lambda _: Fail(status)) as server, OpenAIServer([Say("never asked")]) as spare:
        models = [{"model": "openai/x", "api_base": url.url, "api_key": "sk-0123456789"} for url in (server, spare)]
        with make_mind(tiers={"served": {"models": models, "retries": 3}}, tier="served") as mind:
            with pytest.raises(ThinkingError, match=setting) as refused:
                mind.think("x")
    assert refused.value.stop_reason == "configuration"
    assert (len(server.requests), len(spare.requests)) == (1, 0)
