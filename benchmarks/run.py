"""A five-layer run beside the same agents in plain smolagents: what do the ledger, the lifeline and the trace cost?

Both sides use the same embedded sandbox, the same zero-latency model, and make the same model, tool and MCP calls
against one memory server each; both build their agents anew for every run. They run by turns in one process.

    python benchmarks/run.py --runs 30

Prints the median of each side and the ratio ours / plain, with tracing on and off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from smolagents import CodeAgent, Tool, ToolCallingAgent
from smolagents.models import (
    ChatMessage,
    ChatMessageToolCall,
    ChatMessageToolCallFunction,
    MessageRole,
    Model,
)
from smolagents.monitoring import LogLevel, TokenUsage

from cognition import Mind
from dionysus_mcp.client import MEMORY_TOOLS, McpClient, MemoryClient, memory_server
from layers.run import Lifeline, LoopThread
from layers.tiers.base import Bound, ChatReply, ChatRequest
from observability import TraceSettings
from sandbox import SandboxSettings, select

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


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=30, help="runs of each side (default 30)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        sides = {
            "plain smolagents": stack.enter_context(plain(folder)),
            "dionysus": stack.enter_context(ours(folder, "traced", traced=True)),
            "dionysus, no trace": stack.enter_context(ours(folder, "untraced", traced=False)),
        }
        times = measure(sides, options.runs)
    medians = {name: statistics.median(each) for name, each in times.items()}
    ratios = {name: medians[name] / medians["plain smolagents"] for name in medians}
    if options.json:
        print(json.dumps({"runs": options.runs, "median_seconds": medians, "ratio_to_plain": ratios}))
        return
    for name, median in medians.items():
        print(f"{name:20} {median * 1000:8.1f} ms a run   {ratios[name]:.2f} x plain")


if __name__ == "__main__":
    main()
