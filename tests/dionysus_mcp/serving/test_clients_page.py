"""Every configuration that the docs give for a client is well-formed, and what it names answers."""

import json
import re
import shlex
import sys
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from dionysus_mcp.serving.settings import ServerSettings
from dionysus_mcp.serving.tokens import TokenFile
from dionysus_mcp.settings import McpServerSettings
from tests.dionysus_mcp.serving.conftest import ROOT, Running

pytestmark = pytest.mark.anyio
BLOCK = re.compile(r"^```(json|toml|sh)\n(.*?)^```", re.MULTILINE | re.DOTALL)
SECTION = re.compile(r"^## (.+)\n((?:(?!^## ).*\n?)*)", re.MULTILINE)
TABLES = {"mcpServers", "servers", "context_servers", "mcp_servers", "mcp"}
FIELDS = {"type", "command", "args", "env", "url", "serverUrl", "headers", "bearer_token_env_var"}
TABLE_OF = {"VS Code": "servers", "Zed": "context_servers", "Codex": "mcp_servers", "Another mind": "mcp"}


def read(kind, text):
    """The servers that one block configures, by the table that they stand in."""
    if kind == "sh":
        return {"mcpServers": [as_json(line) for line in text.splitlines()]}
    config = json.loads(text) if kind == "json" else tomllib.loads(text)
    return {table: list(servers.values()) for table, servers in config.items() if table in TABLES}


def as_json(line):
    """What `claude mcp add` is told, as its configuration file would have it."""
    words = shlex.split(line)
    assert words[:3] == ["claude", "mcp", "add"]
    if "--" in words:
        command, *args = words[words.index("--") + 1 :]
        return {"type": "stdio", "command": command, "args": args}
    header = words[words.index("--header") + 1].split(": ", 1)
    return {"type": words[words.index("--transport") + 1], "url": words[-1], "headers": dict([header])}


PAGE = (ROOT / "docs" / "memory-clients.md").read_text()
FOUND = [
    (client, table, server)
    for client, section in SECTION.findall(PAGE)
    for kind, text in BLOCK.findall(section)
    for table, servers in read(kind, text).items()
    for server in servers
]
STARTED = {json.dumps([one["command"], one["args"], one.get("env", {})]) for _, _, one in FOUND if "command" in one}
REACHED = [one for _, _, one in FOUND if "command" not in one]


def test_each_client_has_both_ways_in_the_form_that_it_reads():
    clients = {client for client, _, _ in FOUND}
    assert {"Claude Code", "Claude Desktop", "Cursor", "VS Code", "Windsurf", "Zed", "Codex"} <= clients
    for client, table, server in FOUND:
        assert table == TABLE_OF.get(client, "mcpServers"), client
        assert set(server) <= FIELDS, client
        assert ("serverUrl" in server) == (client == "Windsurf" and "command" not in server), client
    for client in clients - {"Claude Desktop"}:  # which reaches addresses through its own list of connectors
        ways = {"command" in server for name, _, server in FOUND if name == client}
        assert ways == {True, False}, client


def test_the_readme_has_the_same_command():
    shown = [json.loads(text) for kind, text in BLOCK.findall((ROOT / "README.md").read_text()) if kind == "json"]
    servers = [server for one in shown for server in one.get("mcpServers", {}).values()]
    assert servers
    assert {json.dumps([one["command"], one["args"], {}]) for one in servers} <= STARTED


@pytest.mark.parametrize("started", sorted(STARTED))
async def test_the_command_starts_a_server_that_answers(started, home, monkeypatch):
    command, args, environment = json.loads(started)
    assert command == "python"
    environment |= {
        "PATH": str(Path(sys.executable).parent),
        "PYTHONPATH": str(ROOT),
        "DIONYSUS_HOME": str(home),
        "DIONYSUS_MEMORY__EMBEDDER": "none",
    }
    async with Client(StdioServerParameters(command=sys.executable, args=args, env=environment)) as client:
        await client.call_tool("create_memory", {"content": "Tea is at four."})
        found = await client.call_tool("semantic_recall", {"query": "tea"})
        assert found.structured_content["hits"][0]["content"] == "Tea is at four."
    assert (home / "memory.db").exists()


def test_the_addresses_are_where_the_server_listens(home):
    secret = TokenFile(home / "memory-tokens.json").add("laptop")
    with Running(home) as server:
        for one in REACHED:
            url = one.get("url") or one["serverUrl"]
            default = ServerSettings()
            assert url == f"http://{default.host}:{default.port}{default.path}"
            assert urlsplit(server.url).path == urlsplit(url).path
            header = one.get("headers", {}).get("Authorization", "Bearer TOKEN")
            sent = re.sub(r"TOKEN|\$\{[^}]+\}", secret, header).removeprefix("Bearer ")
            assert server.post(token=sent).status_code == 200


def test_another_minds_settings_are_those_that_it_takes():
    for client, _, server in FOUND:
        if client == "Another mind":
            McpServerSettings(**server)
