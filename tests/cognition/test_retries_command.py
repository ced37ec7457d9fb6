"""`dionysus think --retries N`: a task that failed is tried anew, and what every attempt cost is told."""

from __future__ import annotations

import json
import re
import threading
from typing import Any

import pytest

from tests.cognition.command_line import Command
from tests.cognition.conftest import QUESTION
from tests.support.openai_server import Action, Fail, OpenAIServer, Request, Say, ToolCall, Usage

BILLED = Usage(prompt=1000, completion=100)
SETTINGS = """
tier = "served"
[tiers.served]
models = ["openai/scripted"]
api_base = "{url}"
retries = 0
input_usd_per_million = 1.0
output_usd_per_million = 10.0
[sandbox]
backend = "monty"
[layers.perceptual]
enabled = false
[layers.consciousness]
agent = "tool_calling"
tools = ["recall"]
"""
PRICE = 0.002  # USD of one call that is billed so


class Forgetful:
    """Recalls and quotes what it found; somebody purges those memories before its quotes are checked.

    The quotes of such an attempt can't be checked, which fails it; an attempt that finds nothing answers without any.

    Args:
        command: purges, as another terminal would.
        attempts: how many of the attempts lose what they quote; each finds the memories that were told since.
    """

    def __init__(self, command: Command, attempts: int = 1) -> None:
        self.command = command
        self.left = attempts
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Action:
        with self._lock:
            if "Observation" not in request.text:
                return Say(calls=[ToolCall("recall", {"query": QUESTION})], usage=BILLED)
            found = list(dict.fromkeys(re.findall(r"m-[0-9a-f]{16}", request.text)))
            if self.left and found:
                self.left -= 1
                self.forget(found)
            evidence = [{"id": each, "quote": "We use RabbitMQ as the queue"} for each in found]
            answer = {"answer": f"RabbitMQ, by {len(found)} memories", "evidence": evidence}
            return Say(calls=[ToolCall("final_answer", {"answer": answer})], usage=BILLED)

    def forget(self, ids: list[str]) -> None:
        purged = self.command.apart("memory", "purge", *ids, "--yes")
        assert purged.code == 0, purged


@pytest.fixture
def served(remembered: Command) -> Any:
    """Run the command with a model that plays a script."""

    def think(script: Any, *options: str) -> tuple[Any, int]:
        with OpenAIServer(script) as server:
            remembered.settings(SETTINGS.format(url=server.url))
            ended = remembered("think", QUESTION, *options, env={"OPENAI_API_KEY": "sk-test-0123456789abcdef"})
            return ended, len(server.requests)

    return think


def test_a_second_attempt_answers_and_both_are_paid(served: Any, remembered: Command) -> None:
    ended, asked = served(Forgetful(remembered), "--retries", "2", "--json")
    assert ended.code == 0, ended
    said = ended.json
    assert (said["stop_reason"], said["success"]) == ("answered", True)
    assert said["answer"] == "RabbitMQ, by 0 memories"
    assert len(said["errors"]) == 1
    assert said["errors"][0].startswith("Attempt 1 of 3 failed: ")
    # both attempts: two calls each, billed alike
    assert asked == 4
    assert said["usage"]["consciousness"]["model_calls"] == 4
    assert said["usage"]["consciousness"]["input_tokens"] == 4 * BILLED.prompt
    assert said["usage"]["consciousness"]["output_tokens"] == 4 * BILLED.completion
    assert said["steps"] == {"consciousness": 4}
    assert said["cost_usd"] == pytest.approx(4 * PRICE)
    attempts = remembered("trace", "show", said["run_id"], "--json").json["root"]["children"]
    assert [(each["name"], each["status"]) for each in attempts] == [("attempt 1", "error"), ("attempt 2", "ok")]


def test_without_it_the_first_failure_is_the_end(served: Any, remembered: Command) -> None:
    ended, asked = served(Forgetful(remembered), "--json")
    assert (ended.code, asked) == (1, 2)
    said = json.loads(ended.err if not ended.out else ended.out)
    assert said["error"]["exit_code"] == 1
    assert said["partial"]["cost_usd"] == pytest.approx(2 * PRICE)
    assert said["partial"]["max_steps"]["consciousness"] == 10


def test_an_outage_is_left_to_the_tiers_own_retries(served: Any) -> None:
    ended, asked = served(lambda _: Fail(500), "--retries", "3", "--json")
    assert asked == 1
    assert ended.json["error"]["kind"] == "ModelUnavailable"


@pytest.mark.parametrize("number", ["-1", "21", "1.5", "many", ""])
def test_a_wrong_number_is_refused_before_anything_starts(served: Any, remembered: Command, number: str) -> None:
    ended, asked = served(lambda _: Fail(500), "--retries", number)
    assert (ended.code, ended.out, asked) == (2, "", 0)
    assert "--retries" in ended.err
    assert not (remembered.home / "trace.db").exists()


def test_help_tells_of_it_with_an_example(command: Command) -> None:
    told = command("think", "--help").out
    assert re.search(r"--retries N +\S", told)
    assert re.search(r"dionysus think .*--retries \d", told.partition("Examples:")[2])
