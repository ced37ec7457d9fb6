"""Real smolagents agents over a tier, a real Router and the scripted server's characters."""

import pytest
from smolagents import CodeAgent, LogLevel, ToolCallingAgent, tool
from smolagents.models import Model

from layers.run import Lifeline
from layers.tiers.base import ChatRequest
from tests.support.openai_characters import costly, garbage, never_finishing, obedient
from tests.support.openai_server import OpenAIServer


class Held(Model):
    """A ChatModel as agents hold it, without ledger and spans."""

    def __init__(self, chat):
        super().__init__(model_id=chat.model_id)
        self.chat = chat
        self.replies = []

    def generate(self, messages, stop_sequences=None, response_format=None, tools_to_call_from=None, **_):
        request = ChatRequest(messages, stop_sequences or (), tools_to_call_from or (), response_format)
        self.replies.append(self.chat.chat(request, Lifeline()))
        return self.replies[-1].message


@tool
def recall(query: str) -> str:
    """Look into memory.

    Args:
        query: what to look for
    """
    return f"nothing on {query}"


def agent(kind, model, **options):
    return kind(tools=[recall], model=model, verbosity_level=LogLevel.OFF, **options)


@pytest.mark.parametrize("kind", [CodeAgent, ToolCallingAgent])
def test_an_obedient_model_answers_in_one_step(kind, tier):
    with OpenAIServer(obedient("42")) as server:
        held = Held(tier(server))
        assert agent(kind, held).run("What is the answer?") == "42"
    assert len(held.replies) == 1


@pytest.mark.parametrize("kind", [CodeAgent, ToolCallingAgent])
def test_a_never_finishing_model_uses_up_its_steps_and_closes(kind, tier):
    with OpenAIServer(never_finishing("gave up")) as server:
        held = Held(tier(server))
        assert agent(kind, held, max_steps=3).run("What is the answer?") == "gave up"
        assert len(server.requests) == 4


def test_a_planning_agent_gets_plans(tier):
    with OpenAIServer(obedient("42")) as server:
        held = Held(tier(server))
        assert agent(CodeAgent, held, planning_interval=2).run("What is the answer?") == "42"
        assert len(server.requests) == 2


def test_garbage_gets_a_code_agent_nowhere(tier):
    with OpenAIServer(garbage("It depends.")) as server:
        result = agent(CodeAgent, Held(tier(server)), max_steps=2).run("What is the answer?")
        assert len(server.requests) == 3
    assert result == "It depends."


def test_a_costly_model_is_counted_in_full(tier):
    with OpenAIServer(costly(5000)) as server:
        held = Held(tier(server, input_usd_per_million=0, output_usd_per_million=10))
        agent(CodeAgent, held).run("What is the answer?")
    assert held.replies[0].output_tokens == 5000
    assert held.replies[0].usd == pytest.approx(0.05)
