"""A tier over LiteLLM's real Router and real HTTP: answers, prices, failover, errors, and ends in mid-call."""

import signal
import threading
import time

import pytest
from smolagents import tool
from smolagents.models import ChatMessageToolCall

from layers.run import Lifeline, RunStopped, StopReason
from layers.tiers.pricing import listed_price
from tests.support.openai_server import (
    Drop,
    Fail,
    Hang,
    OpenAIServer,
    Rubbish,
    Say,
    ToolCall,
    Usage,
    refusing_port,
)

PROMISED = 1.0  # seconds within which a stopped run ends, by the contract of ChatModel


@tool
def recall(query: str, top_k: int = 3) -> str:
    """Look into memory.

    Args:
        query: what to look for
        top_k: how many hits
    """
    return f"{query} {top_k}"


def stopped(model, request, lifeline):
    with pytest.raises(RunStopped) as caught:
        model.chat(request, lifeline)
    return caught.value


def test_an_answer_comes_with_its_model_and_the_providers_counts(tier, request_of, lifeline):
    with OpenAIServer([Say("42", usage=Usage(100, 7))]) as server:
        reply = tier(server).chat(request_of("what?"), lifeline)
    assert reply.message.content == "42"
    assert reply.message.role.value == "assistant"
    assert reply.model_id == "openai/model-a"
    assert (reply.input_tokens, reply.output_tokens) == (100, 7)
    assert not reply.estimated
    assert reply.attempts == ()


def test_the_wire_carries_key_temperature_and_bound(tier, request_of, lifeline):
    with OpenAIServer([Say("x")]) as server:
        tier(server, name="deep", max_tokens=55).chat(request_of("what?"), lifeline)
        request = server.requests[0]
    assert request.key == "sk-secret-a"
    assert request.model == "model-a"
    assert request.body["temperature"] == 0.1
    assert request.body["max_tokens"] == 55
    assert request.body["messages"] == [{"role": "user", "content": "what?"}]


def test_neighbours_of_one_role_are_joined_and_tool_roles_translated(tier, request_of, lifeline):
    said = [
        ("system", "be brief"),
        ("user", [{"type": "text", "text": "one"}]),
        ("user", "two"),
        ("tool-call", "calling"),
        ("tool-response", "result"),
    ]
    with OpenAIServer([Say("x")]) as server:
        tier(server).chat(request_of(*said), lifeline)
        sent = [(m["role"], m["content"]) for m in server.requests[0].body["messages"]]
    assert sent == [("system", "be brief"), ("user", "one\ntwo"), ("assistant", "calling"), ("user", "result")]


def test_an_image_goes_as_a_data_url(tier, request_of, lifeline):
    from PIL import Image

    said = ("user", [{"type": "text", "text": "what is it?"}, {"type": "image", "image": Image.new("RGB", (2, 2))}])
    with OpenAIServer([Say("a square")]) as server:
        tier(server).chat(request_of(said), lifeline)
        text, image = server.requests[0].body["messages"][0]["content"]
    assert text == {"type": "text", "text": "what is it?"}
    assert image["image_url"]["url"].startswith("data:image/png;base64,")


def test_tools_are_offered_and_calls_come_back_as_smolagents_objects(tier, request_of, lifeline):
    with OpenAIServer([Say(calls=[ToolCall("recall", {"query": "q"}), ToolCall("recall", {"query": "r"})])]) as server:
        reply = tier(server).chat(request_of(tools=[recall]), lifeline)
        body = server.requests[0].body
    assert body["tool_choice"] == "required"
    assert body["tools"][0]["function"]["name"] == "recall"
    assert body["tools"][0]["function"]["parameters"]["required"] == ["query"]
    first, second = reply.message.tool_calls
    assert isinstance(first, ChatMessageToolCall)
    assert (first.function.name, first.function.arguments) == ("recall", '{"query": "q"}')
    assert first.id != second.id


def test_stop_sequences_are_sent_and_cut_where_the_provider_ignores_them(tier, request_of, lifeline):
    with OpenAIServer([Say("<code>\n1\n</code> and more")]) as server:
        reply = tier(server).chat(request_of(stop=["</code>"]), lifeline)
        assert server.requests[0].body["stop"] == ["</code>"]
    assert reply.message.content == "<code>\n1\n"


