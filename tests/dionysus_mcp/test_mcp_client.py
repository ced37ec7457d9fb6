"""Our client against small real servers over stdio and HTTP."""

import asyncio
import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dionysus_mcp.client import (
    DionysusMcpError,
    HttpServer,
    McpClient,
    McpTimeout,
    McpToolError,
    McpToolMissing,
    McpUnavailable,
    StdioServer,
    memory_server,
)
from dionysus_mcp.settings import MemorySettings
from observability import TraceSettings
from tests.sandbox.leaks import assert_settled, usage

pytestmark = pytest.mark.anyio

SMALL = str(Path(__file__).with_name("small_server.py"))


def stdio(*arguments: str) -> StdioServer:
    return StdioServer(command=sys.executable, args=(SMALL, *arguments))


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def pid_of(client: McpClient) -> int:
    return (await client.call("process_id"))["pid"]


async def test_only_the_tools_that_are_to_be_used_are_offered_and_called():
    async with McpClient("small", stdio("stdio"), only=("echo", "process_id")) as client:
        assert {tool.name for tool in await client.tools()} == {"echo", "process_id"}
        assert await client.call("echo", {"text": "a"}) == {"result": "a"}
        with pytest.raises(McpToolError, match="fail is not among the tools to be used"):
            await client.call("fail")


async def test_a_tool_that_is_to_be_used_must_be_there():
    with pytest.raises(McpToolMissing, match="ecco"):
        async with McpClient("small", stdio("stdio"), only=("ecco",)):
            pass


async def test_tools_are_called_and_described():
    async with McpClient("small", stdio("stdio")) as client:
        assert await client.call("process_id") == {"pid": await pid_of(client)}
        assert await client.call("echo", {"text": "héllo\n"}) == {"result": "héllo\n"}
        echo = next(tool for tool in await client.tools() if tool.name == "echo")
        assert echo.annotations["readOnlyHint"] is True
        assert "text" in echo.input_schema["properties"]


async def test_an_error_of_a_tool_is_raised_with_its_words():
    async with McpClient("small", stdio("stdio")) as client:
        with pytest.raises(McpToolError, match="the moon is in the wrong phase") as caught:
            await client.call("fail")
        assert (caught.value.server, caught.value.tool) == ("small", "fail")
        with pytest.raises(McpToolError, match="text"):
            await client.call("echo", {"text": 5})
        with pytest.raises(McpToolError, match="no_such_tool"):
            await client.call("no_such_tool")
        with pytest.raises(McpToolError, match="crash"):
            await client.call("crash")
        assert await client.call("echo", {"text": "still here"}) == {"result": "still here"}


async def test_missing_tools_are_named_and_the_server_does_not_stay():
    client = McpClient("small", stdio("stdio"))
    with pytest.raises(McpToolMissing, match=r"lacks the required tools fly, swim; it offers: .*echo"):
        await client.connect({"echo", "swim", "fly"})
    await client.close()


async def test_a_server_that_dies_at_the_start_is_quoted():
    client = McpClient("small", stdio("crash"))
    with pytest.raises(McpUnavailable, match="no licence found in /etc/small") as caught:
        await client.connect()
    assert len(str(caught.value)) < 5000, "only the end of a long stderr is kept"


async def test_a_command_that_does_not_exist_is_named():
    for command in ("no-such-command", "/no/such/command"):
        with pytest.raises(McpUnavailable, match=f"{command}.*the command was not found"):
            await McpClient("small", StdioServer(command=command)).connect()


async def test_a_server_that_never_answers_is_given_up_and_ended():
    client = McpClient("small", stdio("silent"), connect_timeout=1.0)
    start = time.monotonic()
    with pytest.raises(McpUnavailable, match="no answer within 1 s"):
        await client.connect()
    assert time.monotonic() - start < 30


async def test_a_server_that_does_not_speak_the_protocol_is_given_up():
    with pytest.raises(McpUnavailable, match="no answer within 2 s"):
        await McpClient("small", stdio("garbage"), connect_timeout=2.0).connect()


async def test_a_call_has_a_time_limit_and_the_connection_survives_it():
    async with McpClient("small", stdio("stdio")) as client:
        with pytest.raises(McpTimeout, match=r"slow of MCP server 'small' did not answer within 0.2 s"):
            await client.call("slow", {"seconds": 1.0}, timeout=0.2)
        before = await pid_of(client)
        assert await client.call("slow", {"seconds": 0.0}) == {"result": "done"}
        assert await pid_of(client) == before


async def test_many_tasks_call_at_once():
    async with McpClient("small", stdio("stdio")) as client:
        answers = await asyncio.gather(*(client.call("echo", {"text": str(n)}) for n in range(50)))
    assert answers == [{"result": str(n)} for n in range(50)]


async def test_cancelling_a_task_cancels_its_call_only():
    async with McpClient("small", stdio("stdio")) as client:
        doomed = asyncio.create_task(client.call("slow", {"seconds": 5.0}))
        other = asyncio.create_task(client.call("slow", {"seconds": 0.5}))
        await asyncio.sleep(0.2)
        doomed.cancel()
        with pytest.raises(asyncio.CancelledError):
            await doomed
        assert await other == {"result": "done"}


async def test_cancelling_a_connect_leaves_no_process():
    client = McpClient("small", stdio("silent"))
    connecting = asyncio.create_task(client.connect())
    async with asyncio.timeout(60):
        while not (children := set(_children())):
            await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert not any(alive(child) for child in children)


