"""Endpoints that send us elsewhere, answer without end, or pack gigabytes into kilobytes."""

import asyncio
import gzip
import json
import resource
import zlib
from collections import Counter

import httpx
import pytest

from dionysus_mcp.models.guards import guarded, is_guarded
from layers.run import RunStopped, StopReason
from layers.tiers.gateway import Gateway
from tests.support.openai_server import Flood, OpenAIServer, Raw, Request, Say, refusing_port

_MEGABYTE = 1_000_000


def outage(model, request, lifeline):
    with pytest.raises(RunStopped) as caught:
        model.chat(request, lifeline)
    assert caught.value.reason is StopReason.MODEL
    return caught.value.detail


def completion(text):
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "finish_reason": "stop", "message": message}
    usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    )


def grown_by():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_neither_prompt_nor_key_follow_a_redirect_to_another_host(tier, request_of, lifeline, status):
    with OpenAIServer([Say("stolen")]) as thief:
        away = thief.url.replace("127.0.0.1", "localhost") + "/chat/completions"
        with OpenAIServer([Raw(status, headers={"Location": away})]) as server:
            detail = outage(tier(server), request_of("a secret plan"), lifeline)
        assert thief.requests == []
    assert "http://localhost:" in detail
    assert "set it as api_base" in detail
    assert len(server.requests) == 1  # it would say the same again


def test_a_key_in_a_header_of_its_own_does_not_follow_either(tiers, request_of, lifeline):
    with OpenAIServer([Say("stolen")]) as thief:
        away = thief.url.replace("127.0.0.1", "localhost")
        with OpenAIServer([Raw(307, headers={"Location": away})]) as server:
            settings = {"models": ["anthropic/claude-x"], "api_base": server.url, "api_key": "sk-of-anthropic"}
            outage(tiers(fast=settings).model("fast"), request_of("x"), lifeline)
        assert server.requests[0].headers["x-api-key"] == "sk-of-anthropic"
        assert thief.requests == []


def test_another_port_of_the_same_host_is_another_place(tier, request_of, lifeline):
    with OpenAIServer([Say("stolen")]) as other, OpenAIServer([Raw(307, headers={"Location": other.url})]) as server:
        outage(tier(server), request_of("x"), lifeline)
        assert other.requests == []


def test_a_redirect_within_the_same_place_is_followed(tier, request_of, lifeline):
    def play(request: Request):
        if "moved" in request.path:
            return Say("from the new path")
        return Raw(308, headers={"Location": "/moved/chat/completions"})

    with OpenAIServer(play) as server:
        assert tier(server).chat(request_of("x"), lifeline).message.content == "from the new path"


@pytest.mark.parametrize("status", [301, 302])
def test_a_redirect_that_would_lose_the_prompt_is_told_with_its_target(tier, request_of, lifeline, status):
    with OpenAIServer([Raw(status, headers={"Location": "/new/chat/completions/"})]) as server:
        detail = outage(tier(server), request_of("x"), lifeline)
        assert "/new/chat/completions/, which gets neither" in detail
        assert len(server.requests) == 1


def test_an_answer_in_one_piece_is_not_read_for_ever(tier, request_of, lifeline):
    with OpenAIServer([Flood({"content": "x" * 50_000})]) as server:
        before = grown_by()
        detail = outage(tier(server, timeout=300), request_of("x"), lifeline)
        assert server.wait_for_sockets(0)
    assert "goes on without end (more than 12,192,000 bytes)" in detail
    assert grown_by() - before < 100


def test_an_error_of_megabytes_is_not_read_to_its_end(tier, request_of, lifeline):
    with OpenAIServer([Raw(500, b"a" * 20 * _MEGABYTE)]) as server:
        assert "more than 200,000 bytes" in outage(tier(server), request_of("x"), lifeline)


@pytest.mark.parametrize("packing", ["gzip", "deflate", "GZIP"])
def test_a_packed_answer_is_unpacked_no_further_than_an_answer_may_be_long(tier, request_of, lifeline, packing):
    form = zlib.MAX_WBITS | 16 if packing.lower() == "gzip" else zlib.MAX_WBITS
    packer = zlib.compressobj(9, zlib.DEFLATED, form)
    body = b"".join(packer.compress(b" " * _MEGABYTE) for _ in range(200)) + packer.flush()
    assert len(body) < _MEGABYTE
    with OpenAIServer([Raw(200, body, {"Content-Encoding": packing})]) as server:
        before = grown_by()
        assert "more than 12,192,000 bytes" in outage(tier(server), request_of("x"), lifeline)
    assert grown_by() - before < 100


