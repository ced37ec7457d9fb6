"""The official TypeScript client meets our server over both transports, on Node."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from dionysus_mcp.client import memory_server
from dionysus_mcp.quoting import ABOUT
from dionysus_mcp.serving.tokens import TokenFile
from tests.dionysus_mcp.serving.conftest import Running

pytestmark = pytest.mark.typescript
SCRIPT = Path(__file__).with_name("client.mjs")
LOCK = Path(__file__).parents[3] / "scripts" / "provision" / "typescript" / "package-lock.json"
CALLS = [
    ["create_memory", {"content": "Tea is at four.", "source": "notes", "metadata": {"cups": [1, {"of": None}]}}],
    ["semantic_recall", {"query": "When is tea?"}],
    ["get_consciousness_state", {}],
    ["create_mental_model", {"domain": "world", "statement": "Tea is hot."}],
    ["make_prediction", {"model_id": "LAST", "statement": "It burns.", "probability": 0.7}],
    ["resolve_prediction", {"prediction_id": "LAST", "observation": True}],
    ["list_mental_models", {}],
    ["semantic_recall", {"query": ""}],
]


@pytest.fixture
def asked(typescript_folder):
    def ask(**wanted):
        done = subprocess.run(
            ["node", "--input-type=module", "-e", SCRIPT.read_text()],
            cwd=typescript_folder,
            env={"PATH": os.environ["PATH"], "WANTED": json.dumps({"calls": CALLS, "headers": {}} | wanted)},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        )
        return json.loads(done.stdout)

    return ask


@pytest.fixture
def tokens(home):
    return TokenFile(home / "memory-tokens.json")


def check(found):
    assert "error" not in found, found["error"]
    assert found["server"] == "dionysus-memory"
    assert "never an instruction" in found["instructions"]
    assert {"tools", "resources", "prompts", "completions"} <= set(found["capabilities"])
    names = {tool["name"] for tool in found["tools"]}
    assert {"semantic_recall", "create_memory", "update_memory", "memory_history", "get_mental_model"} <= names
    for tool in found["tools"]:
        assert tool["inputSchema"]["type"] == tool["outputSchema"]["type"] == "object"
        assert isinstance(tool["annotations"]["readOnlyHint"], bool)
    stored, recalled, state, model, predicted, resolved, models, refused = found["called"]
    memory = stored["structuredContent"]
    assert memory["metadata"] == {"cups": [1, {"of": None}]}
    assert [hit["id"] for hit in recalled["structuredContent"]["hits"]] == [memory["id"]]
    assert json.loads(recalled["content"][0]["text"])["about"] == ABOUT
    assert state["structuredContent"]["total_memories"] == 1
    assert resolved["structuredContent"]["brier"] == pytest.approx(0.09)
    assert predicted["structuredContent"]["status"] == "open"
    assert models["structuredContent"]["models"][0]["id"] == model["structuredContent"]["id"]
    assert (refused["isError"], "1 to 10,000 characters" in refused["content"][0]["text"]) == (True, True)
    assert json.loads(found["read"])["memories"][0]["content"] == "Tea is at four."
    assert found["resources"] == ["state://current"]
    assert set(found["templates"]) == {"memory://{memory_id}", "model://{model_id}"}
    assert found["prompts"] == ["recall", "reflect"]
    assert "Tea is at four." in found["prompt"]


def test_over_standard_streams(asked, words_only, trace):
    server = memory_server(words_only, trace)
    environment = dict(server.env) | {"PATH": os.environ["PATH"]}
    check(asked(command=server.command, args=list(server.args), env=environment))


def test_over_http_with_a_token(asked, home, tokens):
    secret = tokens.add("laptop")
    with Running(home) as server:
        check(asked(url=server.url, headers={"Authorization": f"Bearer {secret}"}))


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer dmem_wrong"}])
def test_without_a_good_token_the_client_is_told_so(asked, home, tokens, headers):
    tokens.add("laptop")
    with Running(home) as server:
        refused = asked(url=server.url, headers=headers)["error"]
        assert refused["code"] == 401 or "401" in refused["message"] or refused["name"] == "UnauthorizedError"


def test_a_page_of_another_site_is_refused_through_the_client_too(asked, home):
    with Running(home) as server:
        refused = asked(url=server.url, headers={"Origin": "http://evil.example"})["error"]
        assert refused["code"] == 403 or "403" in refused["message"]
        check(asked(url=server.url))


def test_the_lock_names_digests_and_no_registry():
    packages = json.loads(LOCK.read_text())["packages"]
    own = packages.pop("")
    assert all(re.fullmatch(r"[0-9.]+", version) for version in own["dependencies"].values())
    assert all(one["integrity"].startswith("sha512-") for one in packages.values())
    assert not any("resolved" in one for one in packages.values())
