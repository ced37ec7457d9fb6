"""A cancel and a deadline end a run within a second from every state it can be in, and nothing it started is left.

Python can't end a thread: a tool, check or model object of the user's own that hangs goes on alone until it returns. It
is let go at the end of its test; everything else must be gone before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from smolagents.models import Model

from cognition import Cancelled, DeadlineExceeded, Mind
from tests.promises import SLACK
from tests.sandbox.leaks import children, usage
from tests.support.openai_characters import obedient
from tests.support.openai_server import Action, Fail, Hang, OpenAIServer, Request, Say, Trickle
from tests.support.scripted_model import ScriptedModel, code, layer_of, report

PROMISED = 1.0
GREEDY = "try:\n    {call}\nexcept:\n    pass\nfinal_answer({{'answer': 'eaten'}})"
WAITING_SERVER = """
import time
from pathlib import Path
from mcp.server.mcpserver import MCPServer
server = MCPServer("shop")
@server.tool()
def wait() -> str:
    '''Wait.'''
    Path({mark!r}).touch()
    time.sleep(600)
    return "at last"
server.run()
"""


@dataclass
class Stage:
    """One mind with a layer for each way to hang, and what its parts do just now.

    Attributes:
        server: answers the layers that have a model over HTTP.
        script: what it does.
        call: what the manager's code does.
        reached: set once the user's own code hangs; `release` lets it go.
        mark: a file that the MCP server's tool writes when it begins to hang.
    """

    mark: Path
    script: Callable[[Request], Action] = field(default_factory=obedient)
    call: str = "pass"
    reached: threading.Event = field(default_factory=threading.Event)
    release: threading.Event = field(default_factory=threading.Event)
    server: OpenAIServer = None
    mind: Mind = None

    def hold(self, *_: object, **__: object) -> str:
        """Hang until the test is over."""
        self.reached.set()
        self.release.wait(120)
        return "at last"

    def play(self, request):
        if layer_of(request) == "consciousness":
            return code(GREEDY.format(call=self.call))
        if layer_of(request) == "looping":
            return code("while True:\n    pass")
        return report("fine")


class Stuck(Model):
    """A user's own model that hangs where nobody can reach it."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(model_id="stuck")
        self._stage = stage

    def generate(self, messages, **_):
        self._stage.hold()


