"""Secrets of the settings and the environment, sought at every exit: each has the word that nothing else has."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
import sys
import traceback
from pathlib import Path
from typing import Any

import httpx
import pytest

from cognition import Mind, ThinkingError
from cognition.settings import SettingsError
from observability import TraceStore
from tests.cognition.command_line import Command
from tests.observability.test_dashboard import TOKEN, served
from tests.observability.test_otlp import Collector
from tests.support.openai_server import Fail, OpenAIServer, Request, Say

WORD = "Quail"
ENVIRONMENT = {
    "OPENAI_API_KEY": f"{WORD}-openai-4711",
    "ACME_SERVICE_TOKEN": f'{WORD}-"quoted\\-ünd/slashed @%41',
    "DATABASE_PASSWORD": f"{WORD}-database",
}
TIER_KEY = f"{WORD}-tier-key"
URL_PASSWORD = f"{WORD}-url/pass@word"
SERVER_SECRET = f"{WORD}-server-secret"
OTLP_KEY = f"{WORD}-otlp"

SHOP = """
import os
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
server = MCPServer("shop")
@server.tool()
def till() -> dict:
    '''Tell what the till says.'''
    return {"env": dict(os.environ), "list": [os.environ["SHOP_SECRET"]]}
@server.tool()
def breaks() -> dict:
    '''Break.'''
    raise ToolError("can't log in with " + os.environ["SHOP_SECRET"])
server.run()
"""

SPYING = f"""
seen = []
def environ():
    import os
    return dict(os.environ)
def own():
    return open('/proc/self/environ').read()
def first():
    return open('/proc/1/environ').read()
for look in (environ, own, first):
    try:
        seen.append(str(look()))
    except Exception as error:
        seen.append(str(error))
print('spied:', ['LE' + 'AK' if '{WORD[:3]}' + '{WORD[3:]}' in each else 'nothing' for each in seen])
"""

ASKING = """
for call in (shop_till, shop_breaks, leaky, breaking, hiding, inspect):
    try:
        print(call())
    except Exception as error:
        print('told:', error)
remember(content='The till said ' + str(shop_till()))
"""


def leaky() -> dict:
    """Tell all."""
    return {"env": dict(os.environ), "nested": [[("x", os.environ["ACME_SERVICE_TOKEN"])]]}


def breaking() -> str:
    """Break with a secret."""
    raise ValueError(f"401 for {os.environ['ACME_SERVICE_TOKEN']} and {TIER_KEY}")


def hiding() -> str:
    """Break with a secret in an error's key."""
    return {}[os.environ["OPENAI_API_KEY"]]


def play(request: Request) -> Say:
    """A manager that spies in its first step, asks every tool in its second, and answers with what one says."""
    if request.number <= 2:
        return Say(f"I look.\n<code>{(SPYING, ASKING)[request.number - 1]}</code>")
    return Say("I answer.\n<code>\nfinal_answer({'answer': 'The till said ' + str(shop_till())})\n</code>")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "shop.py").write_text(SHOP)
    shop = {"command": sys.executable, "args": [str(tmp_path / "shop.py")], "env": {"SHOP_SECRET": SERVER_SECRET}}
    return {
        "memory": f"sqlite:///{tmp_path / 'memory.db'}",
        "mcp": {"shop": shop},
        "layers": {
            "consciousness": {"tools": ["remember", "shop.till", "shop.breaks"]},
            "perceptual": {"enabled": False},
        },
        "tier": "served",
    }


def tier(url: str, **more: Any) -> dict[str, Any]:
    return {"served": {"models": [{"model": "openai/m", "api_base": url, "api_key": TIER_KEY}], "retries": 0, **more}}


def texts_of(database: Path) -> str:
    """All of a database's texts, and the bytes of its files."""
    found = "".join(path.read_bytes().decode("utf-8", "replace") for path in database.parent.glob(f"{database.name}*"))
    with contextlib.closing(sqlite3.connect(database)) as opened:
        return found + "\n".join(opened.iterdump())


def pages_of(store: Path, run_id: str) -> str:
    """The dashboard's pages on a run, each span's among them."""
    cookies = {"dionysus_dashboard": TOKEN}
    with served(store) as address, httpx.Client(base_url=address, cookies=cookies, timeout=60) as client:
        with TraceStore(store) as opened:
            spans = [node.span_id for _, node in opened.run(run_id).root.walk()]
        paths = ["/", f"/run/{run_id}", *(f"/run/{run_id}/span/{span}" for span in spans)]
        answers = [client.get(path) for path in paths]
        assert {answer.status_code for answer in answers} == {200}
        return "\n".join(answer.text for answer in answers)


