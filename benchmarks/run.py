"""What do the ledger, the lifeline and the trace cost: beside plain smolagents, and as a run gets long?

First one layer alone makes 10 steps and 200 steps, each printing ten thousand characters, with a plan every tenth
step: the time, and the process's peak memory after each. Then a five-layer run beside the same agents in plain
smolagents: both sides use the same embedded sandbox, the same zero-latency model, and make the same model, tool and MCP
calls against one memory server each; both build their agents anew for every run. They run by turns in one process.

    python benchmarks/run.py --runs 30

Prints the median of each side and the ratio ours / plain, with tracing on and off; and the ratios 200 steps / 10 steps.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

# Python puts a script's own folder first, where another benchmark would be taken for the package `sandbox`.
sys.path = [place for place in sys.path if Path(place).resolve() != Path(__file__).resolve().parent]

import yaml  # noqa: E402
from smolagents import CodeAgent, Tool, ToolCallingAgent  # noqa: E402
from smolagents.models import (  # noqa: E402
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)
from smolagents.monitoring import LogLevel, TokenUsage  # noqa: E402

from cognition import Mind  # noqa: E402
from dionysus_mcp.client import MEMORY_TOOLS, McpClient, MemoryClient, memory_server  # noqa: E402
from layers.run import Lifeline, LoopThread  # noqa: E402
from layers.tiers.base import Bound, ChatReply, ChatRequest  # noqa: E402
from observability import TraceSettings  # noqa: E402
from sandbox import SandboxSettings, select  # noqa: E402

LAYERS = {
    "perceptual": "perception",
    "conceptual": "conception",
    "abstract": "abstraction",
    "metacognitive": "metacognition",
}
TASK = "Which queue holds the orders?"
NOTE = "The orders are held by the queue Kestrel, which keeps every message on three nodes."


def play(layer: str, turn: int) -> ChatMessage:
    """Return what the zero-latency model says: each layer recalls once and reports; the manager asks three layers."""
    if layer == "perceptual":
        call = ("recall", {"query": TASK}) if turn == 0 else ("final_answer", {"answer": "Kestrel"})
        function = ChatMessageToolCallFunction(name=call[0], arguments=call[1])
        made = ChatMessageToolCall(function, id=f"call_{turn}", type="function")
        return ChatMessage(MessageRole.ASSISTANT, content="", tool_calls=[made], token_usage=TokenUsage(10, 10))
    if layer == "consciousness":
        asked = list(LAYERS.values())[1:]
        code = f"print({asked[turn]}(task={TASK!r}))" if turn < len(asked) else "final_answer('Kestrel')"
    else:
        code = f"print(recall({TASK!r}))" if turn == 0 else "final_answer('Kestrel')"
    text = f"I act.\n<code>\n{code}\n</code>"
    return ChatMessage(MessageRole.ASSISTANT, content=text, token_usage=TokenUsage(10, 10))


class OurModel:
    """The zero-latency model as a tier."""

    model_id = "zero-latency"

    def bound(self, request: ChatRequest) -> Bound:
        """Return a bound that no budget feels."""
        return Bound(20, 0.0)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Answer at once."""
        system = request.messages[0].content
        text = system if isinstance(system, str) else system[0]["text"]
        layer = text.partition("You are the ")[2].partition(" layer")[0]
        turn = sum(str(getattr(m.role, "value", m.role)) == "assistant" for m in request.messages)
        return ChatReply(play(layer, turn), self.model_id, 10, 10, 0.0)


class PlainModel(Model):
    """The zero-latency model for one plain agent."""

    def __init__(self, layer: str) -> None:
        super().__init__(model_id="zero-latency")
        self._layer = layer

    def generate(self, messages: list[ChatMessage], **_: Any) -> ChatMessage:
        """Answer at once."""
        turn = sum(str(getattr(m.role, "value", m.role)) == "assistant" for m in messages)
        return play(self._layer, turn)


class Recall(Tool):
    """The recall tool as a smolagents user would write it over an MCP client."""

    name = "recall"
    description = "Search long-term memory."
    inputs = {"query": {"type": "string", "description": "What to look for."}}  # noqa: RUF012 - smolagents reads it so
    output_type = "any"

    def __init__(self, memory: MemoryClient, loop: LoopThread) -> None:
        super().__init__()
        self._memory, self._loop = memory, loop

    def forward(self, query: str) -> Any:
        """Return the hits as JSON values."""
        recall = self._loop.submit(self._memory.recall(query, 8, exclude_types=["answer"])).result()
        return [hit.model_dump(mode="json") for hit in recall.hits]


@cache
def templates(name: str) -> dict[str, Any]:
    """Return smolagents' own prompts, read once: it parses their YAML for every agent, which isn't what we measure."""
    return yaml.safe_load((files("smolagents.prompts") / f"{name}.yaml").read_text())


def plain_run(memory: MemoryClient, loop: LoopThread, backend: Any) -> str:
    """Think about the task with plain smolagents: perception first, then the manager with three managed agents."""
    loop.submit(memory.state(session_id="s", memory_types=["answer"], recent=6)).result()
    quiet = {"verbosity_level": LogLevel.OFF}
    code = {**quiet, "prompt_templates": templates("code_agent")}
    with ExitStack() as stack:
        recall = Recall(memory, loop)
        prompts = templates("toolcalling_agent")
        ToolCallingAgent([recall], PlainModel("perceptual"), prompt_templates=prompts, max_steps=3, **quiet).run(TASK)
        managed = [
            CodeAgent(
                [recall],
                PlainModel(layer),
                executor=stack.enter_context(backend.open()),
                name=noun,
                description=f"The {layer} layer.",
                max_steps=7,
                **code,
            )
            for layer, noun in list(LAYERS.items())[1:]
        ]
        box = stack.enter_context(backend.open())
        manager = CodeAgent(
            [], PlainModel("consciousness"), executor=box, managed_agents=managed, max_steps=10, **quiet
        )
        answer = str(manager.run(TASK))
    loop.submit(memory.create(f"{TASK}\n{answer}", memory_type="answer", session_id="s")).result()
    return answer


