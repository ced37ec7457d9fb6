"""One question to a model: its answer, its errors, no key for strangers, and nothing left behind by whoever asked."""

import asyncio
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from dionysus_mcp.consolidation.extraction import Group, Unit
from dionysus_mcp.consolidation.reading import Held
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.consolidation.wording import Sentence
from dionysus_mcp.consolidation.writing import ModelWriter
from dionysus_mcp.graph.model_reader import ModelReader, ModelUnavailable
from dionysus_mcp.graph.reading import Told
from dionysus_mcp.models.endpoint import Endpoint, complete_apart
from dionysus_mcp.recall.rerank import Reranker
from dionysus_mcp.settings import MemorySettings
from tests.support.openai_server import Fail, Flood, OpenAIServer, Raw, Say

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOLD = Told(1, "m", "Ann works at Acme.", "episodic", None, "project", None, NOW, None)
QUESTION = [{"role": "user", "content": "Who is there?"}]


class Noting(asyncio.DefaultEventLoopPolicy):
    """Knows every loop that was made; a main thread under it has none of an earlier test."""

    def __init__(self):
        super().__init__()
        self.made = []

    def new_event_loop(self):
        self.made.append(super().new_event_loop())
        return self.made[-1]


@pytest.fixture
def policy():
    noting = Noting()
    asyncio.set_event_loop_policy(noting)
    yield noting
    asyncio.set_event_loop_policy(None)


def asked(server, **rest):
    return complete_apart(Endpoint("openai/x", server.url, SecretStr("k"), **rest), QUESTION).text


def test_a_question_leaves_no_event_loop_open_that_a_later_test_or_program_trips_over(policy):
    with OpenAIServer([Say("Ann.")]) as server:
        before = len(policy.made)
        assert asked(server) == "Ann."
    assert [loop for loop in policy.made[before:] if not loop.is_closed()] == []


def test_a_question_leaves_no_connection_open():
    with OpenAIServer([Say("Ann.")]) as server:
        asked(server)
        assert server.wait_for_sockets(0)


def test_its_error_reaches_who_asked():
    with OpenAIServer([Fail(401, "who are you?")]) as server, pytest.raises(Exception, match="who are you"):
        asked(server)


def test_an_answer_without_words_is_an_empty_text():
    with OpenAIServer([Say(None)]) as server:
        assert asked(server) == ""


def test_nothing_is_tried_again():
    with OpenAIServer([Fail(500), Say("late")]) as server, pytest.raises(Exception, match="500|Internal"):
        asked(server)
    assert len(server.requests) == 1


# What memory has a model for, each asked once over a server of the test.


def order(url):
    own = MemorySettings(rerank_model="openai/x", rerank_api_base=url, rerank_timeout=30.0)
    reranker = Reranker("openai/x", own)
    try:
        assert reranker.order("When?", ["at four", "at five"]).notice
    finally:
        reranker.close()


def read(url):
    with pytest.raises(ModelUnavailable):
        ModelReader(MemorySettings(graph_model="openai/x", graph_model_url=url)).read(TOLD)


def write(url):
    settings = ConsolidationSettings(model="openai/x", api_base=url, timeout=30.0)
    statement, dropped = ModelWriter(settings).write(group())
    assert statement is None
    assert "gave no answer" in dropped[0].reason


def group() -> Group:
    text = "I paint at the lake."
    held = Held(1, "m", "h", text, "episodic", 0.5, {}, "Ann", "s", None, None, NOW, (), 0)
    unit = Unit(
        held, 0, len(text), Sentence(("I", "paint", "at", "the", "lake"), capital=True), frozenset({"paint", "lake"})
    )
    return Group(unit, (unit,))


CALLERS = pytest.mark.parametrize("call", [order, read, write], ids=["recall", "graph", "consolidation"])


@CALLERS
def test_an_address_of_the_users_never_gets_the_key_of_the_provider(call, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-provider")
    with OpenAIServer([Fail(400, "no")]) as server:
        call(server.url)
    (request,) = server.requests
    assert "sk-of-the-provider" not in str(request.headers) + str(request.body)
    assert request.headers["authorization"] == "Bearer none"


@CALLERS
def test_neither_memories_nor_key_follow_a_redirect_to_another_place(call):
    with OpenAIServer([Say("stolen")]) as thief:
        with OpenAIServer([Raw(307, headers={"Location": thief.url + "/chat/completions"})]) as server:
            call(server.url)
        assert len(server.requests) == 1
        assert thief.requests == []


@CALLERS
def test_an_answer_without_end_is_not_read_for_ever(call):
    with OpenAIServer([Flood({"content": "x" * 50_000})]) as server:
        call(server.url)
        assert server.wait_for_sockets(0)