def test_a_model_that_takes_no_stop_and_no_temperature_gets_none(tiers, request_of, lifeline):
    with OpenAIServer([Say("<code>1</code>")]) as server:
        made = tiers(fast={"models": ["openai/gpt-5-mini"], "api_base": server.url})
        reply = made.model("fast").chat(request_of(stop=["</code>"]), lifeline)
        body = server.requests[0].body
    assert "stop" not in body
    assert "temperature" not in body
    assert body["max_completion_tokens"] == 8192
    assert reply.message.content == "<code>1"


def test_a_response_format_is_passed_on(tier, request_of, lifeline):
    schema = {"type": "json_object"}
    with OpenAIServer([Say("{}")]) as server:
        tier(server).chat(request_of(response_format=schema), lifeline)
        assert server.requests[0].body["response_format"] == schema


def test_reasoning_content_is_not_part_of_the_answer(tier, request_of, lifeline):
    with OpenAIServer([Say("42", reasoning="let me see")]) as server:
        assert tier(server).chat(request_of(), lifeline).message.content == "42"


# Prices and counts


def test_an_unmapped_model_has_no_price_rather_than_none_to_pay(tier, request_of, lifeline):
    with OpenAIServer([Say("x")]) as server:
        model = tier(server)
        assert model.chat(request_of(), lifeline).usd is None
        assert model.bound(request_of()).usd is None


def test_a_configured_price_is_charged_by_the_token(tier, request_of, lifeline):
    with OpenAIServer([Say("x", usage=Usage(1000, 500))]) as server:
        model = tier(server, input_usd_per_million=2.0, output_usd_per_million=10.0)
        assert model.chat(request_of(), lifeline).usd == pytest.approx(0.007)


def test_a_price_configured_as_free_is_zero_and_known(tier, request_of, lifeline):
    with OpenAIServer([Say("x")]) as server:
        model = tier(server, input_usd_per_million=0, output_usd_per_million=0)
        assert model.chat(request_of(), lifeline).usd == 0.0
        assert model.bound(request_of()).usd == 0.0


def test_a_listed_model_costs_what_litellms_map_says(tiers, request_of, lifeline):
    price = listed_price("openai/gpt-4o-mini")
    with OpenAIServer([Say("x", usage=Usage(1000, 500))]) as server:
        made = tiers(fast={"models": ["openai/gpt-4o-mini"], "api_base": server.url})
        reply = made.model("fast").chat(request_of(), lifeline)
    assert reply.usd == pytest.approx(1000 * price.input + 500 * price.output)


def test_missing_usage_is_estimated_and_marked(tier, request_of, lifeline):
    with OpenAIServer([Say("word " * 100, usage=None)]) as server:
        model = tier(server, input_usd_per_million=1.0, output_usd_per_million=1.0)
        reply = model.chat(request_of("word " * 400), lifeline)
    assert reply.estimated
    assert 400 <= reply.input_tokens <= 700
    assert 100 <= reply.output_tokens <= 200
    assert reply.usd == pytest.approx((reply.input_tokens + reply.output_tokens) / 1e6)


def test_the_bound_covers_prompt_tools_and_completion_at_the_dearest_deployment(tiers, request_of):
    request = request_of("x" * 10_000, tools=[recall])
    cheap = {"model": "openai/a", "input_usd_per_million": 1, "output_usd_per_million": 1, "max_tokens": 100}
    dear = {"model": "openai/b", "input_usd_per_million": 3, "output_usd_per_million": 9, "max_tokens": 1000}
    bound = tiers(fast={"models": [cheap, dear], "api_base": "http://localhost"}).model("fast").bound(request)
    assert bound.tokens >= 5000 + 1000
    assert bound.usd == pytest.approx(((bound.tokens - 1000) * 3 + 1000 * 9) / 1e6)


def test_a_bound_with_one_unknown_price_is_unknown(tiers, request_of):
    known = {"model": "openai/a", "input_usd_per_million": 1, "output_usd_per_million": 1}
    made = tiers(fast={"models": [known, "openai/unheard-of"], "api_base": "http://localhost"})
    assert made.model("fast").bound(request_of()).usd is None


# Failover and errors


@pytest.mark.parametrize("failure", [Fail(429), Fail(500), Fail(503), Drop(), Drop(40), Rubbish()])
def test_a_failing_deployment_is_followed_by_the_next(tier, request_of, lifeline, failure):
    with OpenAIServer([failure]) as first, OpenAIServer([Say("from b")]) as second:
        reply = tier([first, second]).chat(request_of(), lifeline)
        assert len(first.requests) == 1
        assert second.requests[0].key == "sk-secret-b"
    assert (reply.message.content, reply.model_id) == ("from b", "openai/model-b")
    assert len(reply.attempts) == 1
    assert "openai/model-a" in reply.attempts[0]


