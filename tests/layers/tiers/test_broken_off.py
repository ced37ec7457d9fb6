"""Calls that give no whole answer are paid for all the same: what they used is estimated, marked, and on the books."""

from __future__ import annotations

import itertools
import threading
from contextlib import contextmanager

import pytest
from smolagents.models import ChatMessage, MessageRole, Model

from layers.run import Budget, RunStopped, StopReason
from layers.spec import LayerSpec
from layers.tiers.model import TierModel
from layers.tiers.pricing import listed_price
from layers.tiers.smolagents_model import SmolagentsModel
from observability import conventions
from tests.support.bench import opened_run
from tests.support.openai_server import Drop, Fail, Hang, OpenAIServer, Say, Trickle, Usage

LINE = "eight words of an answer, and no more\n"
PROMPT = "word " * 400
PRICED = {"input_usd_per_million": 1.0, "output_usd_per_million": 10.0}


@pytest.fixture
def asked():
    """Return a function that has one agent ask a model, and yields the run; the call is stopped when `stop` says so."""

    @contextmanager
    def ask(model, heard=1, stop=lambda: True, budget=None):
        with opened_run(budget or Budget(tokens=1_000_000)) as (run, spans):
            enough, pieces = threading.Event(), []

            def hear(piece):
                pieces.append(piece)
                if len(pieces) >= heard:
                    enough.set()

            def end():
                stop() if heard == 0 else enough.wait(60)
                run.lifeline.stop(StopReason.CANCELLED, "enough")

            stopper = threading.Thread(target=end)
            stopper.start()
            with run.child(LayerSpec(name="conceptual")) as node:
                with pytest.raises(RunStopped, match="enough"):
                    TierModel(node, model, hear).generate([ChatMessage(MessageRole.USER, PROMPT)])
            stopper.join(60)
            yield run, next(span for span in spans.get_finished_spans() if span.name.startswith("chat"))

    return ask


def test_a_stream_broken_off_costs_its_prompt_and_what_had_come(tier, asked):
    pauses = itertools.chain([0.05] * 5, itertools.repeat(300))  # it falls silent after the sixth line
    script = [Say(LINE * 100, chunk_pause=lambda: next(pauses))]
    with OpenAIServer(script) as server, asked(tier(server, **PRICED), heard=5) as (run, span):
        total = run.ledger.total()
    assert total.model_calls == 1
    assert total.estimated
    assert 400 <= total.input_tokens <= 800
    assert 5 * 5 <= total.output_tokens <= 6 * 16
    assert total.usd == pytest.approx(total.input_tokens * 1e-6 + total.output_tokens * 1e-5)
    held = run.ledger.committed()
    assert (held.tokens, held.model_calls) == (total.tokens, 1)  # the rest of the reservation is free again
    assert span.attributes[conventions.LLM_TOKENS_TOTAL] == total.tokens
    assert span.attributes[conventions.COST] == pytest.approx(total.usd)


@pytest.mark.parametrize(("silence", "streams"), [(Hang(60), True), (Trickle(60), True), (Hang(60), False)])
def test_a_call_broken_off_before_its_first_word_costs_its_prompt(tier, asked, silence, streams):
    with OpenAIServer([silence]) as server:
        model = tier(server, stream=streams)
        with asked(model, heard=0, stop=lambda: server.wait_for_requests(1, 60)) as (run, _):
            total = run.ledger.total()
    assert 400 <= total.input_tokens <= 800
    assert total.output_tokens == 0
    assert total.estimated
    assert total.usd is None


def test_a_call_that_was_never_sent_costs_nothing(tier, asked, request_of, lifeline):
    with OpenAIServer([Say("one")]) as server:
        model = tier(server, requests_per_minute=1)
        model.chat(request_of(), lifeline)
        with asked(model, heard=0, stop=lambda: threading.Event().wait(0.5)) as (run, _):
            assert run.ledger.total().model_calls == 0
            assert run.ledger.committed().tokens == 0


def spoken(model, run):
    with run.child(LayerSpec(name="conceptual")) as node:
        return TierModel(node, model, lambda _: None).generate([ChatMessage(MessageRole.USER, PROMPT)])


def test_a_deployment_that_breaks_off_in_mid_answer_is_paid_beside_the_one_that_gives_it(tier):
    half = Say(LINE * 3, usage=None, breaks_off=True)
    with OpenAIServer([half]) as first, OpenAIServer([Say("whole", usage=Usage(500, 2))]) as second:
        with opened_run() as (run, _):
            assert spoken(tier([first, second]), run).content == "whole"
            total = run.ledger.total()
    assert total.model_calls == 1
    assert 500 + 400 <= total.input_tokens <= 500 + 800
    assert 2 + 3 * 5 <= total.output_tokens <= 2 + 3 * 16
    assert total.estimated


@pytest.mark.parametrize("failure", [Fail(500), Fail(429), Drop()])
def test_a_deployment_that_fails_before_its_first_word_is_not_paid(tier, failure):
    with OpenAIServer([failure]) as first, OpenAIServer([Say("whole", usage=Usage(500, 2))]) as second:
        with opened_run() as (run, _):
            spoken(tier([first, second]), run)
            total = run.ledger.total()
    assert (total.input_tokens, total.output_tokens, total.estimated) == (500, 2, False)


def test_an_outage_after_half_an_answer_is_paid(tier):
    with OpenAIServer([Say(LINE * 3, usage=None, breaks_off=True)]) as server, opened_run() as (run, _):
        with pytest.raises(RunStopped) as ended:
            spoken(tier(server, retries=0), run)
        assert ended.value.reason is StopReason.MODEL
        assert run.ledger.total().output_tokens >= 3 * 5


def test_an_abandoned_model_object_is_taken_to_have_read_its_prompt(asked):
    release, begun = threading.Event(), threading.Event()

    class Stuck(Model):
        def generate(self, messages, **_):
            begun.set()
            release.wait(30)

    model = SmolagentsModel("own", Stuck(model_id="stuck"))
    with asked(model, heard=0, stop=lambda: begun.wait(30)) as (run, _):
        total = run.ledger.total()
    release.set()
    assert 400 <= total.input_tokens <= 800
    assert total.usd is None


# What a provider read from its cache costs what the price map says of that


@pytest.mark.parametrize("streams", [True, False])
def test_cached_tokens_cost_the_listed_price_of_cached_ones(tiers, request_of, lifeline, streams):
    price = listed_price("openai/gpt-4o-mini")
    usage = Usage(prompt=10_000, completion=100, cached=8_000)
    with OpenAIServer([Say("seen before", usage=usage)]) as server:
        made = tiers(fast={"models": ["openai/gpt-4o-mini"], "api_base": server.url})
        request = request_of(on_token=(lambda _: None) if streams else None)
        reply = made.model("fast").chat(request, lifeline)
    assert reply.cached_tokens == 8_000
    assert reply.usd == pytest.approx(2_000 * price.input + 8_000 * price.input / 2 + 100 * price.output)


def test_a_configured_price_is_charged_in_full_for_cached_tokens_too(tier, request_of, lifeline):
    usage = Usage(prompt=10_000, completion=100, cached=8_000)
    with OpenAIServer([Say("seen before", usage=usage)]) as server:
        reply = tier(server, **PRICED).chat(request_of(), lifeline)
    assert reply.usd == pytest.approx(10_000 * 1e-6 + 100 * 1e-5)
