"""Ctrl-C and SIGTERM in the middle of a step: the run is cancelled, what was found is shown, and nothing is left."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.cognition.command_line import PATIENCE, Command, Terminal, Thought
from tests.cognition.conftest import QUESTION
from tests.support.openai_server import OpenAIServer, Say

SETTINGS = """
[tiers.slow]
models = ["openai/slow"]
api_base = "{url}"
timeout = 600
[tiers.fast]
models = ["offline"]
[layers.consciousness]
tier = "slow"
"""


@pytest.fixture
def silent(thought: Thought) -> Iterator[tuple[Command, OpenAIServer]]:
    """The command with a manager whose model takes minutes for its first answer."""
    with OpenAIServer(lambda _: Say("never", after=300.0)) as server:
        thought.command.settings(SETTINGS.format(url=server.url))
        yield thought.command, server


@pytest.fixture
def deaf(command: Command) -> Command:
    """The command with an MCP server that does not start, nor hears that its input ends: closing takes two seconds."""
    text = "import pathlib, time\npathlib.Path('hangs').touch()\ntime.sleep(15)\n"
    (command.folder / "deaf.py").write_text(text)
    command.settings(f"[mcp.deaf]\ncommand = {json.dumps(sys.executable)}\nargs = ['deaf.py']\nconnect_timeout = 600\n")
    return command


def in_mid_step(process: subprocess.Popen[str], server: OpenAIServer) -> None:
    """Wait until the model has been asked, so that a step is under way."""
    assert process.stderr is not None
    assert server.wait_for_requests(1, PATIENCE), process.stderr.read()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_mid_step_shows_what_was_found_and_leaves_nothing(
    silent: tuple[Command, OpenAIServer], number: signal.Signals, code: int
) -> None:
    command, server = silent
    process = command.start("think", QUESTION)
    in_mid_step(process, server)
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "What was found until then" in err
    assert "RabbitMQ" in out  # perception had answered before the manager was asked
    assert "cancelled" in out
    assert "Traceback" not in err
    assert command.left_behind() == []
    assert len(command("recall", "queue", "--json").json["hits"]) >= 1  # what was stored is still there
    runs = command("trace", "ls", "--json").json
    assert runs[0]["stop_reason"] == "cancelled"


def test_a_second_ctrl_c_leaves_at_once(deaf: Command) -> None:
    process = deaf.start("think", QUESTION)
    assert process.stderr is not None
    until = time.monotonic() + PATIENCE
    while not (deaf.folder / "hangs").exists() and time.monotonic() < until:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    while "once more" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    assert time.monotonic() - began < 3
    assert process.returncode == 130
    assert deaf.left_behind(within=30) == []  # ours sees that we are gone; theirs naps for a while


def test_json_of_a_cancelled_run_has_the_partial_answer(silent: tuple[Command, OpenAIServer]) -> None:
    command, server = silent
    process = command.start("think", QUESTION, "--json")
    in_mid_step(process, server)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    document = json.loads(out)
    assert document["error"]["kind"] == "Cancelled"
    assert document["partial"]["stop_reason"] == "cancelled"


def test_ctrl_c_while_the_parts_start_leaves_nothing(remembered: Command) -> None:
    process = remembered.start("think", QUESTION)
    for _ in range(2000):  # until the memory server is there, which takes a while to be ready
        if any("dionysus_mcp.server" in line for line in remembered.processes()):
            break
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    assert remembered.left_behind() == []


def test_in_a_chat_ctrl_c_cancels_the_turn_and_the_next_one_leaves(silent: tuple[Command, OpenAIServer]) -> None:
    command, server = silent
    with Terminal(command, "chat") as terminal:
        terminal.wait_for("> ")
        terminal.type(f"{QUESTION}\n")
        terminal.wait_for("consciousness")
        assert server.wait_for_requests(1, PATIENCE)
        terminal.type("\x03")
        after = terminal.wait_for("Error: The run was cancelled.")
        terminal.wait_for("> ", after)
        terminal.type("\x03")
        assert terminal.ended() == 130
    assert command.left_behind() == []


def test_ctrl_c_just_before_the_wait_for_a_key_is_seen_without_one() -> None:
    code = (
        "import ctypes, functools, readline, signal\n"
        "from cognition.interrupts import interrupts_seen\n"
        # called without a line of Python in between, when the prompt is shown and nothing is waited for yet
        "readline.set_pre_input_hook(functools.partial(ctypes.PyDLL(None)['raise'], signal.SIGINT))\n"
        "try:\n"
        "    with interrupts_seen():\n"
        "        input('> ')\n"
        "except KeyboardInterrupt:\n"
        "    print('seen')\n"
    )
    pid, screen = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", code])
    shown = b""
    try:
        while b"seen" not in shown:
            ready, _, _ = select.select([screen], [], [], PATIENCE)
            assert ready, f"nothing happened after {shown!r}"
            shown += os.read(screen, 4096)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(screen)