@contextmanager
def plain(folder: Path) -> Iterator[Callable[[], str]]:
    """Open the plain side: its own memory server, loop and sandbox."""
    from dionysus_mcp.settings import MemorySettings

    settings = MemorySettings(url=f"sqlite:///{folder / 'plain.db'}")
    loop, backend = LoopThread(), select(SandboxSettings(backend="monty"))
    client = McpClient("memory", memory_server(settings, TraceSettings(enabled=False)))
    loop.submit(client.connect(MEMORY_TOOLS)).result()
    memory = MemoryClient(client)
    loop.submit(memory.ready(60)).result()
    loop.submit(memory.create(NOTE)).result()
    try:
        yield lambda: plain_run(memory, loop, backend)
    finally:
        loop.submit(client.close()).result()
        backend.close()
        loop.close()


@contextmanager
def ours(folder: Path, name: str, *, traced: bool) -> Iterator[Callable[[], str]]:
    """Open our side: a mind with the same model in every layer."""
    trace = {"enabled": traced, "path": folder / f"{name}-trace.db"}
    url = f"sqlite:///{folder / name}.db"
    with Mind(tiers={"zero": OurModel()}, tier="zero", sandbox="monty", memory=url, trace=trace) as mind:
        mind.remember(text=NOTE)
        yield lambda: mind.think(TASK, session="s").answer


def measure(sides: dict[str, Callable[[], str]], runs: int) -> dict[str, list[float]]:
    """Time the sides by turns, in seconds a run, after two runs of each to warm up."""
    times: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(runs + 2):
        for name, run in sides.items():
            began = time.perf_counter()
            answer = run()
            if turn >= 2:
                times[name].append(time.perf_counter() - began)
            if answer != "Kestrel":
                raise SystemExit(f"{name} answered {answer!r} and not 'Kestrel': the sides did not do the same work.")
    return times


class SteadyModel:
    """A zero-latency model that goes on for so many steps, each with much to read, and then answers."""

    model_id = "steady"

    def __init__(self) -> None:
        self.left = 0

    def bound(self, request: ChatRequest) -> Bound:
        """Return a bound that no budget feels."""
        return Bound(20, 0.0)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Answer at once."""
        if "<end_plan>" in request.stop:
            text = "1. Go on.\n<end_plan>"
        else:
            self.left -= 1
            code = f"print('{self.left} ' + 'x' * 10_000)" if self.left else "final_answer('done')"
            text = f"I act.\n<code>\n{code}\n</code>"
        return ChatReply(ChatMessage(MessageRole.ASSISTANT, content=text), self.model_id, 10, 10, 0.0)


def long_runs(folder: Path, runs: int = 5) -> dict[int, tuple[float, float]]:
    """Return the median seconds, and the process's peak memory in MiB, of runs of 10 and of 200 steps."""
    model, measured = SteadyModel(), {}
    layers: dict[str, Any] = {name: {"enabled": False} for name in LAYERS}
    layers["consciousness"] = {"max_steps": 200, "planning_interval": 10}
    trace = {"path": folder / "steps-trace.db"}
    url = f"sqlite:///{folder / 'steps.db'}"
    with Mind(tiers={"steady": model}, tier="steady", sandbox="monty", memory=url, trace=trace, layers=layers) as mind:
        for steps in (10, 200):
            times: list[float] = []
            for turn in range(runs + 2):
                model.left, began = steps, time.perf_counter()
                thought = mind.think("Go on.")
                if turn >= 2:
                    times.append(time.perf_counter() - began)
                if thought.steps["consciousness"] != steps:
                    raise SystemExit(f"{thought.steps} and not {steps} steps: nothing was measured.")
            unit = 2**20 if sys.platform == "darwin" else 2**10
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
            measured[steps] = statistics.median(times), peak
    return measured


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="runs of each side (default 30)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        steps = long_runs(folder)  # first: the process's peak is then theirs
        sides = {
            "plain smolagents": stack.enter_context(plain(folder)),
            "dionysus": stack.enter_context(ours(folder, "traced", traced=True)),
            "dionysus, no trace": stack.enter_context(ours(folder, "untraced", traced=False)),
        }
        times = measure(sides, options.runs)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {name: medians[name] / medians["plain smolagents"] for name in medians}
    growth = {"time": steps[200][0] / steps[10][0], "peak_memory": steps[200][1] / steps[10][1]}
    if options.json:
        found = {"runs": options.runs, "median_seconds": medians, "ratio_to_plain": ratios, "200_to_10_steps": growth}
        print(json.dumps(found))
        return
    for name, median in medians.items():
        print(f"{name:20} {median * 1000:8.1f} ms a run   {ratios[name]:.2f} x plain")
    for count, (seconds, peak) in steps.items():
        print(f"{count:3} steps            {seconds * 1000:8.1f} ms a run   {peak:.0f} MiB at most")
    print(f"200 steps / 10 steps: {growth['time']:.1f} x the time, {growth['peak_memory']:.2f} x the memory")


if __name__ == "__main__":
    main()
