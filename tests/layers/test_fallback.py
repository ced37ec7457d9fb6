"""A layer whose model writes no code that parses goes on by calling tools natively."""

from __future__ import annotations

from layers.delegation import delegate
from layers.run import EventKind
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, calls, code, conversation, report

CHATTY = "Well, let me think about that."


def native(request):
    return bool(request.tools)


def test_two_steps_without_code_and_the_layer_goes_on_with_tool_calls():
    def play(request):
        return calls(("final_answer", {"answer": {"answer": "by tools"}})) if native(request) else CHATTY

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, spans):
        assert delegate(run, bench, bench.layers["conceptual"], "go").answer == "by tools"
        assert run.ledger.usage()["conceptual"].steps == 3
        run.events.close()
        told = [event for event in run.events if event.kind is EventKind.FALLBACK]
    assert [event.layer for event in told] == ["conceptual"]
    steps = [span.attributes["dionysus.step.number"] for span in spans.get_finished_spans() if span.name[:4] == "step"]
    assert steps == [1, 2, 3]
    layer = next(span for span in spans.get_finished_spans() if span.name == "invoke_agent conceptual")
    assert layer.attributes["dionysus.fallback"] == "tool_calling"


def test_what_was_found_before_is_still_in_view():
    def play(request):
        if native(request):
            assert "the found words" in conversation(request)
            return calls(("final_answer", {"answer": {"answer": "kept"}}))
        return CHATTY if "the found words" in conversation(request) else code("print('the found' + ' words')")

    with workbench(ScriptedModel(play)) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["conceptual"], "go").answer == "kept"


def test_steps_made_before_count_against_the_limit():
    def play(request):
        return calls(("nothing_like_it", {})) if native(request) else CHATTY

    model = ScriptedModel(play)
    with workbench(model) as bench, opened_run() as (run, _):
        delegate(run, bench, bench.layers["conceptual"], "go")
        usage = run.ledger.usage()["conceptual"]
    assert (usage.steps, usage.model_calls) == (5, 6)


def test_one_slip_is_forgiven():
    answers = iter([CHATTY, code("print(1)"), CHATTY, report("by code")])
    with workbench(ScriptedModel(lambda _: next(answers))) as bench, opened_run() as (run, _):
        assert delegate(run, bench, bench.layers["conceptual"], "go").answer == "by code"