def test_a_refused_connection_is_followed_by_the_next(tier, request_of, lifeline):
    with refusing_port() as nobody, OpenAIServer([Say("from b")]) as second:
        reply = tier([nobody, second]).chat(request_of(), lifeline)
    assert reply.message.content == "from b"


def test_a_hanging_deployment_is_given_up_after_its_timeout(tiers, request_of, lifeline):
    with OpenAIServer([Hang(60)]) as first, OpenAIServer([Say("from b")]) as second:
        hanging = {"model": "openai/model-a", "api_base": first.url, "timeout": 0.4}  # the other one has time
        answering = {"model": "openai/model-b", "api_base": second.url}
        reply = tiers(fast={"models": [hanging, answering]}).model("fast").chat(request_of(), lifeline)
        assert first.wait_for_sockets(0)
    assert reply.message.content == "from b"
    assert "no answer within 0.4 s" in reply.attempts[0]


def test_a_deployment_that_failed_comes_last_in_the_next_call(tier, request_of, lifeline):
    with OpenAIServer([Fail(500), Say("from a")]) as first, OpenAIServer([Say("from b")]) as second:
        model = tier([first, second])
        replies = [model.chat(request_of(), lifeline).message.content for _ in range(2)]
        assert len(first.requests) == 1
    assert replies == ["from b", "from b"]


def test_an_outage_of_all_names_each_ones_reason(tier, request_of, lifeline):
    with OpenAIServer([Fail(429, "slow down")]) as first, OpenAIServer([Fail(500, "out of order")]) as second:
        stop = stopped(tier([first, second], retries=0), request_of(), lifeline)
    assert stop.reason is StopReason.MODEL
    assert "'fast'" in stop.detail
    assert "rate limit reached (429): slow down" in stop.detail
    assert "500: out of order" in stop.detail
    assert "openai/model-a" in stop.detail
    assert "openai/model-b" in stop.detail
    assert "\n" not in stop.detail
    assert "litellm" not in stop.detail.lower()


@pytest.mark.parametrize(
    ("failure", "words"), [(Drop(), "can't be reached, or dropped the connection"), (Rubbish(), "no completion")]
)
def test_a_failure_without_an_answer_is_not_given_a_status(tier, request_of, lifeline, failure, words):
    with OpenAIServer([failure]) as server:
        stop = stopped(tier([server], retries=0), request_of(), lifeline)
    assert words in stop.detail
    assert "500" not in stop.detail


@pytest.mark.parametrize("retries", [0, 1, 2])
def test_retries_are_bounded(tier, request_of, lifeline, retries):
    with OpenAIServer([Fail(500)]) as server:
        stopped(tier(server, retries=retries), request_of(), lifeline)
        assert len(server.requests) == retries + 1


def test_a_passing_failure_is_mended_by_a_retry(tier, request_of, lifeline):
    with OpenAIServer([Fail(500), Say("at last")]) as server:
        assert tier(server).chat(request_of(), lifeline).message.content == "at last"


def test_a_retry_waits_as_long_as_the_provider_asks(tier, request_of, lifeline):
    with OpenAIServer([Fail(429, retry_after=1.2), Say("now")]) as server:
        tier(server).chat(request_of(), lifeline)
        first, second = server.requests
    assert second.at - first.at >= 1.2


def test_a_wait_that_would_hold_the_run_up_is_not_waited(tier, request_of, lifeline, within):
    with OpenAIServer([Fail(429, retry_after=3600)]) as server, within(30):
        assert stopped(tier(server), request_of(), lifeline).reason is StopReason.MODEL
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "hint"),
    [
        (Fail(401, "Incorrect API key provided"), "api_key in [tiers.fast]"),
        (Fail(403, "no access"), "api_key in [tiers.fast]"),
        (Fail(404, "The model does not exist", code="model_not_found"), "`models`"),
        (Fail(400, "max_tokens is too large"), "`max_tokens`"),
    ],
)
def test_a_refusal_is_a_setting_to_change_at_once(tier, request_of, lifeline, failure, hint):
    with OpenAIServer([failure]) as first, OpenAIServer([Say("never asked")]) as second:
        stop = stopped(tier([first, second], retries=3), request_of(), lifeline)
        assert len(first.requests) == 1
        assert second.requests == []
    assert stop.reason is StopReason.CONFIGURATION
    assert "openai/model-a" in stop.detail
    assert "'fast'" in stop.detail
    assert failure.message in stop.detail
    assert hint in stop.detail


