"""The edges of a mind: odd callers, odd values, closing while it thinks. Each has one clear outcome."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from pydantic import BaseModel
from smolagents.models import Model

from cognition import (
    Budget,
    BudgetExceeded,
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    MemoryUnavailable,
    Mind,
    StopReason,
    ThinkingError,
)
from cognition.check import check_evidence
from cognition.thought import Thought
from dionysus_mcp.client import McpUnavailable
from dionysus_mcp.records import Memory
from layers.report import Report
from tests.cognition.mind.test_failures import REPOSITORY, _group
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.scripted_model import ScriptedModel, calls, code, layer_of, report

LOOP = "while True:\n    pass"


def test_an_outcome_asked_for_from_many_threads_is_an_error_of_its_own_in_each(make_mind):
    with make_mind(**scripted(only_manager(lambda _: code(LOOP)))) as mind:
        thinking, caught = mind.start("loop"), []

        def wait():
            try:
                thinking.result()
            except Cancelled as error:
                caught.append(error)

        threads = [threading.Thread(target=wait) for _ in range(4)]
        for thread in threads:
            thread.start()
        thinking.cancel()
        for thread in threads:
            thread.join(10)
        depths = []
        for _ in range(5):
            with pytest.raises(Cancelled) as again:
                thinking.result()
            depths.append(len(again.traceback))
    assert len({id(error) for error in caught}) == 4
    assert len(set(depths)) == 1
    assert all(error.partial.stop_reason is StopReason.CANCELLED and error.__cause__ is not None for error in caught)


def test_a_coroutine_cancelled_while_the_mind_opens_leaves_no_run(make_mind):
    mind = make_mind(**scripted(only_manager(lambda _: code(LOOP))))

    async def main():
        task = asyncio.create_task(mind.athink("loop"))
        await asyncio.sleep(0.05)  # it is still opening
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    deadline = time.monotonic() + 15
    while any(t.name.startswith("dionysus-run") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(t.name.startswith("dionysus-run") for t in threading.enumerate())
    mind.close()


def test_many_coroutines_think_at_once(make_mind):
    together = threading.Barrier(12, timeout=30)

    def play(request):
        together.wait()
        return report("all here")

    async def main(mind):
        return await asyncio.gather(*(mind.athink("meet") for _ in range(12)))

    with make_mind(layers={"perceptual": {"enabled": False}}, **scripted(play)) as mind:
        assert [thought.answer for thought in asyncio.run(main(mind))] == ["all here"] * 12


def test_a_deadline_shorter_than_opening_is_a_deadline(make_mind):
    mind = make_mind()
    with pytest.raises(DeadlineExceeded):
        mind.think("slow to open", deadline=0.01)
    mind.close()


def test_a_budget_of_centuries_is_as_good_as_none(make_mind):
    with make_mind(**scripted(only_manager(lambda _: report("fine")))) as mind:
        assert mind.think("x", budget=Budget(seconds=1e15)).answer == "fine"


def test_closing_does_not_wait_for_a_tool_that_hangs(make_mind):
    release = threading.Event()

    def hold() -> str:
        """Hang."""
        release.wait(60)
        return ""

    with make_mind(tools=[hold], **scripted(only_manager(lambda _: code("hold()")))) as mind:
        thinking = mind.start("hang")
        for event in thinking.events():
            if event.kind == "tool_call":
                break
        began = time.monotonic()
    assert time.monotonic() - began < 3 * 5
    release.set()
    with pytest.raises(Cancelled):
        thinking.result()


def test_runs_started_while_the_mind_closes_think_or_are_cancelled(make_mind):
    mind = make_mind(**scripted(only_manager(lambda _: report("fine"))))
    outcomes, stop = [], threading.Event()

    def think():
        while not stop.is_set():
            try:
                outcomes.append(mind.think("x").answer)
            except Cancelled:
                outcomes.append("cancelled")
            except BaseException as error:
                outcomes.append(error)
                return

    threads = [threading.Thread(target=think) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(2):
        time.sleep(2.0)
        mind.close()
    stop.set()
    for thread in threads:
        thread.join(30)
    mind.close()
    assert {outcome for outcome in outcomes if isinstance(outcome, str)} == {"fine"} or "cancelled" in outcomes
    assert [outcome for outcome in outcomes if not isinstance(outcome, str)] == []


def test_a_thread_that_can_not_start_leaves_a_mind_that_closes(make_mind, monkeypatch):
    with make_mind(**scripted(only_manager(lambda _: report("fine")))) as mind:
        start = threading.Thread.start

        def refuse(thread):
            if thread.name.startswith("dionysus-run"):
                raise RuntimeError("can't start new thread")
            start(thread)

        monkeypatch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            mind.start("x", deadline=60)
        monkeypatch.undo()
        assert mind.think("x").answer == "fine"


def test_a_users_model_that_leaves_the_process_is_an_error_of_the_run(make_mind):
    class Quitter(Model):
        def generate(self, messages, **kwargs):
            raise SystemExit(3)

    with make_mind(tiers={"quitter": Quitter(model_id="quitter")}, tier="quitter") as mind:
        with pytest.raises(ThinkingError) as failed:
            mind.think("x")
    assert failed.value.partial is not None


@pytest.mark.parametrize(
    "session", ["a,b;c=d\n\t ü 💥", "x" * 20_000, "../../etc", "'; drop table memories; --", "\ud800"]
)
def test_any_text_can_name_a_session(make_mind, session):
    seen = []

    def play(request):
        seen.append(str(request.messages))
        return report("noted")

    with make_mind(**scripted(only_manager(play))) as mind:
        try:
            mind.think("My boat is called Halcyon.", session=session)
        except ValueError as refused:
            assert "session" in str(refused)
            return
        thought = mind.think("And?", session=session)
        assert "Halcyon" in seen[-1]
        assert thought.session == session
        root = next(iter(mind.trace(thought.run_id).spans()))
        assert root.attributes["session.id"] == session


def test_half_characters_in_a_task_or_an_answer_break_nothing(make_mind):
    play = only_manager(lambda _: code("final_answer({'answer': 'a' + chr(0xd800)})"))
    with make_mind(**scripted(play)) as mind:
        thought = mind.think("what is \ud800?")
        print(thought)
        str(thought).encode()


class Verdict(BaseModel):
    """Typed."""

    queue: str


def test_a_typed_question_without_an_answer_is_an_abstention_in_words(make_mind):
    play = only_manager(lambda _: report("Memory holds nothing on it.", abstained=True))
    with make_mind(**scripted(play)) as mind:
        thought = mind.think("Which?", output=Verdict)
    assert (thought.stop_reason, thought.answer) == (StopReason.ABSTAINED, "Memory holds nothing on it.")


def test_a_memory_lost_at_the_end_is_named_as_that(make_mind, monkeypatch):
    from dionysus_mcp.client import MemoryClient

    async def gone(*_, **__):
        raise McpUnavailable("the memory server is gone")

    with make_mind(**scripted(only_manager(lambda _: report("fine")))) as mind:
        monkeypatch.setattr(MemoryClient, "state", gone)
        with pytest.raises(MemoryUnavailable, match="gone"):
            mind.think("x")


def test_the_trace_of_a_closed_mind_can_be_read_without_opening_it(make_mind):
    mind = make_mind(**scripted(only_manager(lambda _: report("fine"))))
    run = mind.think("x").run_id
    mind.close()
    before = {thread.name for thread in threading.enumerate()}
    assert next(iter(mind.trace(run).spans())).name.startswith("invoke_workflow")
    assert {thread.name for thread in threading.enumerate()} == before


def _memory(content):
    return {"m1": Memory.model_construct(id="m1", content=content, source=None, occurred_at=None)}


@pytest.mark.parametrize("quote", ["a", "the", "of", ". ,", "3", "", "is in"])
def test_a_quote_that_says_nothing_supports_nothing(quote):
    given = Report.parse("x", {"answer": "The queue is in Kestrel.", "evidence": [{"id": "m1", "quote": quote}]})
    checked = check_evidence(given, _memory("The queue is in Kestrel, 3 of a kind. ,"))
    assert checked.evidence == ()
    assert checked.errors


@pytest.mark.parametrize(
    ("quote", "content"),
    [
        ("Ines Duarte", "Ines Duarte owns it."),
        ("Paris", "Paris"),
        ("订单队列已迁移到新系统", "订单队列已迁移到新系统。"),
    ],
)
def test_a_short_quote_that_says_something_stands(quote, content):
    given = Report.parse("x", {"answer": quote, "evidence": [{"id": "m1", "quote": quote}]})
    assert len(check_evidence(given, _memory(content)).evidence) == 1


@pytest.mark.parametrize(
    ("answer", "shown"),
    [
        (17, "17"),
        ({"a": [1, "ü"]}, '{\n  "a": [\n    1,\n    "ü"\n  ]\n}'),
        ([1], "[\n  1\n]"),
        (None, "(no answer)"),
        ("", "(no answer)"),
    ],
)
def test_any_answer_prints_well(answer, shown):
    thought = Thought(
        task="x",
        answer=answer,
        stop_reason=StopReason.ANSWERED,
        usage={},
        duration=1.0,
        run_id="r",
        trace_id="t",
        session="s",
    )
    assert str(thought).startswith(shown + "\n")


@pytest.mark.parametrize(
    ("wrong", "words"), [({"deadline": "5"}, "deadline"), ({"images": [3]}, "image"), ({"session": 3}, "session")]
)
def test_an_option_of_a_wrong_type_is_named(mind, wrong, words):
    with pytest.raises(ValueError, match=words):
        mind.think("x", **wrong)


def test_one_file_may_be_given_as_a_text(make_mind, tmp_path):
    (tmp_path / "one.txt").write_text("hello")
    play = only_manager(lambda _: code("final_answer({'answer': open('one.txt').read()})"))
    with make_mind(**scripted(play)) as mind:
        assert mind.think("x", files=str(tmp_path / "one.txt")).answer == "hello"


@pytest.mark.parametrize(
    "keywords",
    [
        {"layers": {"legal": {"call_as": "perception", "tools": []}}},
        {"layers": {"conceptual": {"call_as": "recall"}, "consciousness": {"tools": ["recall"]}}},
    ],
)
def test_clashing_names_do_not_open(make_mind, keywords):
    mind = make_mind(**keywords)
    with pytest.raises(ConfigurationError, match="two things"):
        mind.think("x")


def test_a_tool_with_a_built_in_tools_name_does_not_open(make_mind):
    def recall(query: str) -> str:
        """Not the memory's.

        Args:
            query: what.
        """
        return query

    with pytest.raises(ConfigurationError, match="recall"):
        make_mind(tools=[recall]).think("x")


def test_limits_hold_and_steps_are_made_offline_with_planning(make_mind):
    layers = {name: {"planning_interval": 2} for name in ("perceptual", "conceptual", "metacognitive", "consciousness")}
    with make_mind(layers=layers) as mind:
        thought = mind.think("Who owns the payment service?")
        plans = [span for span in mind.trace(thought.run_id).spans() if span.kind == "plan"]
    assert "Ines Duarte" in thought.answer
    assert {span.layer for span in plans} >= {"perceptual", "consciousness"}
    assert all(count <= thought.max_steps[layer] * 4 for layer, count in thought.steps.items())


TOML = """
tier = "scripted"

