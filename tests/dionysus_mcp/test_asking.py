"""One question to a model: its answer, its errors, and no event loop left behind in the thread that asked."""

import asyncio

import pytest

from dionysus_mcp.asking import ask_model
from tests.support.openai_server import Fail, OpenAIServer, Say


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


def asked(server):
    messages = [{"role": "user", "content": "Who is there?"}]
    return ask_model(model="openai/x", messages=messages, api_base=server.url, api_key="k", num_retries=0, timeout=60)


def test_a_question_leaves_no_event_loop_open_that_a_later_test_or_program_trips_over(policy):
    with OpenAIServer([Say("Ann.")]) as server:
        before = len(policy.made)
        assert asked(server) == "Ann."
    assert [loop for loop in policy.made[before:] if not loop.is_closed()] == []


def test_its_error_reaches_who_asked():
    with OpenAIServer([Fail(401, "who are you?")]) as server, pytest.raises(Exception, match="who are you"):
        asked(server)


def test_an_answer_without_words_is_an_empty_text():
    with OpenAIServer([Say(None)]) as server:
        assert asked(server) == ""
