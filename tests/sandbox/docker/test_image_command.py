"""Programs that a build runs are shown as they go, and end with it."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from sandbox import ImageNotBuilt
from sandbox.docker.build.command import run

STARTS_A_CHILD = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)
time.sleep(600)
"""


def test_every_line_is_told_as_it_comes(tmp_path: Path) -> None:
    lines: list[str] = []
    run([sys.executable, "-c", "print('one'); print('zwei ü \\x1b')"], progress=lines.append, cwd=tmp_path)
    assert lines == ["one", "zwei ü \x1b"]


def test_a_failure_comes_with_the_last_words(tmp_path: Path) -> None:
    talks = "import sys; print('first'); [print(n) for n in range(50)]; sys.exit('no space left')"
    with pytest.raises(ImageNotBuilt) as failed:
        run([sys.executable, "-u", "-c", talks], progress=lambda line: None, cwd=tmp_path)
    assert "ended with 1" in str(failed.value)
    assert "no space left" in str(failed.value)
    assert "first" not in str(failed.value)


def test_a_program_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageNotBuilt, match="no-such-program can't be started"):
        run(["no-such-program"], progress=lambda line: None, cwd=tmp_path)


def test_an_interrupt_ends_the_program_and_its_children(tmp_path: Path) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([sys.executable, "-c", STARTS_A_CHILD], progress=interrupt, cwd=tmp_path)
    until = time.monotonic() + 10
    while _lives(pids[0]) and time.monotonic() < until:
        time.sleep(0.02)
    assert not _lives(pids[0])


def test_it_reads_nothing_and_runs_where_it_is_told(tmp_path: Path) -> None:
    lines: list[str] = []
    asks = "import os, sys; print(os.getcwd(), repr(sys.stdin.read()))"
    run([sys.executable, "-c", asks], progress=lines.append, cwd=tmp_path)
    assert lines == [f"{tmp_path} ''"]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