def test_plain_answers_are_asked_for_and_packed_ones_are_read_all_the_same(tier, request_of, lifeline):
    body = gzip.compress(completion("packed").encode())
    with OpenAIServer([Raw(200, body, {"Content-Encoding": "gzip"})]) as server:
        assert tier(server).chat(request_of("x"), lifeline).message.content == "packed"
        assert server.requests[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip"])
def test_an_answer_packed_as_nobody_asked_is_refused_by_name(tier, request_of, lifeline, packing):
    with OpenAIServer([Raw(200, b"\x01\x02", {"Content-Encoding": packing})]) as server:
        assert f"packed as {packing!r}" in outage(tier(server), request_of("x"), lifeline)


def test_a_body_that_is_not_packed_as_it_says_is_told(tier, request_of, lifeline):
    with OpenAIServer([Raw(200, b"plain", {"Content-Encoding": "gzip"})]) as server:
        assert "can't be unpacked" in outage(tier(server), request_of("x"), lifeline)


@pytest.mark.parametrize(
    ("delta", "read"),
    [
        ({"reasoning_content": "hm "}, "2,040 pieces"),
        ({"content": "", "padding": "x" * 20_000}, "4,010,000 bytes"),  # LiteLLM passes no empty piece on
        ({"padding": "x" * 20_000}, "4,010,000 bytes"),
    ],
    ids=["thinking", "empty", "nothing"],
)
def test_a_stream_without_end_is_left_long_before_its_time_is_up(tier, request_of, lifeline, delta, read):
    with OpenAIServer([Flood(delta)]) as server:
        request = request_of("x", on_token=lambda _: None)
        detail = outage(tier(server, max_tokens=10, timeout=300), request, lifeline)
        assert server.wait_for_sockets(0)
    assert f"goes on without end (more than {read})" in detail
    assert len(server.requests) == 1


def test_what_an_endless_stream_said_is_billed(tier, request_of, lifeline):
    with OpenAIServer([Flood({"reasoning_content": "thinking "})]) as server:
        request = request_of("x", on_token=lambda _: None)
        outage(tier(server, max_tokens=10, timeout=300), request, lifeline)
    assert request.meter.usage().output_tokens > 2000


def test_a_strangers_clients_stay_as_they_are():
    gateway = Gateway()
    litellm = gateway.warm().result(120)
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    async def hooks():
        strangers = AsyncHTTPHandler()
        with guarded(100):
            ours = AsyncHTTPHandler()
        counted = Counter(
            {
                "stranger": len(strangers.client.event_hooks["response"]),
                "ours": len(ours.client.event_hooks["response"]),
            }
        )
        await strangers.close()
        await ours.close()
        return counted

    assert litellm is not None
    counted = asyncio.run(hooks())
    assert counted["ours"] == counted["stranger"] + 1


def test_a_programs_own_client_is_guarded_in_guarded_calls_alone_and_stays_open(
    tier, request_of, lifeline, loop, monkeypatch
):
    litellm = Gateway().warm().result(120)
    own = httpx.AsyncClient(follow_redirects=True)
    monkeypatch.setattr(litellm, "aclient_session", own)
    with OpenAIServer([Say("away")]) as other:
        away = other.url + "/chat/completions"
        with OpenAIServer([Raw(307, headers={"Location": away}), Raw(307, headers={"Location": away})]) as server:
            assert "set it as api_base" in outage(tier(server), request_of("x"), lifeline)
            assert other.requests == []
            body = {"model": "m", "messages": [{"role": "user", "content": "mine"}]}
            said = loop.submit(own.post(server.url + "/chat/completions", json=body)).result(30)
            assert said.status_code == 200
    with OpenAIServer([Say("one")]) as server:
        assert tier(server).chat(request_of("x"), lifeline).message.content == "one"
    assert [len(hooks) for hooks in own.event_hooks.values()] == [1, 1]
    gateway = Gateway()
    gateway.warm().result(120)
    loop.submit(gateway.close()).result(30)
    assert not own.is_closed
    loop.submit(own.aclose()).result(30)


def test_a_client_that_was_left_at_our_loops_address_is_not_used(tier, request_of, lifeline, loop):
    litellm = Gateway().warm().result(120)

    def play(request):
        return Say("theirs") if request.texts[-1] == "theirs" else Raw(307, headers={"Location": thief.url})

    with OpenAIServer([Say("stolen")]) as thief, OpenAIServer(play) as server:
        call = {"model": "openai/model-a", "api_base": server.url, "api_key": "sk-secret-a", "timeout": 60.0}
        asked = litellm.acompletion(**call, max_retries=0, messages=[{"role": "user", "content": "theirs"}])
        loop.submit(asked).result(60)
        left = [each for each in litellm.in_memory_llm_clients_cache.cache_dict.values() if not is_guarded(each)]
        assert "set it as api_base" in outage(tier(server, timeout=60), request_of("x"), lifeline)
        assert thief.requests == []
    for each in left:
        loop.submit(each.close()).result(30)


def test_whatever_keeps_a_call_from_its_endpoint_is_named(tier, request_of, lifeline):
    with refusing_port() as address:
        refused = outage(tier(address, retries=0), request_of("x"), lifeline)
    unknown = outage(tier("http://no-such-host.invalid/v1", retries=0), request_of("x"), lifeline)
    assert "connection refused" in refused
    assert "its address is not known" in unknown
    assert httpx.__name__ not in refused + unknown
