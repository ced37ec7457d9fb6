"""Delegation with real agents, the real embedded sandbox and scripted models."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest
from smolagents import tool

from layers.delegation import delegate, delegate_all
from layers.errors import LayerError
from layers.run import Budget, EventKind, RunStopped, StopReason
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, calls, code, is_closing, layer_of, report


def test_a_layer_reports_what_its_code_found():
    model = ScriptedModel(lambda _: report("42", evidence=[{"id": "m1", "quote": "forty-two"}], sure=True))
    with workbench(model) as bench, opened_run() as (run, _):
        found = delegate(run, bench, bench.layers["conceptual"], "What is it?")
    assert found.answer == "42"
    assert found.evidence[0].id == "m1"
    assert found.findings == {"sure": True}


def test_the_manager_calls_layers_from_its_code_and_gets_their_reports():
    def play(request):
        if layer_of(request) == "conceptual":
            return report("blue", sky=True)
        return code("r = conception(task='what colour?')\nfinal_answer({'answer': r['answer'], 'sky': r['sky']})")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, spans):
        found = delegate(run, bench, bench.layers["consciousness"], "What colour is it?")
    assert found.answer == "blue"
    assert found.findings["sky"] is True
    names = [span.name for span in spans.get_finished_spans()]
    assert "invoke_agent conceptual" in names
    assert "execute_tool conception" in names


def test_every_span_of_a_delegation_is_in_one_tree():
    def play(request):
        if layer_of(request) == "consciousness":
            return code("final_answer({'answer': delegate([('conception', 'a'), ('abstraction', 'b')])[1]['answer']})")
        return report(layer_of(request))

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, spans):
        assert delegate(run, bench, bench.layers["consciousness"], "go").answer == "abstract"
    finished = spans.get_finished_spans()
    ids = {span.context.span_id for span in finished}
    roots = [span for span in finished if span.parent is None]
    assert [span.name for span in roots] == ["invoke_workflow think"]
    assert all(span.parent.span_id in ids for span in finished if span.parent)
    assert len({span.context.trace_id for span in finished}) == 1


def test_parallel_delegations_run_at_the_same_time_even_to_one_layer():
    together = threading.Barrier(3, timeout=20)

    def play(request):
        if layer_of(request) == "consciousness":
            return code("final_answer({'answer': len(delegate([('conception', str(n)) for n in range(3)]))})")
        together.wait()  # breaks, and so fails the run, unless all three layers are in their model call at once
        return report("done")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["consciousness"], "go").answer == 3


def test_steps_end_exactly_at_the_limit_with_one_counted_closing_call():
    def play(request):
        return '{"answer": "what I have"}' if is_closing(request) else code("print('again')")

    model = ScriptedModel(play)
    with workbench(model) as bench, opened_run() as (run, spans):
        found = delegate(run, bench, bench.layers["conceptual"], "never ends")
    assert found.answer == "what I have"
    usage = run.ledger.usage()["conceptual"]
    assert usage.steps == bench.layers["conceptual"].max_steps == 5
    assert usage.model_calls == len(model.requests) == 6
    assert [span.name for span in spans.get_finished_spans() if span.attributes.get("dionysus.step.closing")] == [
        "closing"
    ]


@pytest.mark.parametrize("layer", ["perceptual", "conceptual", "abstract", "metacognitive", "consciousness"])
def test_the_limit_holds_in_every_layer(layer):
    def play(request):
        if is_closing(request):
            return "enough"
        return calls(("nothing_like_it", {})) if layer == "perceptual" else code("print(1)")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers[layer], "never ends")
        assert run.ledger.usage()[layer].steps == bench.layers[layer].max_steps


def test_a_tool_calling_layer_gets_tool_results_as_json():
    @tool
    def population(city: str) -> dict:
        """Tell how many live in a city.

        Args:
            city: the city's name.
        """
        return {"city": city, "people": 3}

    def play(request):
        seen = "\n".join(str(message.content) for message in request.messages)
        if '{"city": "Ys", "people": 3}' in seen:
            return calls(("final_answer", {"answer": {"answer": "three"}}))
        return calls(("population", {"city": "Ys"}))

    layers = {"perceptual": {"tools": ["population"]}}
    with workbench(ScriptedModel(play), layers, (population,)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["perceptual"], "how many?").answer == "three"


def test_a_budget_of_steps_ends_the_whole_tree():
    def play(request):
        return code("conception(task='again')") if layer_of(request) == "consciousness" else code("print(1)")

    with workbench(ScriptedModel(play)) as bench, opened_run(Budget(steps=3)) as (run, _):
        with pytest.raises(RunStopped) as stopped:
            delegate(run, bench, bench.layers["consciousness"], "go")
        assert stopped.value.reason is StopReason.BUDGET
        assert run.ledger.total().steps == 3


def test_an_unknown_layer_in_delegate_is_an_error_the_model_can_mend():
    def play(request):
        if layer_of(request) != "consciousness":
            return report("fine")
        if "There is no layer" in str(request.messages[-1].content):
            return code("final_answer({'answer': delegate([('conception', 'a')])[0]['answer']})")
        return code("delegate([('conceptoin', 'a')])")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["consciousness"], "go").answer == "fine"


@pytest.mark.parametrize(
    "order", ["text", ("conception",), {"layer": 3, "task": "x"}, ("conception", "t", "no object")]
)
def test_an_order_that_cannot_be_read_starts_nothing(order):
    model = ScriptedModel(lambda _: report("never"))
    with workbench(model) as bench, opened_run() as (run, _):
        with run.child(bench.layers["consciousness"]) as node, pytest.raises(LayerError):
            delegate_all(node, bench, [("conception", "fine"), order])
    assert model.requests == []


def test_a_layer_outside_the_team_cannot_be_called():
    model = ScriptedModel(lambda _: report("never"))
    layers = {"consciousness": {"team": ["perceptual"], "tools": ()}}
    with workbench(model, layers) as bench, opened_run() as (run, _):
        with run.child(bench.layers["consciousness"]) as node, pytest.raises(LayerError, match="perception"):
            delegate_all(node, bench, [("conception", "x")])


def test_a_failing_tool_is_an_observation_not_the_end():
    @tool
    def broken(name: str) -> str:
        """Always fails.

        Args:
            name: anything.
        """
        raise ValueError(f"no such thing as {name}")

    def play(request):
        if "no such thing as x" in str(request.messages[-1].content):
            return report("seen")
        return code("broken(name='x')")

    layers = {"conceptual": {"tools": ["broken"]}}
    with workbench(ScriptedModel(play), layers, (broken,)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["conceptual"], "go").answer == "seen"


def test_events_tell_the_layers_in_order_with_their_paths():
    def play(request):
        return report("x") if layer_of(request) == "conceptual" else code("final_answer(conception(task='t'))")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers["consciousness"], "go")
        run.events.close()
        told = list(run.events)
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    started = [event.path for event in told if event.kind is EventKind.LAYER_STARTED]
    assert started == [("consciousness",), ("consciousness", "conceptual")]


GREEDY = "try:\n    {call}\nexcept:\n    pass\nfinal_answer({{'answer': 'eaten'}})"


class Stopper:
    """Stops the run from inside one of its parts."""

    def __init__(self, reason):
        self.run, self.reason = None, reason

    def __call__(self):
        self.end()
        self.run.lifeline.check()

    def end(self):
        self.run.lifeline.stop(self.reason, "enough")


def stop_in_tool(stopper):
    @tool
    def trap() -> str:
        """Stop the run."""
        stopper()
        return "went on"

    return lambda _: code(GREEDY.format(call="trap()")), (trap,), "conceptual"


def stop_in_model(stopper):
    def play(request):
        stopper()
        return report("went on")

    return play, (), "conceptual"


def stop_in_closing_call(stopper):
    def play(request):
        if is_closing(request):
            stopper()
        return code("print(1)")

    return play, (), "conceptual"


def stop_in_delegate(stopper):
    def play(request):
        if layer_of(request) == "conceptual":
            stopper()
        return code(GREEDY.format(call="conception(task='x')"))

    return play, (), "consciousness"


def stop_in_parallel_delegate(stopper):
    def play(request):
        if layer_of(request) == "conceptual":
            stopper()
        if layer_of(request) == "abstract":
            return code("while True:\n    pass")
        return code(GREEDY.format(call="delegate([('conception', 'x'), ('abstraction', 'y')])"))

    return play, (), "consciousness"


def stop_in_parallel_tool(stopper):
    @tool
    def trap() -> str:
        """Stop the run."""
        stopper()
        return "went on"

    @tool
    def calm() -> str:
        """Do nothing."""
        return "calm"

    return lambda _: calls(("calm", {}), ("trap", {})), (trap, calm), "perceptual"


def stop_in_executor(stopper):
    def play(_):
        threading.Timer(0.3, stopper.end).start()
        return code(GREEDY.format(call="\n    while True: pass").replace("    \n", ""))

    return play, (), "conceptual"


@pytest.mark.parametrize(
    "reason",
    [
        StopReason.BUDGET,
        StopReason.DEADLINE,
        StopReason.CANCELLED,
        StopReason.MODEL,
        StopReason.MEMORY,
        StopReason.SANDBOX,
    ],
)
@pytest.mark.parametrize(
    "place",
    [
        stop_in_tool,
        stop_in_model,
        stop_in_closing_call,
        stop_in_delegate,
        stop_in_parallel_delegate,
        stop_in_parallel_tool,
        stop_in_executor,
    ],
)
def test_a_stop_can_not_be_eaten(place, reason):
    stopper = Stopper(reason)
    play, tools, layer = place(stopper)
    layers = {layer: {"tools": [made.name for made in tools]}}
    before = set(threading.enumerate())
    with workbench(ScriptedModel(play), layers, tools) as bench, opened_run() as (run, _):
        stopper.run = run
        began = time.monotonic()
        with pytest.raises(RunStopped) as stopped:
            delegate(run, bench, bench.layers[layer], "go")
        assert time.monotonic() - began < 3 + 0.3
        assert stopped.value.reason is reason
        assert run.trail.reports == []  # it became nobody's answer
    with suppress(RuntimeError):
        for thread in set(threading.enumerate()) - before:
            thread.join(3)
    assert {thread.name for thread in set(threading.enumerate()) - before} == set()
