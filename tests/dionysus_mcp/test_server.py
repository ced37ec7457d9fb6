"""Our server as a process, met by the official client and by ours."""

import asyncio
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from dionysus_mcp.client import MEMORY_TOOLS, McpClient, McpToolError, McpUnavailable, MemoryClient, memory_server
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from observability import Kind, Telemetry, TraceStore, inherited, span

pytestmark = pytest.mark.anyio

VERSION_TOOLS = {"update_memory", "forget_memory", "restore_memory", "memory_history"}
BELIEF_TOOLS = {"list_mental_models", "get_mental_model"}
GRAPH_TOOLS = {"relate", "explore_graph"}

INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@pytest.fixture
async def client(words_only, trace):
    """A client of a server without embedder, which starts quickest."""
    async with McpClient("memory", memory_server(words_only, trace)) as connected:
        yield connected


@pytest.fixture
async def memory(client):
    return MemoryClient(client)


def official(settings, trace) -> Client:
    server = memory_server(settings, trace)
    return Client(StdioServerParameters(command=server.command, args=list(server.args), env=dict(server.env)))


def started(settings, trace) -> subprocess.Popen:
    server = memory_server(settings, trace)
    return subprocess.Popen(
        [server.command, *server.args],
        env=dict(server.env) | {"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def initialized(process: subprocess.Popen) -> dict:
    process.stdin.write(json.dumps(INITIALIZE).encode() + b"\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


async def test_arguments_that_a_tool_does_not_have_are_told_beside_its_result(words_only, trace):
    async with official(words_only, trace) as client:
        stored = await client.call_tool(
            "create_memory", {"content": "Tea is at four.", "project": "kitchen", "tag": ["tea"]}
        )
        assert stored.structured_content["id"].startswith("m-")
        told = stored.content[-1].text
        assert "create_memory has no such argument: 'project', 'tag'. It has: content, memory_type, " in told
        many = {f"{'x' * 99}{number}": 1 for number in range(30)}
        found = await client.call_tool("semantic_recall", {"query": "tea", "\u202ename": 1, **many})
        assert "'\\u202ename', 'xxx" in found.content[-1].text
        assert "and 21 more" in found.content[-1].text
        assert len(found.content[-1].text) < 1500
        plain = await client.call_tool("semantic_recall", {"query": "tea", "top_k": 1})
        assert [json.loads(block.text)["hits"][0]["content"] for block in plain.content] == ["Tea is at four."]
        wrong = await client.call_tool("semantic_recall", {"queries": ["tea"]})
        assert wrong.is_error
        assert "no such argument: 'queries'" in wrong.content[-1].text


async def test_the_official_client_finds_tools_with_schemas_and_annotations(words_only, trace):
    async with official(words_only, trace) as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == MEMORY_TOOLS | VERSION_TOOLS | BELIEF_TOOLS | GRAPH_TOOLS
        for name, tool in tools.items():
            assert tool.description
            assert tool.input_schema["type"] == tool.output_schema["type"] == "object"
            assert tool.annotations.open_world_hint is False, name
        assert tools["semantic_recall"].annotations.read_only_hint is True
        assert tools["create_memory"].annotations.destructive_hint is False
        assert tools["create_memory"].annotations.idempotent_hint is True
        stored = await client.call_tool("create_memory", {"content": "Tea is at four."})
        assert stored.is_error is False
        recalled = await client.call_tool("semantic_recall", {"query": "tea"})
        assert recalled.structured_content["hits"][0]["content"] == "Tea is at four."
        assert json.loads(recalled.content[0].text) == recalled.structured_content
        failed = await client.call_tool("get_memories", {"ids": ["m-none"]})
        assert failed.is_error
        assert "Unknown memory ids: 'm-none'" in failed.content[0].text


async def test_a_memory_goes_in_and_comes_out(memory):
    stored = await memory.create("Tea is at four.", metadata={"k": 1}, session_id="s", source="chat")
    assert (await memory.create("Tea is at four.", session_id="s", source="chat")).id == stored.id
    assert await memory.get([stored.id]) == [stored]
    recall = await memory.recall("when is tea", exclude_types=["answer"], session_id="s")
    assert recall.hits[0].id == stored.id
    assert (recall.hits[0].metadata, recall.hits[0].source) == ({"k": 1}, "chat")
    assert (await memory.recall("tea", memory_types=["answer"])).hits == []


async def test_any_number_of_memories_is_got_and_none_too(memory):
    stored = await memory.create("one")
    assert await memory.get([]) == []
    assert await memory.get([stored.id] * 201) == [stored] * 201


async def test_the_state_tells_what_is_in_mind(memory):
    await memory.create("one", memory_type="semantic")
    model = await memory.create_mental_model("world", "It rains.", concepts=["weather"])
    prediction = await memory.make_prediction(model.id, "rain tomorrow", 0.7, rule="contains: rain")
    state = await memory.state()
    assert (state.total_memories, state.memories) == (1, {"semantic": 1})
    assert [one.content for one in state.recent] == ["one"]
    assert [one.id for one in state.models] == [model.id]
    assert [one.id for one in state.predictions] == [prediction.id]
    assert (state.health.embedder, state.health.detail) == ("off", "memory.embedder is none")
    resolved = await memory.resolve_prediction(prediction.id, "We had heavy rain.")
    assert (resolved.outcome, resolved.brier) == (True, pytest.approx(0.09))
    assert (await memory.revise_mental_model(model.id, "It pours.", "heavier")).version == 2
    assert (await memory.state()).predictions == []


WRONG = [
    ("create_memory", {"content": 5}, "content"),
    ("create_memory", {}, "content"),
    ("create_memory", {"content": "a", "importance": 7}, "importance"),
    ("create_memory", {"content": "a", "occurred_at": "yesterday"}, "occurred_at"),
    ("create_memory", {"content": "a", "metadata": [1]}, "metadata"),
    ("create_memory", {"content": "a\x00"}, "NUL"),
    ("create_memory", {"content": "x" * 100_001}, "100,001 characters"),
    ("semantic_recall", {"query": "a", "top_k": 0}, "top_k"),
    ("semantic_recall", {"query": " "}, "A query has"),
    ("get_memories", {"ids": []}, "ids"),
    ("create_mental_model", {"domain": "moon", "statement": "x"}, "domain"),
    ("make_prediction", {"model_id": "b-x", "statement": "x", "probability": 0.5}, "Unknown mental model 'b-x'"),
    ("resolve_prediction", {"prediction_id": "p-x", "observation": True}, "Unknown prediction 'p-x'"),
    ("revise_mental_model", {"model_id": "b-x", "statement": "x", "reason": "y"}, "Unknown mental model"),
]


async def test_bad_input_is_a_tool_error_that_says_what(client):
    for tool, arguments, words in WRONG:
        with pytest.raises(McpToolError, match=words):
            await client.call(tool, arguments)
        assert (await client.call("memory_health"))["memories"] == 0


async def test_keyword_recall_serves_before_the_embedder_is_ready_and_meaning_after(settings, trace):
    async with McpClient("memory", memory_server(settings, trace)) as client:
        memory = MemoryClient(client)
        await memory.create("Whiskers slept on the warm stove.")
        await memory.create("The invoice is due in May.")
        early = await memory.recall("Whiskers")
        assert early.hits[0].content == "Whiskers slept on the warm stove."
        if early.mode == "keyword":  # the embedder may have been quicker than we were
            assert "still loading" in early.notice
        health = await memory.ready(60)
        assert (health.embedder, health.detail) == ("ready", None)
        while (await memory.ready(0)).pending:
            await asyncio.sleep(0.05)
        late = await memory.recall("where was the feline napping")
        assert (late.mode, late.notice) == ("hybrid", None)
        assert late.hits[0].content == "Whiskers slept on the warm stove."
        fresh = await memory.create("A violinist plays in the courtyard.")
        assert (await memory.recall("string instrument music", top_k=1)).hits[0].id == fresh.id


async def test_two_servers_write_one_store_at_once(words_only, trace):
    async with (
        McpClient("one", memory_server(words_only, trace)) as one,
        McpClient("two", memory_server(words_only, trace)) as two,
    ):
        first, second = MemoryClient(one), MemoryClient(two)
        writes = [client.create(f"shared {n}") for n in range(30) for client in (first, second)]
        stored = await asyncio.gather(*writes)
        assert len({memory.id for memory in stored}) == 30
        assert (await first.state()).total_memories == (await second.state()).total_memories == 30


async def test_a_server_killed_in_mid_run_loses_nothing_that_was_stored(memory, client):
    stored = [await memory.create(f"fact {n}") for n in range(5)]
    os.kill(_server_pid(), signal.SIGKILL)
    assert (await memory.recall("fact")).hits
    assert await memory.get([one.id for one in stored]) == stored


async def test_closing_leaves_no_server(words_only, trace):
    client = McpClient("memory", memory_server(words_only, trace))
    await client.connect(MEMORY_TOOLS)
    pid = _server_pid()
    await client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("url", "words"),
    [("mysql://me:hunter2@db/x", "MySQL is not supported"), ("sqlite:///{tmp}/text.db", "not a SQLite")],
)
async def test_a_store_that_cannot_be_opened_is_one_line_and_an_exit_code(tmp_path, trace, url, words):
    (tmp_path / "text.db").write_text("no database at all\n")
    settings = MemorySettings(url=url.format(tmp=tmp_path))
    process = started(settings, trace)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == b""
    assert error.decode().count("\n") == 1
    assert words in error.decode()
    assert "hunter2" not in error.decode()
    with pytest.raises(McpUnavailable, match=words):
        await McpClient("memory", memory_server(settings, trace)).connect()


def test_a_wrong_setting_is_one_line_and_an_exit_code(words_only, trace, monkeypatch):
    server = memory_server(words_only, trace)
    environment = dict(server.env) | {"DIONYSUS_MEMORY__EMBEDDER": "huge"}
    ended = subprocess.run(
        [server.command, *server.args], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("dionysus-memory: The settings")
    assert "embedder" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_store_made_newer_while_it_serves_is_refused_by_the_next_server(words_only, trace):
    Store(words_only).close()
    connection = sqlite3.connect(words_only.url.removeprefix("sqlite:///"))
    connection.execute("PRAGMA user_version=99")
    connection.close()
    process = started(words_only, trace)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 1
    assert b"newer version (schema 99" in error


def test_it_ends_cleanly_when_its_input_ends(settings, trace):
    process = started(settings, trace)
    about = initialized(process)["result"]["serverInfo"]
    assert about["name"] == "dionysus-memory"
    assert about["version"][0].isdigit()
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (0, b"", b"")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_cleanly_on_a_signal(settings, trace, number, code):
    process = started(settings, trace)
    initialized(process)
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (code, b"", b"")


def test_it_ends_when_its_parent_is_killed(words_only, trace):
    server = memory_server(words_only, trace)
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import subprocess, sys, time\n"
            "p = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE)\nprint(p.pid, flush=True)\ntime.sleep(60)",
            server.command,
            *server.args,
        ],
        env=dict(server.env),
        stdout=subprocess.PIPE,
    )
    with parent:
        pid = int(parent.stdout.readline())
        parent.kill()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and _runs(pid):
        time.sleep(0.05)
    assert not _runs(pid)


async def test_one_trace_goes_through_the_servers_process(words_only, trace):
    telemetry = Telemetry(trace, service="test")
    server = memory_server(words_only, trace)
    with (
        span(telemetry.tracer, Kind.RUN, "invoke_workflow test", {"dionysus.run.id": "r1"}),
        inherited({"session.id": "s7"}),
    ):
        async with McpClient("memory", server, tracer=telemetry.tracer) as client:
            memory = MemoryClient(client)
            await memory.create("Tea is at four.")
            await memory.recall("tea")
            with pytest.raises(McpToolError):
                await memory.get(["m-none"])
    telemetry.shutdown()
    rows = _spans(trace.path)
    by_name = {row["name"]: row for row in rows}
    assert len({row["trace_id"] for row in rows}) == 1
    for client_side, server_side in [
        ("tools/call semantic_recall", "search_memory"),
        ("tools/call create_memory", "create_memory"),
    ]:
        assert client_side in by_name
        assert server_side in by_name
    assert all(row["parent_id"] for row in rows if row["name"] != "invoke_workflow test")
    with TraceStore(trace.path) as store:
        assert store.run("r1")


def test_nothing_but_protocol_is_on_standard_output(words_only, trace):
    process = started(words_only, trace)
    process.stdin.write(b"this is not json\n")
    assert "result" in initialized(process) or "error" in initialized(process)
    rest, _ = process.communicate(timeout=60)
    assert all(json.loads(line) for line in rest.splitlines())


def _spans(path):
    connection = sqlite3.connect(path)
    connection.row_factory = sqlite3.Row
    rows = [dict(row) for row in connection.execute("SELECT * FROM span")]
    connection.close()
    return rows


def _server_pid() -> int:
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "dionysus_mcp.server"], capture_output=True, text=True, check=True
    )
    return int(listed.stdout.split()[0])


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return not status.stdout.startswith("Z")


