"""Answers that come in pieces: tokens to a sink, counts, tools, failover, and a stop in the middle of one."""

import threading
import time
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from smolagents import tool

from layers.run import Lifeline, RunStopped, StopReason
from layers.tiers.pricing import listed_price
from layers.tiers.reasoning import AnswerSink, without_reasoning
from tests.support.openai_server import Drop, Fail, OpenAIServer, Rubbish, Say, ToolCall, Usage

LINES = "one\ntwo\nthree\n"


@tool
def recall(query: str) -> str:
    """Look into memory.

    Args:
        query: what to look for
    """
    return query


@pytest.fixture
def streamed(request_of):
    """Return a function that makes a streamed request, and the list that its pieces go to."""

    def make(*said, **options):
        pieces = []
        return replace(request_of(*said, **options), on_token=pieces.append), pieces

    return make


def test_tokens_come_as_they_are_written(tier, streamed, lifeline):
    request, pieces = streamed()
    heard, in_time = threading.Semaphore(0), []
    request = replace(request, on_token=lambda piece: (pieces.append(piece), heard.release()))

    def until_it_was_heard():  # the server writes no further line before
        if len(in_time) < 3:
            in_time.append(heard.acquire(timeout=30))
        return 0

    with OpenAIServer([Say("warm"), Say(LINES, chunk_pause=until_it_was_heard, usage=Usage(100, 7))]) as server:
        model = tier(server)
        model.chat(replace(request, on_token=None), lifeline)
        reply = model.chat(request, lifeline)
        assert "stream" not in server.requests[0].body
        assert server.requests[1].body["stream"] is True
    assert "".join(pieces) == reply.message.content == LINES
    assert len(pieces) == 3
    assert in_time == [True] * 3
    assert (reply.input_tokens, reply.output_tokens, reply.estimated) == (100, 7, False)


def test_a_stream_costs_what_litellms_map_says(tiers, streamed, lifeline):
    price = listed_price("openai/gpt-4o-mini")
    request, _ = streamed()
    with OpenAIServer([Say(LINES, usage=Usage(1000, 500))]) as server:
        made = tiers(fast={"models": ["openai/gpt-4o-mini"], "api_base": server.url})
        reply = made.model("fast").chat(request, lifeline)
    assert reply.usd == pytest.approx(1000 * price.input + 500 * price.output)


def test_a_stream_without_counts_is_estimated_and_marked(tier, streamed, lifeline):
    request, _ = streamed("word " * 400)
    with OpenAIServer([Say("word " * 100, usage=None)]) as server:
        reply = tier(server).chat(request, lifeline)
    assert reply.estimated
    assert 400 <= reply.input_tokens <= 700
    assert 100 <= reply.output_tokens <= 200


def test_tool_calls_come_through_a_stream(tier, streamed, lifeline):
    request, pieces = streamed(tools=[recall])
    with OpenAIServer([Say(calls=[ToolCall("recall", {"query": "q"})])]) as server:
        reply = tier(server).chat(request, lifeline)
    (call,) = reply.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("recall", '{"query": "q"}')
    assert pieces == []


@pytest.mark.parametrize("failure", [Fail(500), Drop(), Rubbish(), Drop(40)])
def test_a_failing_stream_is_followed_by_the_next_deployment(tier, streamed, lifeline, failure):
    request, pieces = streamed()
    with OpenAIServer([failure]) as first, OpenAIServer([Say("from b")]) as second:
        reply = tier([first, second]).chat(request, lifeline)
    assert reply.message.content == "from b"
    assert pieces == ["from b"]


def test_cancel_in_the_middle_of_a_stream_closes_its_socket(tier, streamed):
    lifeline = Lifeline()
    request, pieces = streamed()
    begun = threading.Event()
    request = replace(request, on_token=lambda piece: (pieces.append(piece), begun.set()))
    with OpenAIServer([Say(LINES, chunk_pause=20)]) as server:
        model = tier(server)
        ended = []

        def cancel():
            begun.wait(60)
            ended.append(time.monotonic())
            lifeline.stop(StopReason.CANCELLED, "enough")

        canceller = threading.Thread(target=cancel)
        canceller.start()
        with pytest.raises(RunStopped, match="enough"):
            model.chat(request, lifeline)
        assert time.monotonic() - ended[0] < 3
        canceller.join()
    assert pieces == ["one\n"]


def test_a_broken_sink_is_no_outage(tier, request_of, lifeline, caplog):
    def broken(piece):
        raise ValueError("no consumer")

    with OpenAIServer([Say(LINES)]) as server:
        reply = tier(server).chat(replace(request_of(), on_token=broken), lifeline)
    assert reply.message.content == LINES
    assert "no consumer" in caplog.text


# What the sink is given


def passed(pieces, stop=()):
    given = []
    sink = AnswerSink(given.append, tuple(stop))
    for piece in pieces:
        sink.feed(piece)
    sink.finish()
    return "".join(given)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>hm</think>\nyes", "yes"),
        ("hm</think>yes", "yes"),
        ("<think>for ever", ""),
        ("no thought", "no thought"),
        ("<code>print('</think>')</code>", "<code>print('</think>')</code>"),
    ],
)
def test_thinking_is_no_part_of_an_answer(text, answer):
    assert without_reasoning(text) == answer


@given(st.lists(st.sampled_from(["<think>", "</think>", "<", "a", "</code>", "</co", "\n", "de>"]), max_size=12))
def test_however_a_text_is_cut_the_sink_passes_the_same(pieces):
    whole = passed(["".join(pieces)], ["</code>"])
    assert passed(pieces, ["</code>"]) == whole
    assert passed(list("".join(pieces)), ["</code>"]) == whole
    assert "</code>" not in whole