[layers.abstract]
enabled = false

[layers.consciousness]
planning_interval = 4
tools = ["remember", "shop.price"]
team = ["legal", "perceptual"]

[layers.legal]
call_as = "counsel"
agent = "tool_calling"
max_steps = 2
prompt = "You know the law of the sea."
tools = ["recall"]

[mcp.shop]
command = {python}
args = [{script}]
"""
SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("shop")
@server.tool()
def price(article: str) -> dict:
    '''Tell the price of an article in cents.'''
    return {"article": article, "cents": 250}
server.run()
"""


def test_layers_are_added_changed_and_taken_out_by_the_file_alone(tmp_path):
    (tmp_path / "shop.py").write_text(SERVER)
    text = TOML.replace("{python}", json.dumps(sys.executable)).replace(
        "{script}", json.dumps(str(tmp_path / "shop.py"))
    )
    (tmp_path / "dionysus.toml").write_text(text)
    systems = {}

    def play(request):
        layer = layer_of(request)
        systems.setdefault(layer, str(request.messages[0].content))
        if layer == "":
            return "1. ask\n<end_plan>"
        if layer in ("perceptual", "legal"):
            return calls(("final_answer", {"answer": {"answer": f"by {layer}"}}))
        return code("final_answer({'answer': [counsel(task='law?')['answer'], shop_price(article='tea')['cents']]})")

    given = {"memory": f"sqlite:///{tmp_path / 'm.db'}", "trace": {"path": tmp_path / "t.db"}, "sandbox": "monty"}
    with Mind(tmp_path / "dionysus.toml", tiers={"scripted": ScriptedModel(play)}, **given) as mind:
        assert "abstract" not in mind.layers
        thought = mind.think("May I?")
        plans = [span.layer for span in mind.trace(thought.run_id).spans() if span.kind == "plan"]
    assert thought.answer == ["by legal", 250]
    assert plans == ["consciousness"]
    assert "law of the sea" in systems["legal"]
    assert "def abstraction(" not in systems["consciousness"]
    assert "def conception(" not in systems["consciousness"]
    assert thought.max_steps["legal"] == 2


OPENING = """
import sys
from cognition import Mind
home = sys.argv[1]
print("opening", flush=True)
with Mind(tier="offline", sandbox="monty", memory=f"sqlite:///{home}/m.db", trace={"path": f"{home}/t.db"}) as mind:
    print("open", flush=True)
    mind.think("x")
"""


@pytest.mark.parametrize("after", [0.2, 0.8, 1.6])
def test_ctrl_c_while_the_mind_opens_leaves_no_process(tmp_path, after):
    process = subprocess.Popen(
        [sys.executable, "-c", OPENING, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    )
    assert process.stdout.readline().strip() == "opening"
    time.sleep(after)
    os.kill(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    deadline = time.monotonic() + 3
    while _group(process.pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert _group(process.pid) == []


def test_a_budget_spent_in_one_of_several_layers_is_told_as_that(make_mind):
    def play(request):
        if layer_of(request) == "consciousness":
            return code("delegate([('conception', 'x'), ('abstraction', 'y')])")
        return code("print(1)")

    with make_mind(**scripted(only_manager(play))) as mind, pytest.raises(BudgetExceeded, match="steps"):
        mind.think("x", budget={"steps": 5})
