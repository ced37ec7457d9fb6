"""What this process holds: children, threads, descriptors; on Linux and macOS."""

import os
import subprocess
import threading
import time
from pathlib import Path

IDLE = 9
"""Connections to an engine that may be kept for the next request, beside the first: as many as once were in use."""

_TASKS = Path("/proc/self/task")


def children() -> set[int]:
    """Process ids of all children of this process."""
    if _TASKS.is_dir():
        lists = [_children_of(task) for task in _TASKS.iterdir()]
    else:
        lists = [subprocess.run(["pgrep", "-P", str(os.getpid())], capture_output=True, text=True, check=False).stdout]
    return {int(pid) for listed in lists for pid in listed.split()}


def _children_of(task: Path) -> str:
    try:
        return (task / "children").read_text()
    except OSError:
        return ""  # the thread has ended meanwhile, and left its children to another one


def usage() -> tuple[int, int, int]:
    """How many children, threads and descriptors this process has."""
    return len(children()), threading.active_count(), len(list(Path("/dev/fd").iterdir()))


def assert_settled(before: tuple[int, int, int], *, spare: int = 0) -> None:
    """Assert that no more is held than before, but for `spare` descriptors; what was killed may take a moment to go."""
    children, threads, descriptors = before
    allowed = (children, threads, descriptors + spare)
    until = time.monotonic() + 10
    while any(now > then for now, then in zip(usage(), allowed, strict=True)) and time.monotonic() < until:
        time.sleep(0.05)
    now = usage()
    assert all(held <= then for held, then in zip(now, allowed, strict=True)), f"held {now}, before {before}"


def is_running(pid: int) -> bool:
    """Whether a process lives; one that is dead and waits to be reaped doesn't."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(state.strip()) and not state.strip().startswith("Z")