@pytest.mark.parametrize("backend", ["monty", pytest.param("docker", marks=pytest.mark.docker), "unsafe-local"])
def test_no_secret_leaves_by_any_exit_of_a_run(settings, backend, tmp_path, caplog, capfd, request):
    caplog.set_level(logging.DEBUG)
    trace = tmp_path / "trace.db"
    collector = Collector()
    request.addfinalizer(collector.close)
    given = settings | {
        "sandbox": backend,
        "trace": {
            "path": trace,
            "otlp_endpoint": collector.endpoint,
            "otlp_content": True,
            "otlp_headers": {"x-key": OTLP_KEY},
        },
    }
    containers: list[str] = []

    def inspect() -> str:
        """Look at the containers from outside."""
        if backend == "docker":
            import docker

            with contextlib.closing(docker.from_env()) as engine:
                for box in engine.containers.list(ignore_removed=True):
                    with contextlib.suppress(docker.errors.NotFound):
                        containers.append(json.dumps(box.attrs))
        return "looked"

    with OpenAIServer(lambda request: play(request)) as server:
        with Mind(tiers=tier(server.url), tools=[leaky, breaking, hiding, inspect], **given) as mind:
            thinking = mind.start("What is in the till?")
            events = "\n".join(map(repr, thinking.events()))
            thought = thinking.result()
            exported = json.dumps(mind.trace(thought.run_id).to_json(0), default=str)
        prompts = json.dumps([asked.body for asked in server.requests])
        assert [asked.key for asked in server.requests] == [TIER_KEY] * 3
    assert "spied:" in prompts
    assert "LEAK" not in prompts
    assert prompts.count("[redacted]") >= 8
    assert "can't log in with [redacted]" in prompts
    assert bool(containers) is (backend == "docker")
    assert "x-key" in collector.headers[0]
    exits = {
        "prompts": prompts,
        "events": events,
        "thought": thought.model_dump_json() + str(thought) + repr(thought),
        "trace.db": texts_of(trace),
        "export": exported,
        "otlp": repr(collector.bodies) + repr(collector.spans),
        "memory.db": texts_of(tmp_path / "memory.db"),
        "pages": pages_of(trace, thought.run_id),
        "log": caplog.text,
        "streams": "".join(capfd.readouterr()),
        "containers": "".join(containers),
    }
    assert [name for name, text in exits.items() if WORD in text] == []


@pytest.mark.parametrize("trouble", ["401", "500", "credentials in the url", "memory", "mcp"])
def test_no_secret_is_told_by_an_error(settings, trouble, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    trace = tmp_path / "trace.db"
    given = settings | {"sandbox": "monty", "trace": {"path": trace}}

    def echo(request: Request) -> Fail:
        return Fail(int(trouble) if trouble.isdigit() else 404, f"Incorrect key {request.key} of {request.headers}")

    with OpenAIServer(echo) as server:
        url = server.url
        if trouble == "credentials in the url":
            url = url.replace("://", f"://me:{URL_PASSWORD}@")
        if trouble == "memory":
            given["memory"] = f"postgresql+psycopg://me:{WORD}-pg@127.0.0.1:1/x"
        if trouble == "mcp":
            code = "import os; raise SystemExit('no login with ' + os.environ['SHOP_SECRET'])"
            given["mcp"] = {
                "shop": {"command": sys.executable, "args": ["-c", code], "env": {"SHOP_SECRET": SERVER_SECRET}}
            }
        with (
            pytest.raises((ThinkingError, SettingsError)) as ended,
            contextlib.closing(Mind(tiers=tier(url), **given)) as mind,
        ):
            mind.think("What is in the till?")
    error = ended.value
    shown = "".join(traceback.format_exception(error))
    exits = {
        "message": f"{error} {error!r}",
        "traceback": shown,
        "partial": error.partial.model_dump_json() if getattr(error, "partial", None) else "",
        "trace.db": texts_of(trace) if trace.exists() else "",
        "log": caplog.text,
        "streams": "".join(capfd.readouterr()),
    }
    assert [name for name, text in exits.items() if WORD in text] == []


SETTINGS = f"""
tier = "main"
[tiers.main]
models = [{{ model = "openai/m", api_base = "http://127.0.0.1:1/v1", api_key = "{TIER_KEY}" }}]
retries = 0
[trace]
otlp_endpoint = "http://me:{WORD}-otlp@127.0.0.1:1"
[mcp.far]
url = "http://127.0.0.1:1/mcp?api_key={WORD}-query"
headers = {{ Authorization = "Bearer {WORD}-bearer" }}
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ("doctor", "--json"),
        ("layers", "--json"),
        ("layers",),
        ("think", "What?", "--json"),
        ("think", "What?", "--debug"),
        ("recall", "queue", "--memory", f"postgresql+psycopg://me:{WORD}-pg@127.0.0.1:1/x", "--debug"),
        ("think", "What?", "--layer", "main.tier=1"),
    ],
)
def test_the_command_shows_no_secret(command: Command, arguments: tuple[str, ...]):
    command.settings(SETTINGS)
    ended = command(*arguments, env=ENVIRONMENT)
    assert ended.out or ended.err
    assert WORD not in ended.out + ended.err


@pytest.mark.parametrize(
    "text",
    [
        f'[tiers.main]\nmodels = [{{ model = "openai/m", api_base = "http://me:{WORD}-base@127.0.0.1/v1" }}]',
        f'[tiers.main]\nmodels = [{{ model = "openai/m", api_base = "http://me:{WORD}/b@se@127.0.0.1/v1" }}]',
        f'[tiers.main]\nmodels = [{{ model = "", api_key = "{WORD}-key" }}]',
        f'[tiers.main]\nmodels = 3\napi_key = ["{WORD}-key"]',
        f'[trace]\notlp_endpoint = "ftp://me:{WORD}-otlp@127.0.0.1"',
        f'[mcp.far]\nurl = "http://x"\ncommand = "y"\nheaders = {{ Authorization = "Bearer {WORD}" }}',
        f'[memory]\nurl = ["{WORD}"]',
    ],
)
def test_a_complaint_about_settings_shows_no_secret(command: Command, text: str):
    command.settings(text)
    ended = command("layers")
    assert ended.code == 2
    assert "dionysus.toml:" in ended.err
    assert WORD not in ended.out + ended.err
