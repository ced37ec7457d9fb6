"""`--help`: quick, with examples that run, and with every exit code."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys

import pytest

from cognition.cli.exits import ExitCode, of_reason
from layers.run import StopReason
from tests.cognition.command_line import ROOT, Command, Thought, environment

COMMANDS = (
    "think", "chat", "remember", "recall", "layers", "dashboard", "doctor", "sandbox", "sandbox build",
    "sandbox status", "trace", "trace ls", "trace show",
)  # fmt: skip
HEAVY = (
    "pydantic", "pydantic_settings", "rich", "opentelemetry", "sqlalchemy", "mcp", "litellm", "smolagents", "numpy",
    "onnxruntime", "tokenizers", "starlette", "uvicorn", "docker", "asyncio", "sqlite3", "cognition.mind", "layers.run",
)  # fmt: skip


def test_help_loads_typer_and_nothing_heavy(command: Command) -> None:
    """The reason why `dionysus --help` takes no longer than that of sqlite-utils; benchmarks/help.py has the times."""
    loaded = (
        "import sys; from cognition.cli.app import app; from cognition.cli.boundary import run; "
        "code = run(app, ['--help']); print(*sys.modules, sep=' ', file=sys.stderr); sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", loaded],
        capture_output=True,
        text=True,
        env=environment(command.home),
        cwd=ROOT,
        check=True,
    )
    assert "Usage: dionysus" in done.stdout
    assert not set(HEAVY) & set(done.stderr.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_its_purpose_in_a_line_and_shows_examples(command: Command, name: str) -> None:
    told = command(*name.split(), "--help")
    assert told.code == 0
    usage, purpose = told.out.split("\n\n")[:2]
    assert usage.startswith(f"Usage: dionysus {name}")
    assert purpose.strip()
    if name not in ("sandbox", "trace"):
        assert 2 <= len(examples(told.out)) <= 3


def test_help_of_the_whole_names_every_command_and_exit_code(command: Command) -> None:
    told = command("--help").out
    for name in COMMANDS:
        assert f"\n  {name.split()[0]}  " in told
    documented = re.findall(r"(?:^ +|, )(\d+) ", told.partition("Exit codes:\n")[2], re.M)
    assert {int(code) for code in documented} == {int(code) for code in ExitCode}


@pytest.mark.parametrize(
    "name", [name for name in COMMANDS if name not in ("trace", "dashboard") and "sandbox" not in name]
)
def test_the_examples_of_help_run(thought: Thought, name: str) -> None:
    """As they stand, over memory that holds something, with the offline tier that is there without any key."""
    remembered, run_id = thought.command, thought.outcome.json["run_id"]
    for folder in ("docs", "README.md", "chat.jsonl"):
        path = remembered.folder / folder
        if folder == "docs":
            path.mkdir()
            (path / "a.md").write_text("# A\n\nThe gateway listens on port 8080.\n")
        else:
            path.write_text('{"content": "Ada likes tea."}\n')
    for args in (["init", "-q"], ["add", "."], ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "Begin"]):
        subprocess.run(["git", *args], cwd=remembered.folder, check=True, env=environment(remembered.home))
    for example in examples(remembered(*name.split(), "--help").out):
        typed, _, line = example.rpartition(" | ")
        arguments = [run_id[:6] if each == "3f2a" else each for each in shlex.split(line)[1:]]
        ended = remembered(*arguments, stdin="Which queue?\nWhy?\n" if typed else "")
        asked_for_docker = "docker" in arguments  # which says whether it is there, and may say no
        assert ended.code in ((0, 1) if asked_for_docker else (0, 3)), f"{example}\n{ended}"


@pytest.mark.parametrize("reason", StopReason)
def test_every_way_a_run_can_end_has_an_exit_code(reason: StopReason) -> None:
    assert (of_reason(reason) == ExitCode.DONE) == (reason is StopReason.ANSWERED)
    assert (of_reason(reason) == ExitCode.FAILED) == (reason is StopReason.FAILED)


def test_the_version_is_told(command: Command) -> None:
    told = command.apart("--version")
    assert told.code == 0
    assert re.fullmatch(r"dionysus (\d+\.\d+.*|from a source tree that is not installed)\n", told.out)


def test_completion_knows_the_commands(command: Command) -> None:
    told = command.apart(env={"_DIONYSUS_COMPLETE": "complete_bash", "COMP_WORDS": "dionysus th", "COMP_CWORD": "1"})
    assert "think" in told.out.split()


def examples(told: str) -> list[str]:
    block = told.partition("Examples:\n")[2].partition("\n\n")[0]
    return [line.strip() for line in block.splitlines() if line.strip()]
