"""The whole path: layers think over memory in the sandbox, and every step is in the trace."""

from __future__ import annotations

import asyncio
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import BaseModel
from smolagents import Tool

from cognition import Budget, BudgetExceeded, Cancelled, ConfigurationError, DeadlineExceeded, OutputInvalid, StopReason
from cognition.settings import SettingsError
from tests.support.patience import given_time
from tests.support.scripted_model import (
    ScriptedModel,
    calls,
    code,
    conversation,
    is_closing,
    layer_of,
    report,
    text_of,
)

QUESTION = "Why did we move the order queue to Kestrel?"


def scripted(play):
    """Keywords for a mind whose every layer is answered by `play`."""
    return {"tiers": {"scripted": ScriptedModel(play)}, "tier": "scripted"}


def only_manager(play):
    """A script for the manager; the perceptual layer reports nothing."""
    return lambda request: (
        calls(("final_answer", {"answer": {"answer": ""}})) if layer_of(request) == "perceptual" else play(request)
    )


def test_a_question_is_answered_with_quotes_and_their_sources(mind):
    thought = mind.think(QUESTION)
    assert thought.stop_reason is StopReason.ANSWERED
    assert "RabbitFlow lost messages" in thought.answer
    assert any("lost messages under load" in piece.quote for piece in thought.evidence)
    assert all(piece.source.startswith(str(piece.source).split(":")[0]) for piece in thought.evidence)
    assert any("notes.md" in piece.source for piece in thought.evidence)
    assert thought.confidence == 1.0
    assert thought.cost_usd == 0.0
    assert thought.task == QUESTION
    assert "notes.md" in str(thought)


def test_what_memory_does_not_hold_is_an_abstention(mind):
    thought = mind.think("Which colour is the admiral's parrot?")
    assert thought.stop_reason is StopReason.ABSTAINED
    assert thought.success
    assert thought.evidence == ()
    assert thought.confidence is None


def test_the_trace_has_every_step_of_every_layer_in_one_tree(mind):
    thought = mind.think(QUESTION)
    trace = mind.trace(thought.run_id)
    spans = list(trace.spans())
    for layer, usage in thought.usage.items():
        steps = [
            s for s in spans if s.kind == "step" and s.layer == layer and not s.attributes.get("dionysus.step.closing")
        ]
        assert len(steps) == usage.steps, layer
        chats = [s for s in spans if s.kind == "chat" and s.layer == layer]
        assert len(chats) == usage.model_calls, layer
    kinds = {str(span.kind) for span in spans}
    assert {"run", "layer", "step", "chat", "tool", "sandbox", "mcp", "retrieval"} <= kinds
    assert {span.attributes.get("session.id") for span in spans if "session.id" in span.attributes} == {thought.session}


def test_the_trace_reaches_through_the_memory_servers_process(mind):
    trace = mind.trace(mind.think(QUESTION).run_id)
    client_calls = [s for s in trace.spans() if s.kind == "mcp" and s.name == "tools/call semantic_recall"]
    below = {child.name for call in client_calls for _, child in call.walk()}
    assert "search_memory" in below or any(name.startswith("search_memory") for name in below)


def test_a_step_span_has_its_four_phases(mind):
    trace = mind.trace(mind.think(QUESTION).run_id)
    step = next(s for s in trace.spans() if s.kind == "step" and s.layer == "consciousness")
    assert {f"dionysus.ooda.{phase}" for phase in ("observe", "orient", "decide", "act")} <= set(step.attributes)


def test_an_answer_is_remembered_and_is_no_evidence_later(mind):
    first = mind.think("Who owns the payment service?")
    again = mind.think("Who owns the payment service?", session=first.session)
    assert "Ines Duarte" in again.answer
    assert {piece.source for piece in again.evidence} == {piece.source for piece in first.evidence}


def test_a_session_shows_its_earlier_turns_to_the_next_one(make_mind):
    seen = []

    def play(request):
        seen.append(conversation(request))
        return report("Noted.")

    with make_mind(**scripted(only_manager(play))) as mind:
        mind.think("My boat is called Mirabel.", session="boat-1")
        mind.think("What is its name?", session="boat-1")
        assert "My boat is called Mirabel." in seen[-1]
        mind.think("What is its name?", session="boat-2")
        assert "Mirabel" not in seen[-1]


def test_a_long_answer_is_known_to_the_next_turn(make_mind):
    seen = []

    def play(request):
        seen.append(conversation(request))
        return report("The boat is called Mirabel. " + "And so on. " * 900)

    with make_mind(**scripted(only_manager(play))) as mind:
        mind.think("Tell me all about the boat.", session="boat-3")
        mind.think("What is its name?", session="boat-3")
    assert "The boat is called Mirabel." in seen[-1]
    assert "Tell me all about the boat." in seen[-1]


