"""What a stranger may do wrong, and what may break: one clear message, an exit code, and nothing lost."""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.cognition.command_line import ARGV, Command, Terminal, environment

# Colours, the window's title, the bell, a C1 control sequence, and a mark that turns the direction of reading.
STEERING = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x9b31m \u202e \r"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]")


@pytest.fixture
def steering(command: Command) -> Command:
    (command.folder / "door.md").write_text(f"# Door\n\nThe code of the door is {STEERING} 4711.\n")
    assert command("remember", "door.md").code == 0
    return command


def test_what_steers_a_terminal_is_never_written_raw(steering: Command) -> None:
    question = f"What is the code of the door {STEERING}?"
    for arguments in (
        ("recall", "code of the door"),
        ("recall", "code of the door", "--json"),
        ("think", question),
        ("think", question, "--json"),
        ("trace", "ls"),
        ("trace", "show", "--said"),
        ("trace", "show", "--json"),
    ):
        ended = steering(*arguments)
        assert OBEYED.search(ended.out) is None, arguments
        assert OBEYED.search(ended.err) is None, arguments


def test_nor_in_a_terminal_where_our_own_colours_stay(steering: Command) -> None:
    with Terminal(steering, "recall", "code of the door") as terminal:
        assert terminal.ended() == 0
        screen = terminal.screen
    assert "4711" in screen
    assert "\x1b[1;36m" in screen, "headings are coloured"
    assert "\x1b]0;" not in screen
    assert "\x1b[31m" not in screen
    assert "\x9b" not in screen
    assert "\u202e" not in screen


def test_json_keeps_such_text_as_escapes(steering: Command) -> None:
    (hit, *_) = steering("recall", "code of the door", "--json").json["hits"]
    assert "\x9b31m" in hit["content"]


def test_a_locale_without_umlauts_is_no_obstacle(command: Command) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    (command.folder / "tür.md").write_text("Die Tür öffnet um neun.\n")
    assert command.apart("remember", ".", env=ascii_only).code == 0
    found = command.apart("recall", "öffnet Tür", "--json", env=ascii_only)
    assert found.code == 0, found.err
    assert json.loads(found.out)["missing_terms"] == []
    assert json.loads(found.out)["hits"][0]["source"] == "tür.md:1"


def test_a_file_name_that_is_no_utf8_is_no_obstacle(command: Command) -> None:
    Path(os.fsdecode(os.fsencode(command.folder) + b"/t\xfcr.md")).write_text("The door opens at nine.\n")
    assert command("remember", ".").code == 0
    assert "The door opens at nine." in command("recall", "door").out


def test_closed_streams_are_no_accident(command: Command) -> None:
    line = " ".join([*ARGV, "trace", "ls", ">&-", "2>&-"])
    done = subprocess.run(["/bin/sh", "-c", line], env=environment(command.home), timeout=60, check=False)
    assert done.returncode == 0


def test_a_working_directory_that_is_gone_is_named(command: Command) -> None:
    gone = command.folder / "gone"
    gone.mkdir()
    line = f"rmdir {gone} && exec {' '.join(ARGV)} recall tea"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=gone,
        env=environment(command.home),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "Error: The working directory is gone: change to a folder that exists.\n"


def test_an_empty_query_is_wrong_usage(command: Command) -> None:
    ended = command("recall", "  ")
    assert ended.code == 2
    assert "it is empty" in ended.err


def test_a_run_that_found_nothing_before_it_failed_says_only_why(remembered: Command) -> None:
    ended = remembered("think", "Which queue do we use?", "--steps", "1")
    assert ended.code == 4
    assert "no answer yet" not in ended.out + ended.err
    assert "Trace: dionysus trace show" in ended.err


def test_a_store_below_a_file_is_told_once_and_plainly(command: Command) -> None:
    blocked = Path(command.folder / "file")
    blocked.write_text("not a folder")
    for name in ("recall", "think"):
        ended = command(name, "tea", "--memory", f"sqlite:///{blocked}/notes.db")
        assert ended.code == 6
        assert "Error: The memory store" in ended.err
        assert "MCP server" not in ended.err
        assert "Error executing" not in ended.err
