"""A data folder of its own for each test of the command, and one with memories that reading tests share."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cognition.command_line import Command, Thought
from tests.cognition.warm import one_embedding_model, warm_memory_servers

QUESTION = "Which queue do we use?"
NOTES = """# Queue

## Decision

We use RabbitMQ as the queue since March 2024, because it keeps the order of messages for each customer.

## Owner

Mara Lindqvist decided on the queue after the outage of February 2024.
"""


@pytest.fixture(scope="package", autouse=True)
def warm() -> Iterator[Callable[[], object]]:
    """What takes seconds to load is loaded once for all minds and commands; no other folder's tests get any of it."""
    with warm_memory_servers() as started, one_embedding_model():
        yield started


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """The command without any memories, in an empty folder."""
    (tmp_path / "folder").mkdir()
    return Command(tmp_path / "home", tmp_path / "folder")


@pytest.fixture(scope="package")
def _remembered(warm: object, tmp_path_factory: pytest.TempPathFactory) -> Command:
    top = tmp_path_factory.mktemp("remembered")
    (top / "folder").mkdir()
    command = Command(top / "home", top / "folder")
    (command.folder / "queue.md").write_text(NOTES)
    done = command("remember", "queue.md")
    assert done.code == 0, done.err
    return command


@pytest.fixture
def remembered(_remembered: Command, tmp_path: Path) -> Command:
    """The command with the notes in memory; each test has a copy."""
    shutil.copytree(_remembered.home, tmp_path / "home")
    shutil.copytree(_remembered.folder, tmp_path / "folder")
    return Command(tmp_path / "home", tmp_path / "folder")


@pytest.fixture(scope="package")
def _thought(_remembered: Command, tmp_path_factory: pytest.TempPathFactory) -> Thought:
    top = tmp_path_factory.mktemp("thought")
    shutil.copytree(_remembered.home, top / "home")
    shutil.copytree(_remembered.folder, top / "folder")
    command = Command(top / "home", top / "folder")
    return Thought(command, command("think", QUESTION, "--json", "--session", "queues"))


@pytest.fixture
def thought(_thought: Thought, tmp_path: Path) -> Thought:
    """The notes in memory and one run in the trace; each test has a copy."""
    shutil.copytree(_thought.command.home, tmp_path / "home")
    shutil.copytree(_thought.command.folder, tmp_path / "folder")
    return Thought(Command(tmp_path / "home", tmp_path / "folder"), _thought.outcome)


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """No settings of this machine, and an empty working directory that belongs to no repository."""
    import os

    for name in list(os.environ):
        if name.startswith("DIONYSUS_") or name == "DATABASE_URL" or "API_KEY" in name:
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.setenv("DIONYSUS_HOME", str(tmp_path / "home"))
    (tmp_path / "folder").mkdir(exist_ok=True)
    monkeypatch.chdir(tmp_path / "folder")
    return monkeypatch