def test_no_message_ever_shows_the_key(tier, request_of, lifeline):
    with OpenAIServer([Fail(401, "Incorrect API key provided: sk-secret-a")]) as server:
        stop = stopped(tier(server), request_of(), lifeline)
    assert "sk-secret-a" not in stop.detail
    assert "***" in stop.detail


def test_a_prompt_too_long_for_one_deployment_goes_to_the_next(tier, request_of, lifeline):
    long = Fail(400, "This model's maximum context length is 10 tokens.", code="context_length_exceeded")
    with OpenAIServer([long]) as first, OpenAIServer([Say("from b")]) as second:
        reply = tier([first, second]).chat(request_of(), lifeline)
        assert len(first.requests) == 1
    assert reply.message.content == "from b"


def test_an_unknown_provider_is_a_setting_to_change(tiers, request_of, lifeline):
    stop = stopped(tiers(fast={"models": ["nosuchprovider/x"]}).model("fast"), request_of(), lifeline)
    assert stop.reason is StopReason.CONFIGURATION
    assert "nosuchprovider/x" in stop.detail


def test_a_missing_key_is_told_before_anything_is_sent(tiers, request_of, lifeline):
    stop = stopped(tiers(fast={"models": ["openai/gpt-4o-mini"]}).model("fast"), request_of(), lifeline)
    assert stop.reason is StopReason.CONFIGURATION
    assert "OPENAI_API_KEY" in stop.detail