@pytest.fixture(scope="module")
def stage(make_mind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("stage")
    stage = Stage(folder / "mark")
    (folder / "shop.py").write_text(WAITING_SERVER.format(mark=str(stage.mark)))

    def nap(seconds: float) -> str:
        """Sleep.

        Args:
            seconds: how long.
        """
        stage.reached.set()
        until = time.monotonic() + seconds
        while not stage.release.is_set() and time.monotonic() < until:
            time.sleep(0.2)  # in C, deaf to everything
        return "slept"

    layers = {name: {"enabled": False} for name in ("perceptual", "abstract", "metacognitive")}
    for name in ("served", "planning", "plain", "limited", "retrying", "stuck"):
        layers[name] = {"tier": name, "tools": [], "call_as": f"{name}_layer", "max_steps": 2}
    layers["planning"] |= {"tier": "served", "planning_interval": 1}
    layers["looping"] = {"tools": [], "call_as": "looping_layer"}
    layers["consciousness"] = {"tools": ["nap", "shop.wait", "remember"]}
    with OpenAIServer(lambda request: stage.script(request)) as server:
        deployment = {"models": ["openai/scripted"], "api_base": server.url, "retries": 0}
        tiers = {
            "stage": ScriptedModel(lambda request: stage.play(request)),
            "served": deployment,
            "plain": {**deployment, "stream": False},
            "limited": {**deployment, "requests_per_minute": 1},
            "retrying": {**deployment, "retries": 10},
            "stuck": Stuck(stage),
        }
        mcp = {"shop": {"command": sys.executable, "args": [str(folder / "shop.py")]}}
        for layer in layers.values():
            layer.setdefault("tier", "stage")
        stage.server = server
        with make_mind(layers=layers, tiers=tiers, tools=[nap], mcp=mcp, tier=None) as stage.mind:
            for name in ("served", "plain", "retrying", "limited"):  # connections that are kept, LiteLLM's caches
                stage.call = f"{name}_layer(task='warm up')"
                stage.mind.think("warm up")
            yield stage


@dataclass(frozen=True)
class State:
    """A state that a run hangs in.

    Attributes:
        call: what the manager's code does.
        action: what the server does.
        reached: whether the run is there now.
        prepare: what is done before, and returns what is done after.
        checks: the caller's own checks of the answer.
    """

    call: str
    action: Action | None = None
    reached: Callable[[Stage, int], bool] = lambda stage, asked: len(stage.server.requests) > asked
    prepare: Callable[[Stage], Callable[[], object]] = lambda stage: lambda: None
    checks: bool = False


def held(stage: Stage, _: int) -> bool:
    return stage.reached.is_set()


def after(seconds: float) -> Callable[[Stage, int], bool]:
    """A state that shows no sign: it is reached some time after the layer was called."""
    since: list[float] = []

    def reached(stage: Stage, _: int) -> bool:
        if not since or stage.began > since[0]:
            since[:] = [stage.began]
        return time.monotonic() > since[0] + seconds

    return reached


def rate_used_up(stage: Stage) -> Callable[[], object]:
    """Have the tier's one call a minute be made just now: the states before this one may have taken longer."""
    parts = stage.mind._opening.parts()
    model = parts.bench.tiers.model("limited")

    async def use_up():
        model._window._open().execute("DELETE FROM calls WHERE tier = ?", (model._counted_as,))
        await model._window.enter(model._counted_as, model._limits, 1)

    parts.loop.submit(use_up()).result(30)
    return lambda: None


def frozen_memory(stage: Stage) -> Callable[[], object]:
    """Stop the memory server's process, as a machine that swaps does."""
    found = [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _is_memory_server_of_ours(path)
    ]
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    return lambda: [os.kill(pid, signal.SIGCONT) for pid in found]


def _is_memory_server_of_ours(path: Path) -> bool:
    try:
        parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
        return parent == os.getpid() and b"dionysus_mcp.server" in (path / "cmdline").read_bytes()
    except OSError:
        return False


WORDS = "a word\n" * 5000
SERVED, PLAIN = "served_layer(task='x')", "plain_layer(task='x')"
THREE = "delegate([('served_layer', 'a'), ('stuck_layer', 'b'), ('looping_layer', 'c')])"

STATES = {
    "a stream that goes on": State(SERVED, Say(WORDS, chunk_pause=0.02)),
    "a stream that stopped in the middle": State(SERVED, Say(WORDS, chunk_pause=300)),
    "a provider that never answers": State(SERVED, Hang(300)),
    "a provider that is silent after its headers": State(SERVED, Trickle(300)),
    "a provider that sends signs of life": State(SERVED, Trickle(0.05)),
    "a plain call without an answer": State(PLAIN, Hang(300)),
    "a plain call that is silent after its headers": State(PLAIN, Trickle(300)),
    "a plain call that trickles": State(PLAIN, Trickle(0.05)),
    "a plan": State("planning_layer(task='x')", Hang(300)),
    "a wait for a retry": State(
        "retrying_layer(task='x')", Fail(500), reached=lambda stage, asked: len(stage.server.requests) > asked + 1
    ),
    "a queue for the rate limit": State("limited_layer(task='x')", reached=after(0.7), prepare=rate_used_up),
    "a model object of the user's own": State("stuck_layer(task='x')", reached=held),
    "a tool": State("nap(100)", reached=held),
    "an MCP call": State("shop_wait()", reached=lambda stage, _: stage.mark.exists()),
    "a memory that is frozen": State("remember('x')", reached=after(0.5), prepare=frozen_memory),
    "a loop in the sandbox": State("\n    while True: pass", reached=after(0.7)),
    "a long operation in the sandbox": State("sum(range(10**15))", reached=after(0.7)),
    "three layers side by side": State(
        THREE, Hang(300), reached=lambda s, n: held(s, n) and len(s.server.requests) > n
    ),
    "a check of the answer": State("pass", reached=held, checks=True),
}


@pytest.fixture
def state(request, stage):
    state = STATES[request.param]
    stage.call, stage.reached, stage.release = state.call, threading.Event(), threading.Event()
    stage.mark.unlink(missing_ok=True)
    stage.script = lambda _: state.action
    undo = state.prepare(stage)
    yield state
    stage.release.set()
    undo()


def begun(stage, state, **options):
    stage.began, asked = time.monotonic(), len(stage.server.requests)
    checks = [stage.hold] if state.checks else []
    return stage.mind.start("go", final_answer_checks=checks, **options), lambda: state.reached(stage, asked)


def wait_for(holds, seconds):
    until = time.monotonic() + seconds
    while not holds() and time.monotonic() < until:
        time.sleep(0.01)
    return holds()


def holds(stage):
    """How many children, threads and descriptors this process has, and requests under way.

    Connections that wait for a next request are no leak; each is two descriptors, since the server is in this process.
    """
    children, threads, descriptors = usage()
    return children, threads, descriptors - 2 * stage.server.open_sockets, stage.server.under_way


def _commands():
    """What this process has started and what its threads do, to tell what was left."""
    lines = [Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")[:120] for pid in children()]
    return lines + [thread.name for thread in threading.enumerate()]


def assert_nothing_left(stage, before):
    wait_for(lambda: all(now <= then for now, then in zip(holds(stage), before, strict=True)), 10)
    now = holds(stage)
    assert all(held <= then for held, then in zip(now, before, strict=True)), (
        f"holds {now}, before {before}: {_commands()}"
    )


@pytest.mark.parametrize("state", STATES, indirect=True)
def test_a_cancel_ends_it_within_a_second_and_leaves_nothing(stage, state):
    before = holds(stage)
    thinking, reached = begun(stage, state)
    assert wait_for(reached, 60), "the state was never reached"
    time.sleep(0.1)
    began = time.monotonic()
    thinking.cancel()
    with pytest.raises(Cancelled) as ended:
        thinking.result()
    assert time.monotonic() - began < SLACK * PROMISED
    assert ended.value.partial.answer != "eaten" or state.checks
    stage.release.set()
    assert_nothing_left(stage, before)


@pytest.mark.parametrize("state", STATES, indirect=True)
def test_a_deadline_ends_it_within_a_second_and_leaves_nothing(stage, state):
    deadline = 1.2
    while True:  # a machine that is busy may not get there in time
        before = holds(stage)
        thinking, reached = begun(stage, state, deadline=deadline)
        got_there = wait_for(reached, deadline) and not thinking.done()
        with pytest.raises(DeadlineExceeded):
            thinking.result()
        assert time.monotonic() - stage.began < deadline + SLACK * PROMISED
        stage.release.set()
        assert_nothing_left(stage, before)
        if got_there:
            return
        deadline *= 2
        assert deadline < 60, "the state was never reached"
        stage.release.clear(), stage.reached.clear(), stage.mark.unlink(missing_ok=True)
