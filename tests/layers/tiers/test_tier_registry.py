"""`Tiers`: which model serves a name, what stands in, what is wrong with the settings, and what doctor shows."""

import threading

import pytest
from smolagents.models import ChatMessage, MessageRole, Model

from layers.errors import LayerError, UnknownTier
from layers.tiers.base import Bound, ChatReply
from layers.tiers.router import RouterModel
from layers.tiers.settings import ProviderKeys
from layers.tiers.smolagents_model import SmolagentsModel
from tests.support.openai_server import OpenAIServer, Say

LOCAL = {"models": ["openai/local"], "api_base": "http://localhost:1234/v1"}


class Echo(Model):
    def generate(self, messages, **options):
        return ChatMessage(MessageRole.ASSISTANT, "echo")


class Own:
    model_id = "own"

    def bound(self, request):
        return Bound(1, 0.0)

    def chat(self, request, lifeline):
        return ChatReply(ChatMessage(MessageRole.ASSISTANT, "own"), "own", 1, 1, 0.0)


def test_the_standard_tiers_and_offline_are_always_there(tiers):
    assert tiers().names == ("fast", "balanced", "deep", "offline")
    assert tiers(mine=LOCAL).names == ("fast", "balanced", "deep", "mine", "offline")


def test_a_model_is_made_once_for_all_threads(tiers):
    made = tiers(fast=LOCAL)
    found = []
    threads = [threading.Thread(target=lambda: found.append(made.model("fast"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert isinstance(found[0], RouterModel)
    assert all(model is found[0] for model in found)


def test_a_smolagents_model_can_be_a_tier(tiers, request_of, lifeline):
    model = tiers(fast=Echo(model_id="echo-1")).model("fast")
    assert isinstance(model, SmolagentsModel)
    assert model.chat(request_of(), lifeline).message.content == "echo"


def test_a_chat_model_of_ones_own_is_taken_as_it_is(tiers):
    own = Own()
    assert tiers(fast=own).model("fast") is own


def test_another_object_is_refused(tiers):
    with pytest.raises(LayerError, match=r"'fast'.*int.*smolagents Model"):
        tiers(fast=7).model("fast")


@pytest.mark.parametrize(("asked", "hint"), [("fasst", "Did you mean 'fast'"), ("zzz", "fast, balanced, deep")])
def test_an_unknown_tier_is_named_with_the_nearest(tiers, asked, hint):
    with pytest.raises(UnknownTier, match=hint) as caught:
        tiers().model(asked)
    assert repr(asked) in str(caught.value)


def test_offline_needs_no_settings_and_takes_none(tiers, offline_model):
    assert isinstance(tiers().model("offline"), offline_model)
    assert isinstance(tiers(fast=LOCAL).model("offline"), offline_model)
    with pytest.raises(LayerError, match="built in"):
        tiers(offline=LOCAL)


def test_a_tier_may_be_offline_by_choice_without_notice(tiers, offline_model):
    made = tiers(fast={"models": ["offline"]}, balanced={"models": ["offline"]}, deep={"models": ["offline"]})
    assert isinstance(made.model("fast"), offline_model)
    assert made.notice is None


def test_without_key_and_settings_offline_serves_every_tier_and_says_so(tiers, offline_model):
    made = tiers()
    assert all(isinstance(made.model(name), offline_model) for name in ("fast", "balanced", "deep"))
    assert "not a language model" in made.notice
    assert "ANTHROPIC_API_KEY" in made.notice


def test_a_configured_tier_serves_the_standard_ones_that_are_not(tiers):
    made = tiers(balanced=LOCAL)
    assert made.model("fast").model_id == "openai/local"
    assert "'fast' by 'balanced'" in made.notice
    assert tiers(mine=LOCAL).model("deep").model_id == "openai/local"


def test_keys_fill_the_tiers_that_are_not_configured(tiers):
    made = tiers(keys=ProviderKeys.model_validate({"openai_api_key": "sk-x"}), balanced=LOCAL)
    assert made.notice is None
    assert made.model("balanced").model_id == "openai/local"
    assert made.model("fast").model_id.startswith("openai/gpt")
    assert made.secrets == ("sk-x",)


def test_a_name_of_another_tier_stands_for_its_list(tiers, request_of, lifeline):
    with OpenAIServer([Say("x")]) as server:
        shared = {"models": ["openai/shared"], "api_base": server.url}
        made = tiers(shared=shared, fast={"models": ["shared", "openai/more"], "temperature": 0.9})
        assert made.model("fast").chat(request_of(), lifeline).model_id == "openai/shared"
        assert server.requests[0].body["temperature"] == 0.9
    assert made.describe()[0].models == ("openai/shared", "openai/more")


def test_a_tier_that_names_itself_is_refused(tiers):
    with pytest.raises(LayerError, match=r"'fast' names itself \(fast → fast\)"):
        tiers(fast={"models": ["fast"]})
    with pytest.raises(LayerError, match="names itself"):
        tiers(fast={"models": ["deep"]}, deep={"models": ["fast"]})


def test_offline_can_only_stand_alone(tiers):
    with pytest.raises(LayerError, match="only stand alone"):
        tiers(fast={"models": ["openai/x", "offline"]})


def test_doctor_sees_models_temperature_keys_and_prices(tiers):
    made = tiers(
        keys=ProviderKeys.model_validate({"openai_api_key": "sk-x"}),
        fast={"models": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5", "openai/unheard-of", "bedrock/x"]},
        balanced=LOCAL,
        deep=Echo(),
    )
    fast, balanced, deep, offline = made.describe()
    assert fast.models[0] == "openai/gpt-4o-mini"
    assert fast.temperature == 0.3
    assert [row.key for row in fast.deployments] == ["present", "missing", "present", "unknown"]
    assert fast.deployments[1].key_setting == "ANTHROPIC_API_KEY"
    assert [row.price_known for row in fast.deployments] == [True, True, False, False]
    assert [row.key for row in balanced.deployments] == ["not needed"]
    assert balanced.deployments[0].api_base == "http://localhost:1234/v1"
    assert (deep.deployments, deep.note) == ((), "your own object Echo")
    assert offline.tier == "offline"
    assert "sk-x" not in repr(made.describe())


def test_doctor_sees_what_stands_in(tiers):
    assert [row.note for row in tiers().describe()[:3]] == ["not configured; served by 'offline'"] * 3


def test_closing_twice_or_without_a_call_is_harmless(tiers):
    made = tiers(fast=LOCAL)
    made.close()
    made.close()


def test_warming_up_loads_litellm_only_where_a_tier_needs_it(tiers, lifeline):
    before = set(threading.enumerate())  # one of an earlier test may still be at it
    tiers(balanced={"models": ["offline"]}).warm()
    assert not [thread for thread in set(threading.enumerate()) - before if thread.name == "litellm-import"]
    made = tiers(fast=LOCAL)
    made.warm()
    made.warm()
    for thread in threading.enumerate():
        if thread.name == "litellm-import":
            thread.join(60)
    made.close()


def test_a_tier_that_names_a_standard_tier_without_models_is_told_so(tiers):
    with pytest.raises(LayerError, match=r"'deep' names the tier 'balanced', which has no models"):
        tiers(deep={"models": ["balanced"]})