def test_cancel_from_another_thread_ends_a_run_in_the_middle_of_a_step(make_mind):
    with make_mind(**scripted(only_manager(lambda _: code("while True:\n    pass")))) as mind:
        thinking = mind.start("loop")
        for event in thinking.events():
            if event.kind == "step_started" and event.layer == "consciousness":
                break
        time.sleep(0.3)
        began = time.monotonic()
        thinking.cancel()
        thinking.cancel()
        with pytest.raises(Cancelled) as cancelled:
            thinking.result()
        assert time.monotonic() - began < 3
        assert cancelled.value.partial.stop_reason is StopReason.CANCELLED
        assert thinking.done()


def test_a_deadline_ends_a_run_with_what_it_has(make_mind):
    there = threading.Event()

    def arrived() -> str:
        """Tell that the report is there."""
        there.set()
        return ""

    def play(request):
        if layer_of(request) == "conceptual":
            return report("half of it")
        return code("conception(task='x')\narrived()\nwhile True:\n    pass")

    def ends_with_it(deadline):
        there.clear()
        with pytest.raises(DeadlineExceeded) as ended:
            mind.think("slow", deadline=deadline)
        assert ended.value.partial.answer == "half of it" or not there.is_set()
        return there.is_set()

    with make_mind(tools=[arrived], **scripted(only_manager(play))) as mind:
        given_time(ends_with_it)


def test_a_budget_ends_a_run_and_its_error_carries_the_partial_answer(make_mind):
    with (
        make_mind(**scripted(only_manager(lambda _: code("print(1)")))) as mind,
        pytest.raises(BudgetExceeded) as ended,
    ):
        mind.think("count", budget=Budget(steps=4))
    assert ended.value.partial.total.steps == 4


def test_the_budgets_seconds_are_a_budget_and_not_a_deadline(make_mind):
    with (
        make_mind(**scripted(only_manager(lambda _: code("while True:\n    pass")))) as mind,
        pytest.raises(BudgetExceeded, match="seconds"),
    ):
        mind.think("slow", budget={"seconds": 0.5})


class Verdict(BaseModel):
    """An output with types."""

    queue: str
    nodes: int


def test_a_typed_output_is_an_instance_of_its_model(make_mind):
    play = only_manager(lambda _: report({"queue": "Kestrel", "nodes": 3}))
    with make_mind(**scripted(play)) as mind:
        assert mind.think("Which?", output=Verdict).answer == Verdict(queue="Kestrel", nodes=3)


def test_an_answer_that_does_not_fit_is_repaired_once(make_mind):
    def play(request):
        if layer_of(request) == "repair":
            return calls(("final_answer", {"answer": {"answer": {"queue": "Kestrel", "nodes": 3}}}))
        return report({"queue": "Kestrel", "nodes": "three"})

    with make_mind(**scripted(only_manager(play))) as mind:
        thought = mind.think("Which?", output=Verdict)
    assert thought.answer.nodes == 3
    assert thought.usage["repair"].model_calls == 1


def test_an_answer_that_can_not_be_repaired_is_an_error_with_the_raw_answer(make_mind):
    repairs = []

    def play(request):
        if layer_of(request) == "repair" and not is_closing(request):
            repairs.append(request)
            return calls(("final_answer", {"answer": "no idea"}))
        return report({"queue": "Kestrel"})

    with make_mind(**scripted(only_manager(play))) as mind, pytest.raises(OutputInvalid, match="nodes") as error:
        mind.think("Which?", output=Verdict)
    assert error.value.raw == {"queue": "Kestrel"}
    assert len(repairs) == 1


def test_a_plain_function_is_a_tool_of_the_manager(make_mind):
    asked = []

    def stock(part: str) -> int:
        """Count the parts in stock.

        Args:
            part: the part's name.
        """
        asked.append((part, threading.current_thread().name))
        return 17

    play = only_manager(lambda _: code("final_answer({'answer': stock('bolt')})"))
    with make_mind(tools=[stock], **scripted(play)) as mind:
        assert mind.think("How many bolts?").answer == 17
    assert asked[0][0] == "bolt"


def test_a_smolagents_tool_goes_to_the_layer_that_names_it(make_mind):
    class Doubling(Tool):
        name = "double"
        description = "Doubles a number."
        inputs = {"number": {"type": "integer", "description": "Any number."}}  # noqa: RUF012
        output_type = "integer"

        def forward(self, number: int) -> int:
            return 2 * number

    def play(request):
        if layer_of(request) == "conceptual":
            return code("final_answer({'answer': double(number=21)})")
        assert "def double" not in text_of(request, 0)
        return code("final_answer({'answer': conception(task='double it')['answer']})")

    layers = {"conceptual": {"tools": ["recall", "double"]}}
    with make_mind(tools=[Doubling()], layers=layers, **scripted(only_manager(play))) as mind:
        assert mind.think("Double 21").answer == 42


