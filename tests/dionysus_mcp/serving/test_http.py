"""The server over streamable HTTP, met by the official client, by ours, and by those who should not get in."""

import asyncio
import contextlib
import os
import signal
import socket
import ssl
import stat
import subprocess
import time

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from dionysus_mcp.client import MEMORY_TOOLS, McpClient, McpToolError, MemoryClient
from dionysus_mcp.serving.tokens import TokenFile
from dionysus_mcp.targets import HttpServer

from .conftest import INITIALIZE, Running

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One without tokens for all tests that need no settings of their own."""
    with Running(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory):
    """One that has had tokens, and asks for them ever after; each test has a project of its own there."""
    with Running(tmp_path_factory.mktemp("guarded")) as running:
        yield running


@pytest.fixture
def tokens(request, home):
    """Of the guarded server, where the test asks for that; otherwise of one in the test's own folder."""
    shared = "guarded" in request.fixturenames
    found = TokenFile((request.getfixturevalue("guarded").home if shared else home) / "memory-tokens.json")
    yield found
    for one in found.tokens() if shared else ():
        found.revoke(one.name)


@contextlib.asynccontextmanager
async def official(server, token=None):
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        async with Client(streamable_http_client(server.url, http_client=http)) as client:
            yield client


@contextlib.asynccontextmanager
async def ours(server, token=None):
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with McpClient("memory", HttpServer(url=server.url, headers=headers)) as client:
        yield MemoryClient(client)


async def test_the_official_client_stores_and_recalls(server):
    async with official(server) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} > MEMORY_TOOLS
        assert not (await client.call_tool("create_memory", {"content": "Tea is at four."})).is_error
        found = await client.call_tool("semantic_recall", {"query": "tea"})
        assert found.structured_content["hits"][0]["content"] == "Tea is at four."


async def test_many_clients_share_one_server_and_lose_nothing(server):
    async def writer(number):
        async with ours(server) as memory:
            for count in range(5):
                await memory.create(f"Writer {number} said {count}.")

    async with ours(server) as memory:
        before = (await memory.state()).total_memories
        await asyncio.gather(*(writer(number) for number in range(6)))
        assert (await memory.state()).total_memories == before + 30


async def test_the_pages_for_whoever_watches_say_alive_and_ready(server):
    assert server.get("/healthz").json() == {"status": "alive"}
    end = time.monotonic() + 30
    while server.get("/readyz").status_code != 200 and time.monotonic() < end:
        time.sleep(0.05)
    assert server.get("/readyz").json() == {"status": "ready"}


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example:80", ""])
def test_a_name_that_was_rebound_to_this_machine_is_refused(server, host):
    assert server.post(host=host).status_code in (400, 421)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost.evil.example"])
def test_a_page_of_another_site_is_refused(server, origin):
    assert server.post(origin=origin).status_code == 403


def test_a_page_that_the_settings_allow_may_call(home):
    with Running(home, allowed_origins='["https://notes.example"]') as server:
        assert server.post(origin="https://notes.example").status_code == 200


