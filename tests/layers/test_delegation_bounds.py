"""What bounds delegation: depth, number, one stop for all, and planning calls that count."""

from __future__ import annotations

import time

import pytest

from layers import delegation
from layers.delegation import MAX_DEPTH, MAX_ORDERS, delegate
from layers.run import Budget, EventKind, RunStopped, StopReason
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, calls, code, conversation, is_closing, layer_of, report


def test_a_layer_that_calls_itself_ends_at_a_fixed_depth():
    def play(request):
        if "deep" in conversation(request).partition("<code>")[2] or "nested" in conversation(request):
            return report("bottom")
        return code("r = conception(task='again')\nfinal_answer({'answer': r['answer']})")

    layers = {"conceptual": {"team": ["conceptual"], "tools": []}}
    with workbench(ScriptedModel(play), layers) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["conceptual"], "go").answer == "bottom"
        run.events.close()
        depths = [len(event.path) for event in run.events if event.kind is EventKind.LAYER_STARTED]
    assert max(depths) == MAX_DEPTH


def test_too_many_orders_at_once_start_nothing():
    def play(request):
        if layer_of(request) == "conceptual":
            return report("started")
        if "at most" in conversation(request).rpartition("Observation")[2] or len(request.messages) > 2:
            return report("refused")
        return code(f"delegate([('conception', 'x')] * {MAX_ORDERS + 1})")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["consciousness"], "go").answer == "refused"
        assert "conceptual" not in run.ledger.usage()


def test_a_child_that_uses_the_budget_up_ends_its_siblings_at_once():
    def play(request):
        if layer_of(request) == "consciousness":
            return code("delegate([('conception', 'x'), ('abstraction', 'y')])")
        if layer_of(request) == "abstract":
            return code("while True:\n    pass")
        time.sleep(0.3)
        return code("print(1)")

    with workbench(ScriptedModel(play)) as bench, opened_run(Budget(steps=4)) as (run, _):
        began = time.monotonic()
        with pytest.raises(RunStopped) as stopped:
            delegate(run, bench, bench.layers["consciousness"], "go")
        assert time.monotonic() - began < 3 + 1
    assert stopped.value.reason is StopReason.BUDGET


def test_a_child_that_fails_leaves_its_siblings_reports_standing():
    class Failing(ScriptedModel):
        def chat(self, request, lifeline):
            reply = super().chat(request, lifeline)
            if layer_of(request) == "abstract":
                reply.message.content = 3  # no text: smolagents fails on it, outside of any step's error
            return reply

    def play(request):
        if layer_of(request) != "consciousness":
            return report("fine")
        return code(
            "a, b = delegate([('conception', 'x'), ('abstraction', 'y')])\n"
            "final_answer({'answer': [a['answer'], b['error']]})"
        )

    with workbench(Failing(play)) as bench, opened_run() as (run, _):
        first, error = delegate(run, bench, bench.layers["consciousness"], "go").answer
    assert first == "fine"
    assert "abstract" in error


@pytest.mark.parametrize("layer", ["perceptual", "conceptual", "abstract", "metacognitive", "consciousness"])
def test_limits_hold_with_planning_and_its_calls_are_counted(layer):
    def play(request):
        text = conversation(request)
        if is_closing(request):
            return "enough"
        if "Write a short plan" in text or "Write the plan anew" in text:
            return "1. look\n<end_plan>"
        return calls(("nothing_like_it", {})) if layer == "perceptual" else code("print(1)")

    model = ScriptedModel(play)
    layers = {layer: {"planning_interval": 2, "tools": []}}
    with workbench(model, layers) as bench, opened_run() as (run, spans):
        steps = bench.layers[layer].max_steps
        assert delegate(run, bench, bench.layers[layer], "never ends").answer == "enough"
        run.events.close()
        plans = -(-steps // 2)
        usage = run.ledger.usage()[layer]
        assert (usage.steps, usage.model_calls) == (steps, steps + plans + 1) == (steps, len(model.requests))
        finished = spans.get_finished_spans()
        planned = [span for span in finished if span.name == f"plan {layer}"]
        assert len(planned) == plans
        assert all("look" in span.attributes["output.value"] for span in planned)
        chats = [span for span in finished if span.name.startswith("chat ")]
        assert len([chat for chat in chats if chat.parent.span_id in {p.context.span_id for p in planned}]) == plans
        assert len([event for event in run.events if event.kind is EventKind.PLAN]) == plans


def test_a_stop_in_a_planning_call_can_not_be_eaten():
    def play(_):
        run.lifeline.stop(StopReason.CANCELLED, "enough")
        run.lifeline.check()

    with (
        workbench(ScriptedModel(play), {"conceptual": {"planning_interval": 1, "tools": []}}) as bench,
        opened_run() as (run, _),
        pytest.raises(RunStopped),
    ):
        delegate(run, bench, bench.layers["conceptual"], "go")


def test_a_plan_is_made_with_the_tools_in_view():
    asked = []

    def play(request):
        if "Write a short plan" in conversation(request):
            asked.append(conversation(request))
            return "1. ask\n<end_plan>"
        return report("x")

    with workbench(ScriptedModel(play), {"consciousness": {"planning_interval": 3, "tools": []}}) as bench:
        with opened_run() as (run, _):
            delegate(run, bench, bench.layers["consciousness"], "go")
    assert "perception" in asked[0]


def test_no_step_and_no_plan_keeps_its_prompt(monkeypatch):
    made = []
    monkeypatch.setattr("layers.delegation._run", _and_keep(delegation._run, made))

    def play(request):
        return "1. go on\n<end_plan>" if "plan" in conversation(request)[-800:] else code("print(1)")

    layers = {"conceptual": {"planning_interval": 2, "max_steps": 5, "tools": []}}
    with workbench(ScriptedModel(play), layers) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers["conceptual"], "go")
    kinds = {type(step).__name__ for step in made[0].memory.steps}
    assert kinds >= {"ActionStep", "PlanningStep"}
    assert not any(getattr(step, "model_input_messages", None) for step in made[0].memory.steps)


def _and_keep(run, made):
    def kept(node, bench, agent, *rest):
        made.append(agent)
        return run(node, bench, agent, *rest)

    return kept


def test_a_step_that_fails_is_told_as_ended():
    def play(request):
        return report("x") if len(request.messages) > 2 else code("1 / 0")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers["conceptual"], "go")
        run.events.close()
        kinds = [event.kind for event in run.events]
    assert kinds.count(EventKind.STEP_STARTED) == kinds.count(EventKind.STEP_ENDED) == 2


def test_an_error_in_counting_tokens_is_no_answer():
    class Miscounting(ScriptedModel):
        def bound(self, request):
            if is_closing(request):
                raise ValueError("can't count")
            return super().bound(request)

    model = Miscounting(lambda _: code("print(1)"))
    with workbench(model) as bench, opened_run() as (run, _), pytest.raises(RunStopped, match="can't count") as stopped:
        delegate(run, bench, bench.layers["conceptual"], "go")
    assert stopped.value.reason is StopReason.MODEL
