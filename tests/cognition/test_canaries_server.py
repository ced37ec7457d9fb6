"""The bearer token of a memory server that several minds share, sought at every exit of a run that calls it."""

from __future__ import annotations

import contextlib
import json
import logging
import traceback

import pytest

from cognition import Mind, ThinkingError
from dionysus_mcp.serving.tokens import PREFIX, TokenFile
from tests.cognition.test_canaries import pages_of, texts_of, tier
from tests.dionysus_mcp.serving.conftest import Running
from tests.support.openai_server import OpenAIServer, Request, Say

WRONG = f"{PREFIX}not-one-that-the-server-knows-4711"
TOML = """
[mcp.shared]
url = "{url}"
headers = {{ Authorization = "Bearer {token}" }}
"""

# It asks the server, looks around for what begins like a token, has a tool tell the settings, and is refused something.
SPYING = f"""
def environ():
    import os
    return dict(os.environ)
def own():
    return open('/proc/self/environ').read()
def first():
    return open('/proc/1/environ').read()
def settings():
    return open('dionysus.toml').read()
shared_create_memory(content='The tide turns at four.')
print('recalled:', shared_semantic_recall(query='tide')['hits'][0]['content'])
seen = []
for look in (environ, own, first, settings, lambda: shared_semantic_recall):
    try:
        seen.append(str(look()))
    except Exception as error:
        seen.append(str(error))
print('spied:', ['LE' + 'AK' if '{PREFIX}' in each else 'nothing' for each in seen])
print('leaked:', leaky())
shared_create_memory(content='The settings say: ' + str(leaky()))
try:
    shared_get_memories(ids=['m-unknown'])
except Exception as error:
    print('told:', error)
"""


def play(request: Request) -> Say:
    if request.number == 1:
        return Say(f"I ask the others.\n<code>{SPYING}</code>")
    return Say("I answer.\n<code>\nfinal_answer({'answer': 'The tide turns at four.'})\n</code>")


@pytest.fixture
def shared(tmp_path):
    """A memory server over HTTP that wants a token, the folder of a mind that has one, and the token."""
    home = tmp_path / "server"
    home.mkdir()
    token = TokenFile(home / "memory-tokens.json").add("mind")
    with Running(home) as server:
        yield server, token


@pytest.fixture
def make_mind(shared, tmp_path):
    """Make a mind whose settings file names the server; with a token of one's own, or the right one."""
    server, right = shared
    file = tmp_path / "dionysus.toml"

    def leaky() -> str:
        """Tell the settings."""
        return file.read_text()

    def make(url: str, token: str = right, sandbox: str = "monty") -> Mind:
        file.write_text(TOML.format(url=server.url, token=token))
        tools = ["shared.create_memory", "shared.semantic_recall", "shared.get_memories"]
        return Mind(
            file,
            tiers=tier(url),
            tier="served",
            tools=[leaky],
            sandbox=sandbox,
            memory=f"sqlite:///{tmp_path / 'own.db'}",
            trace={"path": tmp_path / "trace.db"},
            layers={"consciousness": {"tools": tools}, "perceptual": {"enabled": False}},
        )

    return make


def exits_of(caplog, capfd, tmp_path, **more: str) -> dict[str, str]:
    databases = {path.name: texts_of(path) for path in tmp_path.glob("*.db")}
    return {**databases, "log": caplog.text, "streams": "".join(capfd.readouterr()), **more}


@pytest.mark.parametrize("sandbox", ["monty", pytest.param("docker", marks=pytest.mark.docker), "unsafe-local"])
def test_a_working_servers_token_leaves_by_no_exit(shared, make_mind, sandbox, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    running, token = shared
    with OpenAIServer(play) as server:
        with make_mind(server.url, sandbox=sandbox) as mind:
            thinking = mind.start("When does the tide turn?")
            events = "\n".join(map(repr, thinking.events()))
            thought = thinking.result()
            exported = json.dumps(mind.trace(thought.run_id).to_json(0), default=str)
        prompts = json.dumps([asked.body for asked in server.requests])
    assert thought.answer == "The tide turns at four."
    assert "recalled: The tide turns at four." in prompts  # the server took the token
    assert "told: " in prompts
    assert {record["caller"] for record in running.audit()} == {"mind"}
    assert "spied:" in prompts
    assert "LEAK" not in prompts
    assert "[redacted]" in prompts.partition("leaked: ")[2]
    exits = exits_of(
        caplog,
        capfd,
        tmp_path,
        prompts=prompts,
        events=events,
        thought=thought.model_dump_json() + str(thought) + repr(thought),
        export=exported,
        pages=pages_of(tmp_path / "trace.db", thought.run_id),
        audit=json.dumps(running.audit()),
        shared=texts_of(running.home / "memory.db"),
    )
    assert {"own.db", "trace.db"} <= set(exits)
    assert "The settings say: " in exits["shared"]
    assert [name for name, text in exits.items() if token in text or token[len(PREFIX) :] in text] == []
    _, said = running.stop()
    assert token not in said


def test_a_token_that_the_server_refuses_is_told_by_no_error(make_mind, tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    with OpenAIServer(play) as server, pytest.raises(ThinkingError) as ended:
        with contextlib.closing(make_mind(server.url, token=WRONG)) as mind:
            mind.think("When does the tide turn?")
        assert server.requests == []
    exits = exits_of(
        caplog,
        capfd,
        tmp_path,
        message=f"{ended.value} {ended.value!r}",
        traceback="".join(traceback.format_exception(ended.value)),
        partial=ended.value.partial.model_dump_json(),
    )
    assert "shared" in exits["message"]
    assert [name for name, text in exits.items() if WRONG[len(PREFIX) :] in text] == []
