"""LM Studio, Ollama, vLLM and barer servers: what they refuse is left out, once found out it is left out at once."""

from dataclasses import replace

import pytest
from smolagents import CodeAgent, LogLevel, ToolCallingAgent, tool

from layers.run import Lifeline, RunStopped, StopReason
from layers.tiers.abilities import Abilities, ToolUse, lesser
from layers.tiers.spoken_tools import spoken_calls
from tests.layers.tiers.test_tier_with_agents import Held
from tests.support.openai_characters import obedient
from tests.support.openai_profiles import bare, lm_studio, no_stop, ollama, speaks_tools, vllm
from tests.support.openai_server import Fail, OpenAIServer, Say


@tool
def recall(query: str) -> str:
    """Look into memory.

    Args:
        query: what to look for
    """
    return query


PROFILES = {
    "lm_studio": lm_studio,
    "ollama": ollama,
    "vllm": lambda played: vllm(played, context=16_000),
    "small_vllm": vllm,
    "vllm_gemma": lambda played: vllm(played, context=16_000, system=False),
    "bare": bare,
    "one_piece": lambda played: bare(played, refuses=False),
    "no_stop": no_stop,
}


def streaming(request, pieces):
    return replace(request, on_token=pieces.append)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
@pytest.mark.parametrize("stream", [False, True])
def test_every_server_answers_and_is_asked_once_the_second_time(tier, request_of, lifeline, profile, stream):
    request = request_of(("system", "be brief"), "what?", stop=["Observation:"])
    pieces = []
    with OpenAIServer(profile(lambda _: Say("It is\n42."))) as server:
        model = tier(server)
        asked = streaming(request, pieces) if stream else request
        assert model.chat(asked, lifeline).message.content.strip() == "It is\n42."
        learned = len(server.requests)
        assert model.chat(asked, lifeline).message.content.strip() == "It is\n42."
        assert len(server.requests) == learned + 1
    assert not pieces or "".join(pieces).strip().replace("\n\n", "\n") in {
        "It is\n42.It is\n42.",
        "It is\n42.\nIt is\n42.",
    }


@pytest.mark.parametrize("profile", [ollama, lambda played: vllm(played, context=16_000)], ids=["ollama", "vllm"])
@pytest.mark.parametrize("wrapped", ["{}", "```json\n{}\n```", "Sure.\n<tool_call>\n{}\n</tool_call>", "[{}]"])
def test_a_model_without_tool_calls_is_told_the_tools_in_words(tier, request_of, lifeline, profile, wrapped):
    with OpenAIServer(profile(speaks_tools("recall", {"query": "q"}, wrapped))) as server:
        reply = tier(server).chat(request_of("what?", tools=[recall]), lifeline)
        assert "tools" not in server.requests[-1].body
    (call,) = reply.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("recall", {"query": "q"})


def test_a_setting_spares_the_question(tiers, request_of, lifeline):
    with OpenAIServer(speaks_tools("recall", {"query": "q"})) as server:
        table = {"models": ["openai/x"], "api_base": server.url, "tool_calls": False, "stream": False}
        model = tiers(fast=table).model("fast")
        model.chat(streaming(request_of("what?", tools=[recall]), []), lifeline)
        assert "tools" not in server.requests[0].body
        assert "stream" not in server.requests[0].body


@pytest.mark.parametrize("profile", [ollama, lm_studio, lambda p: vllm(p, context=16_000)], ids=["o", "l", "v"])
def test_agents_of_both_kinds_finish_on_local_servers(tier, profile):
    by_text = speaks_tools("final_answer", {"answer": "42"})

    def model(request):
        return by_text(request) if "# Calling tools" in request.text else obedient("42")(request)

    for kind in (CodeAgent, ToolCallingAgent):
        with OpenAIServer(profile(model)) as server:
            agent = kind(tools=[recall], model=Held(tier(server)), verbosity_level=LogLevel.OFF, max_steps=2)
            assert agent.run("What is the answer?") == "42"


def test_a_model_that_isnt_pulled_is_a_setting_to_change(tier, request_of):
    with OpenAIServer(ollama(obedient(), models=("other",))) as server:
        with pytest.raises(RunStopped, match="try pulling it first") as caught:
            tier(server, retries=3).chat(request_of(), Lifeline())
        assert len(server.requests) == 1
    assert caught.value.reason is StopReason.CONFIGURATION


def test_a_server_that_refuses_everything_is_asked_a_bounded_number_of_times(tier, request_of):
    fail = Fail(400, "tools, tool_choice, stream, stop, temperature, system role, response_format, stream_options")
    with OpenAIServer([fail]) as server:
        request = streaming(request_of(("system", "x"), "y", tools=[recall], stop=["z"]), [])
        with pytest.raises(RunStopped) as caught:
            tier(server).chat(request, Lifeline())
        assert len(server.requests) <= 9
    assert caught.value.reason is StopReason.CONFIGURATION


def test_a_form_that_did_not_help_is_not_kept(tier, request_of, lifeline):
    answers = [Fail(400, "bad temperature"), Fail(400, "something else"), Say("x")]
    with OpenAIServer(answers) as server:
        model = tier(server)
        with pytest.raises(RunStopped):
            model.chat(request_of(), lifeline)
        model.chat(request_of(), lifeline)
        assert "temperature" in server.requests[-1].body


def test_a_complaint_about_nothing_that_was_asked_for_changes_nothing():
    plain = Abilities(tools=ToolUse.TEXT, streams=False, counts_streams=False)
    assert lesser(plain, plain, "tools and streams are not supported") is None


@pytest.mark.parametrize(
    "text", ["{" * 50_000, '{"a":' * 50_000, '{"name": "other", "arguments": {}}', "{}", '{"name": 1}']
)
def test_what_calls_no_offered_tool_is_no_call(text):
    assert spoken_calls(text, {"recall"}) == []
