"""`[tiers.NAME]` tables: what is accepted, what is refused by name, and what the defaults are."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from pydantic import ValidationError

from layers.tiers.pricing import listed_price, output_limit
from layers.tiers.settings import (
    DeploymentSettings,
    ProviderKeys,
    TierSettings,
    default_tiers,
    resolve,
)

NOBODY = ProviderKeys.model_construct(anthropic_api_key=None, openai_api_key=None)


def keys(**given):
    return ProviderKeys.model_validate(given)


def resolved(tier="fast", model_keys=NOBODY, **table):
    settings = TierSettings.model_validate(table)
    return [resolve(tier, settings, entry, model_keys) for entry in settings.models]


def test_models_are_names_or_tables_in_order():
    settings = TierSettings.model_validate({"models": ["openai/a", {"model": "openai/b", "max_tokens": 5}]})
    assert settings.models == ("openai/a", DeploymentSettings(model="openai/b", max_tokens=5))


def test_one_model_needs_no_list():
    assert TierSettings.model_validate({"models": "openai/a"}).models == ("openai/a",)


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"models": []}, "models"),
        ({}, "models"),
        ({"models": [""]}, "models"),
        ({"models": ["openai/a"], "temprature": 1}, "temprature"),
        ({"models": [{"model": "openai/a", "apibase": "http://x"}]}, "apibase"),
        ({"models": ["openai/a"], "api_base": "localhost:1234"}, "localhost:1234"),
        ({"models": ["openai/a"], "api_base": "ftp://host/v1"}, "ftp://host/v1"),
        ({"models": ["openai/a"], "api_base": "http://"}, "http://"),
        ({"models": ["openai/a"], "temperature": 2.5}, "temperature"),
        ({"models": ["openai/a"], "temperature": float("nan")}, "temperature"),
        ({"models": ["openai/a"], "timeout": 0}, "timeout"),
        ({"models": ["openai/a"], "retries": -1}, "retries"),
        ({"models": ["openai/a"], "requests_per_minute": 0}, "requests_per_minute"),
        ({"models": ["openai/a"], "max_tokens": 0}, "max_tokens"),
        ({"models": ["openai/a"], "input_usd_per_million": -1}, "input_usd_per_million"),
        ({"models": ["openai/a"], "input_usd_per_million": 1}, "together"),
    ],
)
def test_a_wrong_value_is_refused_and_named(table, named):
    with pytest.raises(ValidationError, match=named):
        TierSettings.model_validate(table)


@pytest.mark.parametrize(("tier", "temperature"), [("fast", 0.3), ("balanced", 0.2), ("deep", 0.1), ("mine", 0.2)])
def test_each_tier_has_its_temperature(tier, temperature):
    assert TierSettings(models=("openai/a",)).temperature_of(tier) == temperature
    assert TierSettings(models=("openai/a",), temperature=1.0).temperature_of(tier) == 1.0


def test_keys_of_the_tier_are_defaults_of_its_deployments():
    own = {"model": "openai/b", "api_base": "http://b/v1", "api_key": "key-b", "max_tokens": 7, "timeout": 3}
    first, second = resolved(models=["openai/a", own], api_base="http://a/v1/", api_key="key-a", timeout=9)
    assert (first.api_base, first.max_tokens, first.timeout) == ("http://a/v1", 8192, 9)
    assert first.api_key.get_secret_value() == "key-a"
    assert (second.api_base, second.max_tokens, second.timeout) == ("http://b/v1", 7, 3)
    assert second.api_key.get_secret_value() == "key-b"


def test_a_call_may_take_sixty_seconds_by_default():
    assert resolved(models=["openai/a"])[0].timeout == 60


def test_a_price_of_the_deployment_comes_before_the_tiers_and_the_listed_one():
    own = {"model": "openai/gpt-4o", "input_usd_per_million": 1, "output_usd_per_million": 2}
    prices = [d.price for d in resolved(models=[own], input_usd_per_million=3, output_usd_per_million=4)]
    prices += [d.price for d in resolved(models=["openai/gpt-4o"], input_usd_per_million=3, output_usd_per_million=4)]
    prices += [d.price for d in resolved(models=["openai/gpt-4o"])]
    assert [price.input * 1e6 for price in prices] == pytest.approx([1, 3, 2.5])
    assert [price.configured for price in prices] == [True, True, False]


def test_a_key_can_come_from_any_variable(monkeypatch):
    monkeypatch.setenv("MY_GATEWAY_KEY", "key-of-mine")
    deployment = resolved(models=["openai/a"], api_base="http://a", api_key_env="MY_GATEWAY_KEY")[0]
    assert deployment.api_key.get_secret_value() == "key-of-mine"
    assert deployment.key_setting == "MY_GATEWAY_KEY"


def test_a_variable_that_is_not_set_is_a_missing_key():
    deployment = resolved(models=["openai/a"], api_base="http://a", api_key_env="NOT_SET_ANYWHERE")[0]
    assert deployment.api_key is None
    assert deployment.key_needed
    assert deployment.key_setting == "NOT_SET_ANYWHERE"


def test_each_provider_has_its_own_variable(monkeypatch):
    monkeypatch.setenv("GROQ_API_KEY", "key-groq")
    both = keys(anthropic_api_key="key-a", openai_api_key="key-o")
    models = ["anthropic/x", "openai/x", "groq/x", "ollama/x", "bedrock/x"]
    found = resolved(models=models, model_keys=both)
    assert [d.api_key and d.api_key.get_secret_value() for d in found] == ["key-a", "key-o", "key-groq", None, None]
    assert [d.key_setting for d in found[:3]] == ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "GROQ_API_KEY"]
    assert [d.keyless for d in found] == [False, False, False, True, False]


def test_keys_are_read_from_the_environment_and_never_shown(monkeypatch):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-hidden")
    monkeypatch.setenv("OPENAI_API_KEY", "")
    found = ProviderKeys()
    assert found.anthropic_api_key.get_secret_value() == "sk-hidden"
    assert found.openai_api_key is None
    assert "sk-hidden" not in repr(found)
    assert "sk-hidden" not in repr(resolved(models=["anthropic/x"], model_keys=found))


# Defaults


def test_without_a_key_there_are_no_default_tiers():
    assert default_tiers(NOBODY) == {}


@pytest.mark.parametrize("provider", ["anthropic", "openai"])
def test_one_key_gives_all_three_tiers_of_its_provider(provider):
    tiers = default_tiers(keys(**{f"{provider}_api_key": "k"}))
    assert list(tiers) == ["fast", "balanced", "deep"]
    assert all(model.startswith(f"{provider}/") for tier in tiers.values() for model in tier.models)


def test_both_keys_give_failover_across_providers():
    tiers = default_tiers(keys(anthropic_api_key="a", openai_api_key="o"))
    for tier in tiers.values():
        assert [model.split("/")[0] for model in tier.models] == ["anthropic", "openai"]


def test_every_default_model_is_listed_with_a_price_tools_and_no_end():
    path = Path(find_spec("litellm").origin).parent / "model_prices_and_context_window_backup.json"
    listed = json.loads(path.read_text())
    for tier in default_tiers(keys(anthropic_api_key="a", openai_api_key="o")).values():
        for model in tier.models:
            provider, name = model.split("/")
            assert listed[name]["litellm_provider"] == provider
            assert listed[name]["supports_function_calling"]
            assert "deprecation_date" not in listed[name]
            assert listed_price(model).input > 0
            assert output_limit(model) >= 8192


def test_a_deeper_tier_never_costs_less():
    for provider in ("anthropic", "openai"):
        tiers = default_tiers(keys(**{f"{provider}_api_key": "k"}))
        prices = [listed_price(tiers[name].models[0]).output for name in ("fast", "balanced", "deep")]
        assert prices == sorted(prices)
        assert prices[0] < prices[-1]


@pytest.mark.parametrize(
    "url",
    [
        "localhost:1234/v1",
        "http://",
        "http://a b/v1",
        "http://host:99999",
        "http://host:port",
        "http://[::1",
        "ftp://x",
        "",
    ],
)
def test_an_api_base_that_is_no_url_is_refused(url):
    with pytest.raises(ValidationError, match="api_base"):
        TierSettings.model_validate({"models": ["openai/x"], "api_base": url})


def test_a_password_in_an_api_base_is_refused_and_not_repeated():
    with pytest.raises(ValidationError) as caught:
        TierSettings.model_validate({"models": ["openai/x"], "api_base": "http://me:hunter2@host/v1"})
    assert "api_key_env" in str(caught.value)
