"""Answers with counts that can't be, with nothing in them, or of another form than OpenAI's."""

import warnings

import pytest
from pydantic import BaseModel

from layers.run import RunStopped, StopReason
from tests.support.openai_server import OpenAIServer, Raw, Say, ToolCall, Usage


def outage(model, request, lifeline):
    with pytest.raises(RunStopped) as caught:
        model.chat(request, lifeline)
    assert caught.value.reason is StopReason.MODEL
    return caught.value.detail


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize("counts", [Usage(-1000, -50), Usage(10**30, 10**30), Usage(0, 0)])
def test_counts_that_can_not_be_are_estimated(tier, request_of, lifeline, counts, streams):
    with OpenAIServer([Say("four words of answer", usage=counts)]) as server:
        on_token = (lambda _: None) if streams else None
        reply = tier(server, tokens_per_minute=1_000_000).chat(request_of("what?", on_token=on_token), lifeline)
    assert reply.estimated
    assert 0 < reply.input_tokens < 100
    assert 0 < reply.output_tokens < 100


def test_a_negative_count_of_cached_tokens_counts_for_nothing(tier, request_of, lifeline):
    with OpenAIServer([Say("x", usage=Usage(100, 5, cached=-70))]) as server:
        assert tier(server).chat(request_of("what?"), lifeline).cached_tokens == 0


def test_a_price_is_never_below_zero(tier, request_of, lifeline):
    prices = {"input_usd_per_million": 1.0, "output_usd_per_million": 2.0}
    with OpenAIServer([Say("x", usage=Usage(-1_000_000, 5))]) as server:
        assert tier(server, **prices).chat(request_of("what?"), lifeline).usd > 0


@pytest.mark.parametrize("streams", [True, False])
@pytest.mark.parametrize(
    ("finish", "why"),
    [("content_filter", "filter held the answer back"), ("length", "raise `max_tokens` in [tiers.fast]")],
)
def test_an_answer_that_a_model_may_not_give_is_the_next_ones(tier, request_of, lifeline, finish, why, streams):
    on_token = (lambda _: None) if streams else None
    nothing = Say("", usage=Usage(20, 9), finish=finish)
    with OpenAIServer([nothing]) as silent, OpenAIServer([Say("here", usage=Usage(3, 2))]) as other:
        request = request_of("what?", on_token=on_token)
        reply = tier([silent, other]).chat(request, lifeline)
        assert reply.message.content == "here"
        assert why in reply.attempts[0]
        used = request.meter.usage()
        assert (used.input_tokens, used.output_tokens, used.estimated) == (20, 9, False)
        alone = request_of("what?", on_token=on_token)
        assert why in outage(tier(silent), alone, lifeline)
        assert alone.meter.usage().tokens == 29
        assert len(silent.requests) == 2  # once for each call: another try would say the same


@pytest.mark.parametrize("finish", ["content_filter", "length"])
def test_an_answer_that_was_cut_off_but_says_something_stays(tier, request_of, lifeline, finish):
    with OpenAIServer([Say("half of", finish=finish)]) as server:
        reply = tier(server).chat(request_of("what?"), lifeline)
    assert (reply.message.content, reply.finish) == ("half of", finish)


def test_the_finish_reason_of_a_stream_is_known(tier, request_of, lifeline):
    with OpenAIServer([Say("half of", finish="length")]) as server:
        assert tier(server).chat(request_of("what?", on_token=lambda _: None), lifeline).finish == "length"
    with OpenAIServer([Say(calls=[ToolCall("recall", {"query": "x"})])]) as server:
        assert tier(server).chat(request_of("what?", on_token=lambda _: None), lifeline).finish == "tool_calls"


BODIES = {
    "a list for a text": b'{"choices": [{"index": 0, "message":'
    b' {"role": "assistant", "content": [{"type": "text"}]}}]}',
    "words for counts": b'{"choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}}],'
    b' "usage": {"prompt_tokens": "some", "completion_tokens": 2, "total_tokens": 3}}',
    "null": b"null",
    "a number": b"42",
    "no choices": b'{"choices": null}',
    "a page": b"<html>Log in</html>",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_an_answer_of_another_form_is_no_completion_and_no_noise(tier, request_of, lifeline, body, capfd):
    with OpenAIServer([Raw(200, body)]) as server, warnings.catch_warnings(record=True) as heard:
        detail = outage(tier(server, retries=0), request_of("what?"), lifeline)
    assert "its answer is no completion" in detail
    assert "Traceback" not in detail
    assert "pydantic.dev" not in detail
    assert len(server.requests) == 1
    assert capfd.readouterr() == ("", "")
    assert heard == []


def test_warnings_of_the_users_own_models_are_heard(tier, request_of, lifeline):
    class Own(BaseModel):
        content: str

    with OpenAIServer([Say("fine")]) as server:
        tier(server).chat(request_of("what?"), lifeline)
    with pytest.raises(UserWarning, match="field_name='content'"):  # by pytest's filter, unless ours goes first
        Own.model_construct(content=5).model_dump()


def test_a_timeout_of_the_endpoint_is_not_told_as_ours(tier, request_of, lifeline):
    with OpenAIServer([Raw(408, b'{"error": {"message": "upstream was slow"}}'), Say("now")]) as server:
        assert tier(server).chat(request_of("what?"), lifeline).message.content == "now"
    with OpenAIServer([Raw(408, b'{"error": {"message": "upstream was slow"}}')]) as server:
        detail = outage(tier(server), request_of("what?"), lifeline)
    assert "408: upstream was slow" in detail
    assert "no answer within" not in detail


def test_a_rest_that_an_endpoint_asks_for_is_told(tier, request_of, lifeline):
    body = b'{"error": {"message": "slow down"}}'
    with OpenAIServer([Raw(429, body, {"Retry-After": "86400"})]) as server:
        detail = outage(tier(server), request_of("what?"), lifeline)
    assert "slow down (it asks for 86,400 s of rest)" in detail
    assert len(server.requests) == 1