async def test_a_connect_that_is_cancelled_at_any_moment_leaves_no_process_and_no_pipe():
    async def broken_off(after: float) -> None:
        client = McpClient("small", stdio("silent"))
        connecting = asyncio.create_task(client.connect())
        await asyncio.sleep(after)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        await client.close()

    gc.collect()
    before = usage()
    await asyncio.gather(*(broken_off(moment / 100) for moment in range(16)))
    gc.collect()  # what was lost would be reported here
    assert_settled(before)


async def test_cancelling_a_connect_says_nothing_of_lost_errors(caplog):
    connecting = asyncio.create_task(McpClient("small", stdio("silent")).connect())
    async with asyncio.timeout(60):
        while not _children():
            await asyncio.sleep(0.05)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    del connecting
    gc.collect()
    await asyncio.sleep(0)
    assert "never retrieved" not in caplog.text


async def test_half_a_character_does_not_end_the_connection():
    async with McpClient("small", stdio("stdio")) as client:
        assert await client.call("echo", {"text": "caf\udcc3\udca9"}) == {"result": "café"}, "bytes of another locale"
        assert await client.call("echo", {"text": "\ud83d!"}) == {"result": "?!"}, "an escape that a model cut in two"


async def test_a_memory_that_cannot_be_opened_is_told_in_the_words_of_the_server_alone(tmp_path):
    (tmp_path / "notes.db").write_text("no database")
    settings = MemorySettings(url=f"sqlite:///{tmp_path}/notes.db")
    with pytest.raises(McpUnavailable, match=r"^/.*notes.db is not a SQLite database; choose another file"):
        await McpClient("memory", memory_server(settings, TraceSettings(enabled=False))).connect()


async def test_a_server_that_ends_after_the_handshake_has_its_last_words_told(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings = MemorySettings(url=f"sqlite:///{blocked}/notes.db")
    client = McpClient("memory", memory_server(settings, TraceSettings(enabled=False)))
    with pytest.raises(DionysusMcpError, match=r"^The memory store .*can't be (made|read)"):
        await client.connect()
        await client.call("memory_health")
    await client.close()


async def test_closing_leaves_no_process_and_a_later_call_connects_again():
    client = McpClient("small", stdio("stdio"))
    await client.connect()
    first = await pid_of(client)
    await client.close()
    assert not alive(first)
    assert await pid_of(client) != first
    await client.close()


async def test_a_killed_server_is_started_anew_for_all_that_notice():
    async with McpClient("small", stdio("stdio")) as client:
        first = await pid_of(client)
        os.kill(first, signal.SIGKILL)
        pids = await asyncio.gather(*(pid_of(client) for _ in range(8)))
        assert len(set(pids)) == 1
        assert pids[0] != first


async def test_a_server_killed_in_the_middle_of_a_harmless_call_answers_after_a_reconnect(tmp_path):
    async with McpClient("small", stdio("stdio")) as client:
        answer = await client.call("die_once", {"path": str(tmp_path / "note")})
        assert answer == {"result": "second life"}


async def test_a_call_that_may_have_taken_effect_is_not_repeated(tmp_path):
    note = tmp_path / "note"
    async with McpClient("small", stdio("stdio")) as client:
        with pytest.raises(McpUnavailable, match="may have taken effect"):
            await client.call("die_after_noting", {"path": str(note)})
        assert await client.call("echo", {"text": "back"}) == {"result": "back"}
    assert note.read_text() == "x"


async def test_one_reconnect_is_all():
    async with McpClient("small", stdio("stdio")) as client:
        with pytest.raises(McpUnavailable, match="again after a reconnect"):
            await client.call("die_always")


async def test_required_tools_are_checked_again_after_a_reconnect(tmp_path):
    script = tmp_path / "changing.py"
    source = Path(SMALL).read_text()
    script.write_text(source)
    client = McpClient("small", StdioServer(command=sys.executable, args=(str(script), "stdio")))
    await client.connect({"echo"})
    script.write_text(source.replace("def echo", "def repeat"))
    os.kill(await pid_of(client), signal.SIGKILL)
    with pytest.raises(McpToolMissing, match="echo"):
        await pid_of(client)
    await client.close()


async def test_a_server_over_http_is_called_and_found_again_after_its_restart():
    port = _free_port()
    async with _http_server(port) as first:
        client = McpClient("far", HttpServer(url=f"http://127.0.0.1:{port}/mcp"), connect_timeout=10)
        await client.connect({"echo"})
        assert await client.call("echo", {"text": "hi"}) == {"result": "hi"}
        first.kill()
        first.wait()
        with pytest.raises(McpUnavailable, match="far"):
            await client.call("echo", {"text": "hi"})
    async with _http_server(port):
        assert await client.call("echo", {"text": "again"}) == {"result": "again"}
        await client.close()


async def test_an_address_where_nobody_listens_is_unavailable():
    with pytest.raises(McpUnavailable, match=r"127\.0\.0\.1"):
        await McpClient("far", HttpServer(url=f"http://127.0.0.1:{_free_port()}/mcp"), connect_timeout=5).connect()


@contextlib.asynccontextmanager
async def _http_server(port: int):
    process = subprocess.Popen([sys.executable, SMALL, "http", str(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.1):
                break
            assert process.poll() is None
            await asyncio.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _children() -> list[int]:
    listed = subprocess.run(
        ["pgrep", "-P", str(os.getpid()), "-f", "small_server.py silent"], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in listed.stdout.split()]
