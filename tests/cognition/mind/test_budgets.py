"""What a run may spend: the provider's own counts, shares of layers, prices that are not known, what remains of it."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from cognition import Budget, BudgetExceeded, ConfigurationError
from cognition.settings import SettingsError
from tests.cognition.mind.test_failures import served_by
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.openai_characters import act, costly, is_closing, is_planning, never_finishing
from tests.support.openai_server import OpenAIServer, Say, ToolCall, Usage
from tests.support.scripted_model import code, layer_of, report

PRICES = {"input_usd_per_million": 1000.0, "output_usd_per_million": 1000.0}


def busy(bill):
    """Plans, delegates side by side, nests, runs out of steps, gives an answer that needs a repair."""

    def play(request):
        if is_planning(request):
            return Say("1. Go on.\n<end_plan>", usage=bill())
        if is_closing(request):
            return Say('{"answer": "closing"}', usage=bill())
        if "You are the repair layer" in request.text:
            return Say(calls=[ToolCall("final_answer", {"answer": {"answer": {"number": 4}}})], usage=bill())
        if "You are the consciousness layer" in request.text:
            both = "delegate([('conception', 'a'), ('abstraction', 'b'), ('conception', 'c')])"
            return act(request, "", {}, f"{both}\nfinal_answer({{'answer': 'four'}})", bill())
        if request.tools:
            return Say(calls=[ToolCall("recall", {"query": "anything"})], usage=bill())
        return act(request, "", {}, "print(1)", bill())

    return play


def test_usage_is_the_sum_of_the_providers_own_counts(make_mind):
    from pydantic import BaseModel

    class Number(BaseModel):
        number: int

    numbers, sent = itertools.count(1), []

    def bill():
        sent.append(Usage(prompt=100 + next(numbers), completion=next(numbers)))
        return sent[-1]

    layers = {name: {"planning_interval": 2} for name in ("perceptual", "conceptual", "consciousness")}
    with OpenAIServer(busy(bill)) as server, make_mind(layers=layers, **served_by(server.url, **PRICES)) as mind:
        thought = mind.think("How many?", output=Number)
    assert thought.answer.number == 4
    assert set(thought.usage) == {"perceptual", "consciousness", "conceptual", "abstract", "repair"}
    assert thought.total.model_calls == len(server.requests) == len(sent)
    assert thought.total.input_tokens == sum(usage.prompt for usage in sent)
    assert thought.total.output_tokens == sum(usage.completion for usage in sent)
    assert thought.cost_usd == pytest.approx(thought.total.tokens / 1000)
    assert not thought.total.estimated
    assert thought.total.overshoot_tokens == 0
    chats = [span for span in mind.trace(thought.run_id).spans() if span.kind == "chat"]
    assert len(chats) == len(sent)


def test_counts_that_the_provider_does_not_send_are_estimated_and_marked(make_mind):
    with OpenAIServer(never_finishing(usage=None)) as server, make_mind(**served_by(server.url)) as mind:
        thought = mind.think("Go on")
    assert thought.total.estimated
    assert thought.total.tokens > 0
    assert all(usage.estimated for usage in thought.usage.values())


def speechless(bill, *, finishes=True):
    """Writes no code, whatever layer asks; with tools the manager calls a layer first, then both report."""

    def play(request):
        if is_planning(request):
            return Say("1. Go on.\n<end_plan>", usage=bill())
        if not request.tools:
            return Say("Well, it depends.", usage=bill())
        if "conception" in request.tools and "Observation" not in request.text:
            return Say(calls=[ToolCall("conception", {"task": "look"})], usage=bill())
        if finishes or "conception" in request.tools:
            return Say(calls=[ToolCall("final_answer", {"answer": {"answer": "by tools"}})], usage=bill())
        return Say(calls=[ToolCall("recall", {"query": "anything"})], usage=bill())

    return play


@pytest.mark.parametrize("finishes", [True, False], ids=["finishing", "out of steps"])
def test_usage_is_the_sum_of_the_providers_own_counts_over_the_way_from_code_to_tool_calls(make_mind, finishes):
    numbers, sent = itertools.count(1), []

    def bill():
        sent.append(Usage(prompt=100 + next(numbers), completion=next(numbers)))
        return sent[-1]

    layers = {"conceptual": {"planning_interval": 2, "max_steps": 4}, "perceptual": {"enabled": False}}
    with (
        OpenAIServer(speechless(bill, finishes=finishes)) as server,
        make_mind(layers=layers, **served_by(server.url, **PRICES)) as mind,
    ):
        thinking = mind.start("How many?")
        fallen = [event.layer for event in thinking.events() if event.kind == "fallback"]
        thought = thinking.result()
        chats = [node for _, node in mind.trace(thought.run_id).root.walk() if node.kind == "chat"]
    assert thought.answer == "by tools"
    assert fallen == ["consciousness", "conceptual"]
    assert thought.steps == {"consciousness": 4, "conceptual": 3 if finishes else 4}
    assert thought.total.model_calls == len(server.requests) == len(sent) == len(chats)
    assert thought.total.input_tokens == sum(usage.prompt for usage in sent)
    assert thought.total.output_tokens == sum(usage.completion for usage in sent)
    assert thought.cost_usd == pytest.approx(thought.total.tokens / 1000)
    assert not thought.total.estimated
    assert thought.total.overshoot_tokens == 0


def test_what_an_endpoint_bills_that_sends_no_stream_when_asked_for_one_is_estimated_once(make_mind):
    def play(request):
        return replace(never_finishing(usage=Usage(prompt=100, completion=10))(request), streams=False)

    with OpenAIServer(play) as server, make_mind(**served_by(server.url, **PRICES)) as mind:
        first, second = mind.think("Go on"), mind.think("Go on")
        lost, *read = server.requests
    # the very first answer can't be read, as its form shows only then; later calls don't ask for streams
    assert (lost.body.get("stream"), {request.body.get("stream") for request in read}) == (True, {None})
    assert [usage.estimated for usage in (first.usage["perceptual"], second.total)] == [True, False]
    calls = first.total.model_calls + second.total.model_calls
    assert calls == len(read)
    assert second.total.tokens == second.total.model_calls * 110
    assert first.total.input_tokens > first.total.model_calls * 100 + len(lost.text) // 10
    assert first.cost_usd == pytest.approx(first.total.tokens / 1000)


def test_an_error_of_the_budget_has_the_ledger_and_the_best_answer_so_far(make_mind):
    def play(request):
        if layer_of(request) == "conceptual":
            return report("half of it")
        return code("print(conception(task='x'))")

    with make_mind(**scripted(only_manager(play))) as mind, pytest.raises(BudgetExceeded) as ended:
        mind.think("count", budget=Budget(steps=6, tokens=1_000_000))
    error = ended.value
    assert error.partial.answer == "half of it"
    assert error.ledger.budget.steps == error.ledger.total().steps == 6
    assert error.ledger.left().steps == 0
    assert error.ledger.left().tokens == 1_000_000 - error.ledger.total().tokens
    assert dict(error.ledger.usage()) == dict(error.partial.usage)


def test_a_budget_of_model_calls_holds(make_mind):
    with OpenAIServer(never_finishing()) as server, make_mind(**served_by(server.url)) as mind:
        with pytest.raises(BudgetExceeded, match="5 model calls"):
            mind.think("Go on", budget={"model_calls": 5})
    assert len(server.requests) == 5


@pytest.mark.parametrize("model", ["openai/scripted", "hosted_vllm/unheard-of"])
def test_a_budget_in_usd_without_a_price_starts_nothing_and_names_model_and_setting(make_mind, model):
    with OpenAIServer(never_finishing()) as server:
        tiers = {"served": {"models": [{"model": model, "api_base": server.url, "api_key": "sk-0123456789"}]}}
        with make_mind(tiers=tiers, tier="served") as mind:
            with pytest.raises(ConfigurationError, match=model) as refused:
                mind.think("What is it?", budget={"usd": 1.0})
            assert mind.think("What is it?", budget={"steps": 40}).cost_usd is None
            asked = len(server.requests)
    assert "input_usd_per_million" in str(refused.value)
    assert "[tiers.served]" in str(refused.value)
    assert refused.value.partial.total.model_calls == 0
    assert asked > 0


def test_what_a_provider_bills_above_the_reservation_ends_the_run_and_is_told(make_mind):
    with OpenAIServer(costly(40_000, never_finishing())) as server:
        with make_mind(**served_by(server.url, **PRICES, max_tokens=50)) as mind:
            with pytest.raises(BudgetExceeded, match="above the") as ended:
                mind.think("Spend", budget={"tokens": 1_000_000})
    assert len(server.requests) == 1
    assert ended.value.ledger.total().overshoot_tokens > 30_000
    assert ended.value.partial.total.output_tokens == 40_000


def test_a_layer_that_uses_its_share_up_ends_with_what_it_has_and_the_run_goes_on(make_mind):
    def play(request):
        if layer_of(request) == "conceptual":
            return code("print('found so far: Kestrel')")
        return code("r = conception(task='look')\nfinal_answer({'answer': r['answer'], 'why': r['open_questions']})")

    layers = {"conceptual": {"share": 0.2, "max_steps": 50}}
    with make_mind(layers=layers, **scripted(only_manager(play))) as mind:
        thinking = mind.start("look", budget=Budget(steps=20))
        thought, told = thinking.result(), list(thinking.events())
    assert "found so far: Kestrel" in thought.answer
    assert thought.steps["conceptual"] == 4
    spent = [event for event in told if event.kind == "share_spent"]
    assert [event.path for event in spent] == [("consciousness", "conceptual")]
    assert "[layers.conceptual]" in spent[0].summary


def test_a_share_of_tokens_ends_a_layer_that_calls_tools_too(make_mind):
    with OpenAIServer(never_finishing("all I have")) as server:
        layers = {"perceptual": {"share": 0.05, "max_steps": 100}}
        given = served_by(server.url, max_tokens=100)
        with make_mind(layers=layers, **given) as mind:
            thought = mind.think("Go on", budget={"tokens": 400_000})
    assert thought.answer == "all I have"
    assert 0 < thought.usage["perceptual"].tokens <= 0.05 * 400_000


def test_a_managers_share_is_the_runs(make_mind):
    layers = {"consciousness": {"share": 0.5}}
    with make_mind(layers=layers, **scripted(only_manager(lambda _: code("print(1)")))) as mind:
        with pytest.raises(BudgetExceeded, match="share"):
            mind.think("x", budget={"steps": 8})


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan"), "much"])
def test_a_share_that_makes_no_sense_is_refused(make_mind, share):
    with pytest.raises(SettingsError, match="share"):
        make_mind(layers={"conceptual": {"share": share}})
