"""What a run tells while it thinks: the whole tree in order, words as they come, what is left; and who listens."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from cognition import BudgetExceeded, Cancelled, StopReason
from tests.cognition.mind.test_failures import served_by
from tests.cognition.mind.test_thinking import QUESTION, only_manager, scripted
from tests.support.openai_characters import obedient
from tests.support.openai_server import OpenAIServer
from tests.support.scripted_model import ScriptedModel, code, layer_of, report

LOOP = "while True:\n    pass"


def no_run_is_left() -> bool:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if not any(thread.name.startswith("dionysus-run") for thread in threading.enumerate()):
            return True
        time.sleep(0.02)
    return False


def test_a_stream_tells_the_run_in_order_and_ends_with_the_thought(mind):
    told = list(mind.stream(QUESTION, budget={"steps": 50}, deadline=120))
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    assert told[0].kind == "run_started"
    assert told[-1].kind == "run_ended"
    thought = told[-1].detail["thought"]
    assert thought.stop_reason is StopReason.ANSWERED
    kinds = {str(event.kind) for event in told}
    assert {"layer_started", "step_started", "model_call", "tool_call", "tool_result", "memory_hits", "answer"} <= kinds
    hits = next(event for event in told if event.kind == "memory_hits")
    assert len(hits.detail["ids"]) == len(hits.detail["scores"]) > 0
    assert {event.path for event in told if event.kind == "step_started"} >= {("consciousness", "metacognitive")}
    left = [event.left.steps for event in told]
    assert left[0] == 50
    assert left[-1] == 50 - thought.total.steps
    assert left == sorted(left, reverse=True)
    assert all(0 < event.left.seconds <= 120 for event in told)


def test_every_tool_call_has_its_result(mind):
    told = list(mind.stream(QUESTION))
    assert sum(e.kind == "tool_call" for e in told) == sum(e.kind == "tool_result" for e in told) > 0
    assert all(event.left is None for event in told)


def test_words_come_while_the_model_still_speaks(make_mind):
    first_words = threading.Event()

    class Slow(ScriptedModel):
        def chat(self, request, lifeline):
            if request.on_token and layer_of(request) == "consciousness":
                request.on_token("I begin ")
                assert first_words.wait(60), "nobody heard the first words while the model was still speaking"
                request.on_token("and end.")
            return super().chat(request, lifeline)

    model = Slow(only_manager(lambda _: report("fine")))
    with make_mind(tiers={"scripted": model}, tier="scripted") as mind:
        said = []
        for event in mind.stream("x"):
            if event.kind == "token":
                said.append((event.path, event.summary))
                first_words.set()
            if event.kind == "model_call" and event.layer == "consciousness":
                assert "".join(text for _, text in said) == "I begin and end."
    assert {path for path, _ in said} == {("consciousness",)}


def test_words_of_a_streaming_endpoint_reach_the_stream(make_mind):
    with OpenAIServer(obedient("Forty-two.")) as server, make_mind(**served_by(server.url)) as mind:
        told = list(mind.stream("What is it?"))
    said = "".join(event.summary for event in told if event.kind == "token" and event.layer == "consciousness")
    assert "final_answer('Forty-two.')" in said


def test_leaving_a_stream_early_cancels_the_run(make_mind):
    with make_mind(**scripted(only_manager(lambda _: code(LOOP)))) as mind:
        for event in mind.stream("loop"):
            if event.kind == "step_started" and event.layer == "consciousness":
                break
        assert no_run_is_left()


def test_a_stream_of_a_run_that_fails_ends_with_its_error(make_mind):
    with make_mind(**scripted(only_manager(lambda _: code("print(1)")))) as mind:
        told = []
        with pytest.raises(BudgetExceeded):
            for event in mind.stream("x", budget={"steps": 4}):
                told.append(event)
    assert told[-1].kind == "run_ended"
    assert told[-1].summary == "budget"
    assert told[-1].detail["thought"].total.steps == 4
    assert told[-1].left.steps == 0


def test_an_async_stream_leaves_the_loop_free_and_ends_with_the_thought(make_mind):
    async def main(mind):
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        told = [event async for event in mind.astream("x")]
        ticking.cancel()
        return told, ticks

    play = only_manager(lambda _: (time.sleep(0.5), report("fine"))[1])
    with make_mind(**scripted(play)) as mind:
        told, ticks = asyncio.run(main(mind))
    assert told[-1].detail["thought"].answer == "fine"
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))
    assert ticks >= 10


def test_an_async_stream_that_is_cancelled_cancels_its_run(make_mind):
    async def main(mind):
        async def listen():
            async for _ in mind.astream("loop"):
                pass

        task = asyncio.create_task(listen())
        await asyncio.sleep(0.7)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with make_mind(**scripted(only_manager(lambda _: code(LOOP)))) as mind:
        asyncio.run(main(mind))
        assert no_run_is_left()


def test_nested_and_parallel_layers_are_told_with_their_whole_path_and_their_own_state(make_mind):
    def play(request):
        layer = layer_of(request)
        if layer == "consciousness":
            return code("r = delegate([('conception', 'a'), ('conception', 'b')])\nfinal_answer({'answer': r})")
        if layer == "conceptual":
            mine = "a" if "\na" in f"\n{request.messages[1].content[0]['text']}" else "b"
            if len(request.messages) == 2:
                return code(f"kept = '{mine}'\nr = delegate([('abstraction', kept), ('metacognition', kept)])")
            return code("final_answer({'answer': [kept, r[0]['answer'], r[1]['answer']]})")
        return report(f"{layer} {request.messages[1].content[0]['text'].split()[-1]}")

    layers = {"conceptual": {"team": ["abstract", "metacognitive"]}}
    with make_mind(layers=layers, **scripted(only_manager(play))) as mind:
        told = list(mind.stream("go"))
    answers = [each["answer"] for each in told[-1].detail["thought"].answer]
    assert answers == [["a", "abstract a", "metacognitive a"], ["b", "abstract b", "metacognitive b"]]
    paths = [event.path for event in told if event.kind == "layer_started"]
    assert paths.count(("consciousness", "conceptual")) == 2
    assert paths.count(("consciousness", "conceptual", "abstract")) == 2


def test_a_run_cancelled_at_its_start_twice_and_after_its_end_is_one_cancelled_run(make_mind):
    with make_mind(**scripted(only_manager(lambda _: code(LOOP)))) as mind:
        thinking = mind.start("x")
        thinking.cancel()
        thinking.cancel()
        with pytest.raises(Cancelled):
            thinking.result()
        thinking.cancel()
        assert list(thinking.events())[-1].summary == "cancelled"


def test_a_prediction_is_an_event_when_it_is_made_and_when_it_is_scored(make_mind):
    lines = [
        "made = predict(statement='The queue holds', probability=0.8)",
        "resolve(prediction_id=made['id'], observation=True)",
        "final_answer({'answer': 'done'})",
    ]
    layers = {"consciousness": {"tools": ["predict", "resolve"]}}
    with make_mind(**scripted(only_manager(lambda _: code("\n".join(lines)))), layers=layers) as mind:
        told = [event for event in mind.stream("Predict") if event.kind == "prediction"]
    assert [event.detail["outcome"] for event in told] == [None, True]
    assert told[0].summary == "80%: The queue holds"
    assert told[1].summary == "80%, and it came true: The queue holds"
    assert {event.layer for event in told} == {"consciousness"}