class TestTokens:
    def test_without_a_good_token_nothing_is_answered(self, guarded, tokens):
        server = guarded
        good = tokens.add("laptop")
        for wrong in (None, "x", "dmem_wrong", good[:-1], good + "x", "%00" * 10):
            refused = _with(server, wrong)
            assert refused.status_code == 401, wrong
            assert refused.headers["www-authenticate"].startswith("Bearer ")
        assert _with(server, good).status_code == 200
        assert server.get("/healthz").status_code == 200

    async def test_a_token_reaches_its_own_scope_alone(self, guarded, tokens):
        server = guarded
        acme, other = tokens.add("acme", tenant="acme"), tokens.add("other", tenant="acme", project="elsewhere")
        own = tokens.add("own", project="own")
        async with ours(server, acme) as memory:
            stored = await memory.create("Acme's secret is blue.")
        for stranger in (other, own):
            async with ours(server, stranger) as memory:
                assert not (await memory.recall("secret blue")).hits
                with pytest.raises(McpToolError, match="Unknown memory ids"):
                    await memory.get([stored.id])
                assert (await memory.state()).total_memories == 0
        async with ours(server, acme) as memory:
            assert (await memory.recall("secret")).hits[0].content == "Acme's secret is blue."

    async def test_users_share_a_project_and_keep_their_own(self, guarded, tokens):
        server = guarded
        shared, ann = tokens.add("shared", project="office"), tokens.add("ann", project="office", user="ann")
        bob = tokens.add("bob", project="office", user="bob")
        tea = tokens.add("tea", project="office", user="ann", session="tea")
        async with ours(server, shared) as memory:
            common = await memory.create("The office opens at nine.")
        async with ours(server, ann) as memory:
            own = await memory.create("Ann's office code is 1234.")
            assert len((await memory.recall("office")).hits) == 2
            with pytest.raises(McpToolError, match="shared by the whole project"):
                await memory.forget(common.id, "r")
        async with ours(server, bob) as memory:
            assert [hit.id for hit in (await memory.recall("office code")).hits] == [common.id]
            with pytest.raises(McpToolError, match="Unknown memory ids"):
                await memory.get([own.id])
        async with ours(server, tea) as memory:
            assert not (await memory.recall("office code")).hits
            assert (await memory.create("Two sugars.")).session_id == "tea"
        async with official(server, bob) as client:
            uris = {str(one.uri) for one in (await client.list_resources()).resources}
            assert uris == {"state://current", f"memory://{common.id}"}
            with pytest.raises(MCPError, match="Unknown memory ids"):
                await client.read_resource(f"memory://{own.id}")
            prompt = (await client.get_prompt("recall", {"question": "office code?"})).messages[0].content.text
            assert "nine" in prompt
            assert "1234" not in prompt
        read = [one for one in server.audit() if one["tool"] == f"memory://{own.id}"]
        assert [(one["user"], one["outcome"]) for one in read] == [("bob", "failed")]

    async def test_a_token_that_may_only_read_neither_sees_nor_reaches_what_writes(self, guarded, tokens):
        server = guarded
        reader, writer = tokens.add("reader", project="r", read_only=True), tokens.add("writer", project="r")
        async with ours(server, writer) as memory:
            await memory.create("Tea is at four.")
        async with official(server, reader) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == {
                "semantic_recall",
                "get_memories",
                "get_consciousness_state",
                "memory_health",
                "memory_history",
                "list_mental_models",
                "get_mental_model",
                "explore_graph",
            }
            for tool in ("create_memory", "update_memory", "forget_memory", "restore_memory"):
                refused = await client.call_tool(tool, {"content": "Tea is at five.", "memory_id": "m", "reason": "r"})
                assert refused.is_error
                assert "may only read" in refused.content[0].text
            found = await client.call_tool("semantic_recall", {"query": "tea"})
            assert [hit["content"] for hit in found.structured_content["hits"]] == ["Tea is at four."]

    async def test_a_session_belongs_to_the_token_that_opened_it(self, guarded, tokens):
        server = guarded
        mine, theirs = tokens.add("mine"), tokens.add("theirs")
        session = _with(server, mine).headers["mcp-session-id"]
        listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}}
        assert server.post(listing, theirs, mcp_session_id=session).status_code == 404
        assert server.post(listing, mine, mcp_session_id=session).status_code == 200

    def test_a_revoked_or_expired_token_is_refused_at_once(self, guarded, tokens):
        server = guarded
        from datetime import UTC, datetime, timedelta

        old = tokens.add("old", expires_at=datetime.now(UTC) - timedelta(seconds=1))
        good = tokens.add("good")
        assert _with(server, old).status_code == 401
        assert _with(server, good).status_code == 200
        tokens.revoke("good")
        assert _with(server, good).status_code == 401

    async def test_a_server_without_tokens_asks_for_them_from_the_first_one_on(self, home, tokens):
        with Running(home) as server:
            before = server.post()
            assert before.status_code == 200
            secret = tokens.add("board", read_only=True)
            assert server.post().status_code == 401
            session, listing = before.headers["mcp-session-id"], {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
            assert server.post(listing, mcp_session_id=session).status_code == 401
            assert server.post(listing, secret, mcp_session_id=session).status_code == 404  # it was nobody's
            async with official(server, secret) as client:
                assert (await client.call_tool("create_memory", {"content": "Not mine."})).is_error
            tokens.revoke("board")
            assert server.post().status_code == 401

    @pytest.mark.parametrize("shown", ["Bearer wrong", "Bearer", "Basic eDp5"])
    def test_who_shows_a_token_is_held_to_it_also_where_none_is_needed(self, server, shown):
        assert server.post(authorization=shown).status_code == 401

    def test_a_damaged_token_file_lets_nobody_in(self, home, tokens):
        good = tokens.add("laptop")
        with Running(home) as server:
            tokens.path.write_text("[]]")
            assert _with(server, good).status_code == 401

    def test_off_this_machine_no_server_starts_without_a_token(self, home):
        with Running(home, "--host", "0.0.0.0") as server:
            code, said = server.stop()
        assert code == 1
        assert "needs a token" in said
        assert "dionysus memory token add" in said

    def test_the_secret_is_in_no_file(self, home, tokens):
        secret = tokens.add("laptop")
        with Running(home) as server:
            assert _with(server, secret).status_code == 200
            server.stop()
        for file in home.rglob("*"):
            if file.is_file():
                assert secret.encode() not in file.read_bytes(), file


class TestPressure:
    def test_a_message_that_is_too_large_is_refused(self, home):
        with Running(home, max_message_bytes=2048) as server:
            large = INITIALIZE | {"padding": "x" * 4096}
            assert server.post(large).status_code == 413
            assert server.post().status_code == 200

    def test_a_caller_that_asks_too_often_is_told_when_to_come_again(self, home, tokens):
        eager, calm = tokens.add("eager"), tokens.add("calm")
        with Running(home, requests_per_minute=3) as server:
            assert [_with(server, eager).status_code for _ in range(4)] == [200, 200, 200, 429]
            assert 1 <= int(_with(server, eager).headers["retry-after"]) <= 60
            assert _with(server, calm).status_code == 200

    def test_a_body_that_never_ends_takes_one_place_of_its_sender(self, home, tokens):
        slow, calm = tokens.add("slow"), tokens.add("calm")
        with Running(home, concurrency=1) as server:
            host, port = server.url.split("/")[2].split(":")
            with socket.create_connection((host, int(port))) as open_one:
                open_one.sendall(
                    f"POST /mcp HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {slow}\r\n"
                    "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
                )
                end = time.monotonic() + 30
                while _with(server, slow).status_code != 429 and time.monotonic() < end:
                    time.sleep(0.05)
                assert _with(server, slow).status_code == 429
                assert _with(server, calm).status_code == 200

    def test_only_so_many_sessions_are_open(self, home):
        with Running(home, max_sessions=2) as server:
            assert [server.post().status_code for _ in range(3)] == [200, 200, 503]


class TestAudit:
    async def test_every_tool_call_is_recorded_without_contents(self, home, tokens):
        writer, reader = tokens.add("writer", tenant="acme"), tokens.add("reader", read_only=True)
        with Running(home) as server:
            async with ours(server, writer) as memory:
                await memory.create("The code is 4711.")
                with pytest.raises(McpToolError):
                    await memory.get(["nobody"] * 500)
            async with official(server, reader) as client:
                await client.call_tool("create_memory", {"content": "no"})
            records = server.audit()
        assert [(one["caller"], one["tenant"], one["tool"], one["outcome"]) for one in records] == [
            ("writer", "acme", "create_memory", "ok"),
            ("writer", "acme", "get_memories", "error"),
            ("reader", "local", "create_memory", "refused"),
        ]
        assert all(one["ms"] >= 0 and one["at"].endswith("+00:00") for one in records)
        assert "4711" not in (home / "memory-audit.jsonl").read_text()

    def test_it_is_its_owners_alone_and_turned_over(self, home):
        from dionysus_mcp.serving.audit import AuditLog

        log = AuditLog(home / "audit.jsonl", 1024)
        for number in range(100):
            log.record({"tool": "semantic_recall", "number": number})
        log.close()
        files = sorted(home.glob("audit.jsonl*"))
        assert 2 <= len(files) <= 6
        assert all(stat.S_IMODE(file.stat().st_mode) & 0o077 == 0 for file in files)
        assert all(file.stat().st_size <= 1024 for file in files)


class TestEnds:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_a_signal_ends_it_in_order(self, home, number):
        with Running(home) as server:
            assert server.post().status_code == 200
            code, said = server.stop(number)
        assert (code, said) == (0, "")
        assert not (home / "memory.db-wal").exists()

    def test_a_port_that_is_taken_is_said(self, home):
        with Running(home) as first:
            port = first.url.split(":")[2].split("/")[0]
            with Running(home, "--port", port) as second:
                code, said = second.stop()
        assert code == 1
        assert f"port {port}" in said
        assert "--port" in said

    def test_a_store_that_cannot_be_opened_ends_it_with_the_reason(self, home):
        (home / "memory.db").write_bytes(b"no database" * 1000)
        with Running(home) as server:
            _, said = server.process.communicate(timeout=60)
        assert server.process.returncode == 1
        assert "memory.db" in said


def test_tls_is_spoken_where_there_is_a_certificate(home, tmp_path):
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "1",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem",
         "-out", tmp_path / "certificate.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    trusted = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    with Running(home, tls_certificate=tmp_path / "certificate.pem", tls_key=tmp_path / "key.pem") as server:
        assert server.url.startswith("https://")
        answer = httpx2.get(server.url.rpartition("/")[0] + "/healthz", verify=trusted, timeout=30)
        assert answer.json() == {"status": "alive"}


def test_a_certificate_that_is_none_is_said(home, tmp_path):
    (tmp_path / "certificate.pem").write_text("no certificate")
    (tmp_path / "key.pem").write_text("no key")
    with Running(home, tls_certificate=tmp_path / "certificate.pem", tls_key=tmp_path / "key.pem") as server:
        _, said = server.process.communicate(timeout=60)
    assert server.process.returncode == 1
    assert "certificate.pem" in said


def test_the_own_address_of_a_server_is_its_first_line(home):
    with Running(home, "--read-only", path="/memory") as server:
        assert server.url.endswith("/memory")
        assert server.post().status_code == 200
        assert os.path.exists(home / "memory-audit.jsonl")


def _with(server, token):
    return server.post(INITIALIZE, token)
