"""Whether a tool may be called: rules, a hook and a person, asked before anything happens, on every way to a tool."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from pydantic import ValidationError
from smolagents import tool

from layers.delegation import delegate
from layers.guards import Decision, Guard, GuardSettings, Rule, ToolCall, Verdict
from layers.guards.turns import Turns
from layers.run import LoopThread, RunStopped, StopReason
from layers.run.lifeline import Lifeline
from tests.support.bench import opened_run, workbench
from tests.support.patience import given_time
from tests.support.scripted_model import ScriptedModel, calls, code, conversation, layer_of, report

CALLED: list[str] = []


@tool
def delete(path: str) -> str:
    """Delete a file.

    Args:
        path: which.
    """
    CALLED.append(path)
    return f"deleted {path}"


@pytest.fixture(autouse=True)
def _nothing_called():
    CALLED.clear()


@pytest.fixture
def loop():
    opened = LoopThread()
    yield opened
    opened.close()


def trying(call: str):
    """Code that calls, prints what it was told if that fails, and reports in the next step."""

    def play(request):
        if "Observation" in conversation(request):
            return report("done")
        return code(f"try:\n    print({call})\nexcept Exception as error:\n    print('told:', str(error))")

    return ScriptedModel(play)


@contextmanager
def thinking(model, guard, **options):
    """A run of the manager, with one tool of its own."""
    with (
        workbench(model, {"consciousness": {"tools": ("delete",)}}, tools=(delete,)) as bench,
        opened_run(**options) as (run, spans),
    ):
        yield lambda: delegate(run, replace(bench, guard=guard), bench.layers["consciousness"], "task"), run, spans


def seen_by(model):
    return conversation(model.requests[-1])


def events_of(run, kind):
    run.events.close()
    return [event for event in run.events if event.kind == kind]


def call_of(name="delete", names=None, arguments=None, layer="consciousness"):
    return ToolCall(name, names or (name,), arguments or {}, (layer,), "run")


# --- rules ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ({"tool": "delete"}, True),
        ({"tool": "del*"}, True),
        ({"tool": "Delete"}, False),
        ({"tool": "files.delete"}, True),
        ({"layer": "consciousness"}, True),
        ({"layer": "abstract"}, False),
        ({"arguments": {"path": "/etc/*"}}, True),
        ({"arguments": {"path": "/home/*"}}, False),
        ({"arguments": {"mode": "*"}}, False),
        ({"arguments": {"options": '*"force": true*'}}, True),
        ({"tool": "delete", "layer": "abstract", "arguments": {"path": "*"}}, False),
    ],
)
def test_a_rule_speaks_of_the_calls_in_which_all_it_names_fits(rule, fits):
    call = call_of(names=("delete", "files.delete"), arguments={"path": "/etc/passwd", "options": {"force": True}})
    assert Rule(verdict="deny", **rule).fits(call) is fits


def test_of_the_rules_that_fit_the_strictest_holds_whatever_their_order():
    rules = [
        {"tool": "recall", "verdict": "allow"},
        {"tool": "re*", "verdict": "ask", "reason": "first"},
        {"tool": "*l", "verdict": "ask", "reason": "second"},
        {"tool": "call", "verdict": "deny"},
    ]
    settings = GuardSettings(default="deny", rules=rules)
    assert settings.decide(call_of("recall")) == Decision(Verdict.ASK, "first", "rule 2")
    assert settings.decide(call_of("call")) == Decision(Verdict.DENY, "", "rule 4")
    assert GuardSettings(default="deny", rules=rules[:1]).decide(call_of("recall")).verdict is Verdict.ALLOW
    assert settings.decide(call_of("other")) == Decision(Verdict.DENY, "", "default")


@pytest.mark.parametrize(
    "wrong", [{}, {"verdict": "maybe"}, {"verdict": "deny", "tools": "x"}, {"verdict": "deny", "tool": ""}]
)
def test_a_rule_that_says_nothing_clear_is_refused(wrong):
    with pytest.raises(ValidationError):
        Rule.model_validate(wrong)


# --- verdicts ------------------------------------------------------------------------------------------------------


def test_a_denied_call_never_happens_and_the_code_reads_why(loop):
    guard = Guard(
        GuardSettings(rules=[{"tool": "delete", "verdict": "deny", "reason": "nothing is deleted here"}]), loop
    )
    model = trying("delete('/a')")
    with thinking(model, guard) as (think, run, spans):
        assert think().answer == "done"
        (decided,) = events_of(run, "tool_decision")
    assert CALLED == []
    assert "told: ToolDenied: The tool delete was denied: nothing is deleted here." in seen_by(model)
    assert decided.detail == {"tool": "delete", "verdict": "deny", "by": "rule 1", "reason": "nothing is deleted here"}
    (denied,) = [span for span in spans.get_finished_spans() if span.name == "execute_tool delete"]
    assert denied.attributes["dionysus.guard.verdict"] == "deny"
    assert next(event.name for event in denied.events) == "guard"


def test_a_native_tool_call_is_guarded_like_one_from_code(loop):
    def play(request):
        if "denied" in conversation(request):
            return calls(("final_answer", {"answer": "done"}))
        return calls(("delete", {"path": "/a"}))

    model = ScriptedModel(play)
    guard = Guard(GuardSettings(), loop, before_tool=lambda call: "deny")
    layers = {"perceptual": {"tools": ("delete",)}}
    with workbench(model, layers, tools=(delete,)) as bench, opened_run() as (run, _):
        guarded = replace(bench, guard=guard)
        assert delegate(run, guarded, bench.layers["perceptual"], "task").answer == "done"
    assert CALLED == []
    assert "The tool delete was denied: not allowed (before_tool)" in seen_by(model)


@pytest.mark.parametrize(
    "way", ["conception('look', {'a': 1})", "delegate([('conception', 'look', {'a': 1}), ('abstraction', 'look')])"]
)
@pytest.mark.parametrize("named", ["conception", "conceptual"])
def test_a_denied_layer_is_reached_neither_alone_nor_in_a_delegate(loop, way, named):
    def play(request):
        if layer_of(request) != "consciousness":
            return report(f"{layer_of(request)} was here")
        if "Observation" in conversation(request):
            return report("done")
        return code(f"try:\n    print({way})\nexcept Exception as error:\n    print(str(error))")

    model = ScriptedModel(play)
    rule = {"tool": named, "arguments": {"context": '*"a"*'}, "verdict": "deny", "reason": "not now"}
    guard = Guard(GuardSettings(rules=[rule]), loop)
    with thinking(model, guard) as (think, _run, spans):
        think()
    assert "conceptual" not in [layer_of(request) for request in model.requests]
    assert "denied: not now" in seen_by(model)
    if "delegate" in way:
        assert "abstract was here" in seen_by(model)
        (all_of_them,) = [span for span in spans.get_finished_spans() if span.name == "execute_tool delegate"]
        verdicts = [event.attributes["dionysus.guard.verdict"] for event in all_of_them.events if event.name == "guard"]
        assert sorted(verdicts) == ["allow", "allow", "deny"]


def test_a_hook_sees_what_is_called_by_whom_and_with_what(loop):
    seen = []
    with thinking(trying("delete(path='/a')"), Guard(GuardSettings(), loop, seen.append)) as (think, _run, _):
        think()
    (call,) = seen
    assert (call.tool, call.layer, call.path, call.arguments) == (
        "delete",
        "consciousness",
        ("consciousness",),
        {"path": "/a"},
    )
    assert CALLED == ["/a"]


async def _slowly_no(call):
    await asyncio.sleep(0.01)
    return Decision(Verdict.DENY, "not today")


def _raises(call):
    raise RuntimeError("the guard fell over")


def _leaves(call):
    raise SystemExit(3)


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (lambda call: False, "not allowed"),
        (_slowly_no, "not today"),
        (_raises, "before_tool failed: RuntimeError: the guard fell over"),
        (_leaves, "before_tool failed: SystemExit: 3"),
        (lambda call: "yes", "returned str 'yes', which is none of allow, ask, deny"),
        (lambda call: 1, "returned int, which is none of"),
        (lambda call: "ask", "nobody is there to be asked"),
    ],
)
def test_what_is_no_clear_yes_of_a_hook_denies_and_says_so(loop, hook, why):
    model = trying("delete('/a')")
    with thinking(model, Guard(GuardSettings(), loop, hook)) as (think, run, _):
        assert think().answer == "done"
        assert [event.detail["verdict"] for event in events_of(run, "tool_decision")] == ["deny"]
    assert CALLED == []
    assert why in seen_by(model)


@pytest.mark.parametrize(
    ("hook", "rule", "called"), [("allow", "deny", False), ("deny", "allow", False), (None, "allow", True)]
)
def test_of_a_rule_and_a_hook_the_stricter_holds(loop, hook, rule, called):
    guard = Guard(GuardSettings(default=rule), loop, lambda call: hook)
    with thinking(trying("delete('/a')"), guard) as (think, _, _spans):
        think()
    assert bool(CALLED) is called


def test_a_hook_that_takes_too_long_denies(loop):
    held = threading.Event()
    guard = Guard(GuardSettings(), loop, lambda call: held.wait(30))
    model = trying("delete('/a')")
    layers = {"consciousness": {"tools": ("delete",), "tool_timeout": 0.2}}
    with workbench(model, layers, tools=(delete,)) as bench, opened_run() as (run, _):
        delegate(run, replace(bench, guard=guard), bench.layers["consciousness"], "task")
    held.set()
    assert CALLED == []
    assert "before_tool gave no answer in time" in seen_by(model)


# --- questions -----------------------------------------------------------------------------------------------------

ASK = GuardSettings(default="ask")


@pytest.mark.parametrize("answer", [True, False, "yes", None])
def test_only_a_clear_yes_of_a_person_lets_a_call_happen(loop, answer):
    guard = Guard(ASK, loop, approve=lambda call: answer)
    model = trying("delete('/a')")
    with thinking(model, guard) as (think, run, _):
        think()
        run.events.close()
        told = [str(event.kind) for event in run.events]
    assert bool(CALLED) is (answer is True)
    assert told.index("tool_call") < told.index("approval_asked") < told.index("tool_decision")
    assert ("the user said no" in seen_by(model)) is (answer is not True)


def test_what_is_approved_beforehand_is_not_asked(loop):
    guard = Guard(GuardSettings(default="ask", approved=["del*"]), loop)
    with thinking(trying("delete('/a')"), guard) as (think, _, _spans):
        think()
    assert CALLED == ["/a"]


def test_what_is_approved_beforehand_stays_denied_where_a_rule_denies(loop):
    guard = Guard(GuardSettings(rules=[{"verdict": "deny"}], approved=["*"]), loop)
    with thinking(trying("delete('/a')"), guard) as (think, _, _spans):
        think()
    assert CALLED == []


def test_layers_side_by_side_are_asked_about_one_at_a_time(loop):
    at_once, most, lock = 0, 0, threading.Lock()

    def approve(call):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        time.sleep(0.02)
        with lock:
            at_once -= 1
        return True

    def play(request):
        if layer_of(request) == "consciousness":
            return (
                report("done")
                if "Observation" in conversation(request)
                else code("print(delegate([('conception', str(n)) for n in range(6)]))")
            )
        return report("deleted") if "Observation" in conversation(request) else code("print(delete('/a'))")

    layers = {"conceptual": {"tools": ("delete",)}}
    guard = Guard(GuardSettings(rules=[{"tool": "delete", "verdict": "ask"}]), loop, approve=approve)
    with workbench(ScriptedModel(play), layers, tools=(delete,)) as bench, opened_run() as (run, _):
        delegate(run, replace(bench, guard=guard), bench.layers["consciousness"], "task")
    assert CALLED == ["/a"] * 6
    assert most == 1


@pytest.mark.parametrize("kind", ["waits", "awaits"])
@pytest.mark.parametrize("end", ["cancel", "deadline"])
def test_a_question_that_nobody_answers_ends_with_the_run(loop, kind, end):
    asked, over = threading.Event(), threading.Event()

    def waits(call):
        asked.set()
        call.stopped.wait(120)
        over.set()
        return True

    async def awaits(call):
        asked.set()
        try:
            await asyncio.sleep(120)
        finally:
            over.set()

    guard = Guard(ASK, loop, approve=waits if kind == "waits" else awaits)

    def ended(seconds):
        options = {"deadline": time.monotonic() + seconds} if end == "deadline" else {}
        with thinking(trying("delete('/a')"), guard, **options) as (think, run, _):
            if end == "cancel":
                threading.Thread(
                    target=lambda: asked.wait(120) and run.lifeline.stop(StopReason.CANCELLED, "enough")
                ).start()
            with pytest.raises(RunStopped) as stopped:
                think()
        assert stopped.value.reason == (StopReason.CANCELLED if end == "cancel" else StopReason.DEADLINE)
        return asked.is_set()

    given_time(ended)
    assert over.wait(3)
    assert CALLED == []


def test_a_step_of_code_may_wait_longer_for_a_person_than_code_may_run(loop):
    def approve(call):
        time.sleep(2.5)
        return True

    from sandbox import SandboxSettings, select

    model = trying("delete('/a')")
    backend = select(SandboxSettings(backend="monty", step_timeout=2))
    with (
        thinking(model, None) as (_, run, _spans),
        workbench(model, {"consciousness": {"tools": ("delete",)}}, tools=(delete,)) as bench,
    ):
        guarded = replace(bench, guard=Guard(ASK, loop, approve=approve), backend=backend)
        assert delegate(run, guarded, bench.layers["consciousness"], "task").answer == "done"
    backend.close()
    assert CALLED == ["/a"]


def test_turns_come_in_order_and_a_stopped_run_gives_its_place_up():
    turns, order, living, stopped = Turns(), [], Lifeline(), Lifeline()
    hold, held = threading.Event(), threading.Event()

    def take(name, lifeline):
        try:
            with turns.mine(lifeline):
                order.append(name)
                held.set()
                hold.wait(10)
        except RunStopped:
            order.append(f"{name} gave up")

    waiting = []
    for name, lifeline in (("first", living), ("second", stopped), ("third", living)):
        thread = threading.Thread(target=take, args=(name, lifeline))
        waiting.append(thread)
        thread.start()
        held.wait(10)
        time.sleep(0.05)
    stopped.stop(StopReason.CANCELLED, "enough")
    waiting[1].join(10)
    hold.set()
    for thread in waiting:
        thread.join(10)
    assert order == ["first", "second gave up", "third"]