HEAVY = (
    "sqlalchemy",
    "numpy",
    "onnxruntime",
    "tokenizers",
    "alembic",
    "litellm",
    "neo4j",
    "psycopg",
    "docker",
)
WATCHED = """
import json, sys
from dionysus_mcp import server, service
start = service.Opening.start
def watched(self):
    sys.stderr.write(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})) + "\\n")
    sys.stderr.flush()
    service.Opening.start = start
    start(self)
service.Opening.start = watched
server.main()
"""


def test_nothing_heavy_is_imported_before_the_handshake_is_answered(settings, trace):
    """`initialize` in at most 1.5 times the time of an empty server: `benchmarks/memory_start.py` measures it."""
    server = memory_server(settings, trace)
    process = subprocess.Popen(
        [server.command, "-P", "-c", WATCHED],
        env=dict(server.env) | {"PATH": os.environ["PATH"]},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        assert "result" in initialized(process)
        imported = set(json.loads(process.stderr.readline()))
        process.stdin.close()
        process.wait(60)
    assert "mcp" in imported
    assert not imported.intersection(HEAVY)


def test_a_server_that_is_told_nothing_opens_its_store_all_the_same(words_only, trace):
    process = started(words_only, trace)
    path = words_only.url.removeprefix("sqlite:///")
    try:
        end = time.monotonic() + 60
        while not os.path.exists(path) and time.monotonic() < end:
            time.sleep(0.1)
        assert os.path.exists(path)
    finally:
        process.communicate(timeout=60)