def test_the_environments_key_is_not_sent_to_a_strangers_address(tiers, request_of, lifeline, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-account")
    with OpenAIServer([Say("x")]) as server:
        tiers(fast={"models": ["openai/x"], "api_base": server.url}).model("fast").chat(request_of(), lifeline)
        assert "sk-of-the-account" not in str(server.requests[0].headers)


def test_nothing_is_printed_and_nothing_logged_to_the_terminal(tier, request_of, lifeline, capfd):
    with OpenAIServer([Fail(500), Fail(401), Say("x")]) as server:
        stopped(tier(server), request_of(), lifeline)
    assert capfd.readouterr() == ("", "")


# Limits of rate


def test_calls_above_the_rate_wait_and_can_be_cancelled(tier, request_of, within):
    lifeline = Lifeline()
    with OpenAIServer([Say("x")]) as server:
        model = tier(server, requests_per_minute=2)
        for _ in range(2):
            model.chat(request_of(), lifeline)
        threading.Timer(0.3, lifeline.stop, (StopReason.CANCELLED, "enough")).start()
        with within(3 * PROMISED + 0.3):
            assert stopped(model, request_of(), lifeline).reason is StopReason.CANCELLED
        assert len(server.requests) == 2


# Ends in mid-call


def test_cancel_ends_a_hanging_call_and_closes_its_socket(tier, request_of, within):
    lifeline = Lifeline()
    with OpenAIServer([Hang(60)]) as server:
        model = tier(server)
        canceller = threading.Thread(
            target=lambda: server.wait_for_requests(1, 60) and lifeline.stop(StopReason.CANCELLED, "by the user")
        )
        canceller.start()
        stop = stopped(model, request_of(), lifeline)
        ended = time.monotonic()
        canceller.join()
        assert ended - server.requests[0].at < 3 * PROMISED
        assert server.wait_for_sockets(0, 3 * PROMISED)
    assert (stop.reason, stop.detail) == (StopReason.CANCELLED, "by the user")


def test_a_deadline_ends_a_hanging_call(tier, request_of, lifeline, within):
    with OpenAIServer([Say("warm"), Hang(60)]) as server:
        model = tier(server)
        model.chat(request_of(), lifeline)
        dying = Lifeline(time.monotonic() + 0.3)
        with within(3 * PROMISED + 0.3):
            assert stopped(model, request_of(), dying).reason is StopReason.DEADLINE
        assert server.wait_for_sockets(0)


def test_cancel_ends_the_wait_for_a_retry(tier, request_of, within):
    lifeline = Lifeline()
    with OpenAIServer([Say("warm"), Fail(429, retry_after=20)]) as server:
        model = tier(server)
        model.chat(request_of(), lifeline)
        threading.Timer(0.5, lifeline.stop, (StopReason.CANCELLED, "enough")).start()
        with within(3 * PROMISED + 0.5):
            assert stopped(model, request_of(), lifeline).reason is StopReason.CANCELLED


def test_ctrl_c_ends_a_hanging_call_and_closes_its_socket(tier, request_of, lifeline, within):
    with OpenAIServer([Say("warm"), Hang(60)]) as server:
        model = tier(server)
        model.chat(request_of(), lifeline)
        presser = threading.Thread(
            target=lambda: (
                server.wait_for_requests(2, 60) and signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            )
        )
        presser.start()
        with within(3 * PROMISED), pytest.raises(KeyboardInterrupt):
            model.chat(request_of(), lifeline)
        presser.join()
        assert server.wait_for_sockets(0, 3 * PROMISED)


def test_cancel_reaches_other_providers_handlers_too(tiers, request_of):
    lifeline = Lifeline()
    with OpenAIServer([Hang(60)]) as server:
        address = server.url.removesuffix("/v1")
        model = tiers(fast={"models": ["anthropic/claude-haiku-5-5"], "api_base": address}).model("fast")
        canceller = threading.Thread(
            target=lambda: server.wait_for_requests(1, 60) and lifeline.stop(StopReason.CANCELLED, "")
        )
        canceller.start()
        assert stopped(model, request_of(), lifeline).reason is StopReason.CANCELLED
        canceller.join()
        assert server.requests[0].path == "/v1/messages"
        assert server.wait_for_sockets(0, 3 * PROMISED)


def test_a_run_that_is_over_makes_no_call(tier, request_of):
    lifeline = Lifeline()
    lifeline.stop(StopReason.CANCELLED, "before the start")
    with OpenAIServer([Say("x")]) as server:
        assert stopped(tier(server), request_of(), lifeline).reason is StopReason.CANCELLED
        assert server.requests == []


def test_eight_threads_share_a_tier(tier, request_of, lifeline):
    answers = []
    with OpenAIServer(lambda request: Say(f"re: {request.text}", after=0.05)) as server:
        model = tier(server)
        threads = [
            threading.Thread(
                target=lambda n=n: answers.append((n, model.chat(request_of(f"{n}"), lifeline).message.content))
            )
            for n in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [(n, f"re: {n}") for n in range(8)]


def test_closing_lets_go_of_every_connection(tiers, request_of, lifeline):
    with OpenAIServer([Say("x")]) as server:
        made = tiers(fast={"models": ["openai/x"], "api_base": server.url})
        made.model("fast").chat(request_of(), lifeline)
        made.close()
        assert server.wait_for_sockets(0)
        made.close()


# What a provider asks


def test_a_date_to_come_back_at_is_kept(tier, request_of, lifeline):
    from email.utils import formatdate

    def play(request):  # the date counts from the request: a tier may take long to get there
        later = formatdate(time.time() + 3, usegmt=True)
        return Fail(429, retry_after=later) if request.number == 1 else Say("now")

    with OpenAIServer(play) as server:
        tier(server).chat(request_of(), lifeline)
        first, second = server.requests
    assert second.at - first.at >= 1.5


@pytest.mark.parametrize("after", ["soon", "-5", "nan", "inf", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_time_that_makes_no_sense_or_is_over_holds_nobody_up(tier, request_of, lifeline, after, within):
    with OpenAIServer([Fail(429, retry_after=after), Say("now")]) as server, within(10):
        assert tier(server).chat(request_of(), lifeline).message.content == "now"


def test_a_deployment_that_asked_for_rest_gets_it_from_every_call(tier, request_of, lifeline):
    with OpenAIServer([Fail(429, retry_after=600), Say("never asked")]) as server:
        model = tier(server)
        for _ in range(2):
            assert stopped(model, request_of(), lifeline).reason is StopReason.MODEL
        assert len(server.requests) == 1


def test_a_used_up_quota_is_not_tried_again(tier, request_of, lifeline):
    empty = Fail(429, "You exceeded your current quota", code="insufficient_quota")
    with OpenAIServer([empty]) as first, OpenAIServer([Say("from b")]) as second:
        assert tier([first, second], retries=3).chat(request_of(), lifeline).message.content == "from b"
        assert len(first.requests) == 1


@pytest.mark.parametrize("name", ["anthropic/claude-haiku-5-5", "openai/gpt-6-luna"])
def test_prompt_caches_are_marked_where_the_provider_takes_marks(tiers, request_of, lifeline, name):
    with OpenAIServer([Fail(500)]) as server:
        base = server.url.removesuffix("/v1") if name.startswith("anthropic") else server.url
        made = tiers(fast={"models": [name], "api_base": base, "retries": 0})
        stopped(made.model("fast"), request_of(("system", "s"), "one"), lifeline)
        body = server.requests[0].body
    assert str(body).count("cache_control") == (2 if name.startswith("anthropic") else 0)
