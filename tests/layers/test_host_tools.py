"""Host tools are hostile too: whatever one does becomes an observation or ends the run, and never more than that."""

from __future__ import annotations

import threading
import time

import pytest
from smolagents import tool

from layers.delegation import delegate
from layers.host_tools import MAX_SHOWN
from layers.run import RunStopped, StopReason
from tests.support.bench import opened_run, workbench
from tests.support.scripted_model import ScriptedModel, calls, code, conversation, report

RELEASE = threading.Event()


@tool
def leaves(how: str) -> str:
    """Leave in an odd way.

    Args:
        how: the way.
    """
    raise {"exit": SystemExit(3), "ctrl-c": KeyboardInterrupt(), "generator": GeneratorExit()}[how]


@tool
def unspeakable() -> str:
    """Raise an error whose text can't be made."""

    class Mute(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    raise Mute


@tool
def strange(kind: str) -> object:
    """Give a strange value.

    Args:
        kind: which.
    """
    endless = []
    endless.append(endless)
    deep = []
    for _ in range(100_000):
        deep = [deep]
    return {
        "endless": endless,
        "deep": deep,
        "digits": 10**6000,
        "huge": "x" * 5_000_000,
        "half": "a\ud800",
        "object": threading.Lock(),
        "nan": float("nan"),
    }[kind]


@tool
def hangs() -> str:
    """Hang."""
    RELEASE.wait(60)
    return "late"


def asked_once(call, done="seen"):
    """A tool-calling layer that makes one call and ends; its observations are kept."""
    seen = []

    def play(request):
        if "tool-response" in str([m.role for m in request.messages]) or len(seen):
            seen.append(conversation(request))
            return calls(("final_answer", {"answer": {"answer": done}}))
        seen.append("")
        return calls(call)

    return play, seen


def run_layer(play, *tools, layer="perceptual", **fields):
    layers = {layer: {"tools": [made.name for made in tools], **fields}}
    with workbench(ScriptedModel(play), layers, tools) as bench, opened_run() as (run, spans):
        return delegate(run, bench, bench.layers[layer], "go"), spans.get_finished_spans()


@pytest.mark.parametrize("how", ["exit", "ctrl-c", "generator"])
@pytest.mark.parametrize("layer", ["perceptual", "conceptual"])
def test_a_tool_that_leaves_the_process_is_a_failed_call(how, layer):
    def play(request):
        if "ended with" in conversation(request):
            answer = {"answer": "it failed"}
            return calls(("final_answer", {"answer": answer})) if layer == "perceptual" else report("it failed")
        return calls(("leaves", {"how": how})) if layer == "perceptual" else code(f"leaves(how={how!r})")

    found, _ = run_layer(play, leaves, layer=layer)
    assert found.answer == "it failed"


def test_an_error_without_words_is_a_failed_call():
    play, seen = asked_once(("unspeakable", {}))
    assert run_layer(play, unspeakable)[0].answer == "seen"
    assert "Mute" in seen[-1]


@pytest.mark.parametrize("kind", ["endless", "deep", "digits", "huge", "half", "object", "nan"])
def test_a_strange_result_reaches_a_tool_calling_layer_as_bounded_text(kind):
    play, seen = asked_once(("strange", {"kind": kind}))
    found, spans = run_layer(play, strange)
    assert found.answer == "seen"
    assert 'should be "object"' not in seen[-1]
    assert len(seen[-1]) < MAX_SHOWN + 20_000
    seen[-1].encode()
    outputs = [str(s.attributes.get("output.value", "")) for s in spans if s.name == "execute_tool strange"]
    assert all(len(text) < MAX_SHOWN + 1_000 for text in outputs)


@pytest.mark.parametrize("kind", ["endless", "deep", "digits", "huge", "half", "object", "nan"])
def test_a_strange_result_does_not_end_a_layer_that_writes_code(kind):
    def play(request):
        if "Observation" in conversation(request) or len(request.messages) > 2:
            return report("seen")
        return code(f"strange(kind={kind!r})\nprint('done')")

    assert run_layer(play, strange, layer="conceptual")[0].answer == "seen"


def test_half_characters_in_arguments_do_not_reach_a_tool():
    heard = []

    @tool
    def hear(text: str) -> str:
        """Hear.

        Args:
            text: what.
        """
        heard.append(text)
        return text

    play, _ = asked_once(("hear", {"text": "a\ud800b"}))
    run_layer(play, hear)
    assert heard == ["a\ufffdb"]


def test_a_tool_that_takes_too_long_is_a_failed_call():
    RELEASE.clear()
    play, seen = asked_once(("hangs", {}))
    began = time.monotonic()
    try:
        assert run_layer(play, hangs, tool_timeout=0.3)[0].answer == "seen"
        assert time.monotonic() - began < 3 + 0.9
        assert "0.3 s" in seen[-1]
    finally:
        RELEASE.set()


@pytest.mark.parametrize("layer", ["perceptual", "conceptual"])
def test_a_stop_does_not_wait_for_a_tool_that_hangs(layer):
    RELEASE.clear()
    play = (lambda _: calls(("hangs", {}))) if layer == "perceptual" else (lambda _: code("hangs()"))
    try:
        with workbench(ScriptedModel(play), {layer: {"tools": ["hangs"]}}, (hangs,)) as bench, opened_run() as (run, _):
            threading.Timer(0.5, run.lifeline.stop, (StopReason.CANCELLED, "enough")).start()
            began = time.monotonic()
            with pytest.raises(RunStopped):
                delegate(run, bench, bench.layers[layer], "go")
            assert time.monotonic() - began < 3 + 0.5
    finally:
        RELEASE.set()


def test_a_tool_sees_the_span_of_its_call():
    from opentelemetry import trace

    seen = []

    @tool
    def look() -> str:
        """Look."""
        seen.append(trace.get_current_span().get_span_context().span_id)
        return ""

    play, _ = asked_once(("look", {}))
    _, spans = run_layer(play, look)
    assert seen == [s.context.span_id for s in spans if s.name == "execute_tool look"]


def test_a_tool_calling_model_may_give_its_report_as_arguments():
    evidence = [{"id": "m1", "quote": "forty-two it is"}]
    arguments = {"answer": "42", "evidence": evidence, "open_questions": [], "coverage": 1.0}
    found, _ = run_layer(lambda _: calls(("final_answer", arguments)))
    assert (found.answer, found.evidence[0].id, found.findings) == ("42", "m1", {"coverage": 1.0})


def test_arguments_may_be_json_text():
    @tool
    def double(number: int) -> int:
        """Double.

        Args:
            number: which.
        """
        return 2 * number

    play, seen = asked_once(("double", '{"number": 21}'))
    run_layer(play, double)
    assert "42" in seen[-1]


@pytest.mark.parametrize("arguments", ["{", "[" * 100_000, "[1]", "3", '"\\ud800"', "null"])
def test_arguments_that_are_no_object_are_a_failed_call(arguments):
    @tool
    def double(number: int) -> int:
        """Double.

        Args:
            number: which.
        """
        return 2 * number

    play, _ = asked_once(("double", arguments))
    assert run_layer(play, double)[0].answer == "seen"