def test_a_users_own_layer_is_called_by_the_manager(make_mind):
    def play(request):
        if layer_of(request) == "legal":
            return calls(("final_answer", {"answer": {"answer": "It is allowed."}}))
        return code("final_answer({'answer': counsel(task='is it?')['answer']})")

    layers = {"legal": {"call_as": "counsel", "agent": "tool_calling", "max_steps": 4, "tools": ["recall"]}}
    with make_mind(layers=layers, **scripted(only_manager(play))) as mind:
        assert mind.think("Is it allowed?").answer == "It is allowed."


def test_files_can_be_read_by_the_managers_code(make_mind, tmp_path):
    (tmp_path / "prices.csv").write_text("apple,3\npear,4\n")
    play = only_manager(lambda _: code("text = open('prices.csv').read()\nfinal_answer({'answer': text.count(',')})"))
    with make_mind(**scripted(play)) as mind:
        assert mind.think("How many prices?", files=[tmp_path / "prices.csv"]).answer == 2


def test_images_go_to_the_model_with_the_task(make_mind, tmp_path):
    from PIL import Image

    Image.new("RGB", (4, 4), "red").save(tmp_path / "red.png")
    seen = []

    def play(request):
        seen.extend(part["type"] for message in request.messages for part in message.content)
        return report("red")

    with make_mind(**scripted(only_manager(play))) as mind:
        mind.think("What colour?", images=[tmp_path / "red.png"])
    assert "image" in seen


def test_async_callers_wait_without_blocking_and_cancel_with_the_task(make_mind):
    async def main(mind):
        task = asyncio.create_task(mind.athink("loop"))
        await asyncio.sleep(0.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with make_mind(**scripted(only_manager(lambda _: code("while True:\n    pass")))) as mind:
        asyncio.run(main(mind))
        waiting = [thread for thread in threading.enumerate() if thread.name.startswith("dionysus-run")]
        for thread in waiting:
            thread.join(3)
        assert not any(thread.is_alive() for thread in waiting)


def test_several_runs_think_at_the_same_time(mind):
    started = [
        mind.start(question) for question in (QUESTION, "Who owns the search service?", "When does the export start?")
    ]
    answers = [thinking.result().answer for thinking in started]
    assert "RabbitFlow" in answers[0]
    assert "Tomasz Brandt" in answers[1]
    assert "02:15" in answers[2]


def test_a_closed_mind_leaves_no_thread_and_opens_anew(make_mind):
    before = {thread.name for thread in threading.enumerate()}
    mind = make_mind()
    mind.think(QUESTION)
    mind.close()
    mind.close()
    deadline = time.monotonic() + 30
    while {thread.name for thread in threading.enumerate()} - before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert {thread.name for thread in threading.enumerate()} - before == set()
    assert mind.think(QUESTION).success
    mind.close()


def test_events_tell_the_whole_tree_from_start_to_end(mind):
    thinking = mind.start(QUESTION)
    told = list(thinking.events())
    assert told[0].kind == "run_started"
    assert told[-1].kind == "run_ended"
    assert {event.layer for event in told if event.kind == "layer_started"} >= {
        "perceptual",
        "consciousness",
        "metacognitive",
    }
    assert [event.sequence for event in told] == list(range(1, len(told) + 1))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"budget": {"steps": 0}}, "budget"),
        ({"budget": {"usd": float("nan")}}, "budget"),
        ({"budget": {"stpes": 3}}, "stpes"),
        ({"deadline": 0}, "future"),
        ({"deadline": float("inf")}, "future"),
        ({"deadline": datetime.now(UTC) - timedelta(seconds=5)}, "future"),
        ({"deadline": datetime.now()}, "time zone"),  # noqa: DTZ005 - that is the mistake
        ({"files": ["/no/such/file"]}, "/no/such/file"),
        ({"images": [__file__]}, "image"),
        ({"output": dict}, "pydantic"),
    ],
)
def test_a_wrong_option_is_refused_before_anything_is_started(mind, wrong, words):
    with pytest.raises(ValueError, match=words):
        mind.think("x", **wrong)


def test_an_empty_task_is_refused(mind):
    with pytest.raises(ValueError, match="empty"):
        mind.think("  ")


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ({"conceptual": {"tools": ["recal"]}}, r"\[layers\.conceptual\] tools: .*Did you mean 'recall'"),
        ({"conceptual": {"tools": ["github.search"]}}, "mcp.NAME"),
    ],
)
def test_a_layer_with_an_unknown_tool_does_not_open(make_mind, layers, words):
    mind = make_mind(layers=layers, tier=None)
    with pytest.raises(ConfigurationError, match=words):
        mind.think("x")


def test_a_layer_with_an_unknown_tier_is_named_with_the_nearest(make_mind):
    with pytest.raises(SettingsError, match="did you mean 'balanced'"):
        make_mind(layers={"conceptual": {"tier": "balancd"}}, tier=None)
