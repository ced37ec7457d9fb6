"""Processes that own containers, and what the engine has of them: for tests that end such a process."""

from __future__ import annotations

import time
from collections.abc import Callable

import docker

from sandbox.docker.reaper import LABEL

OPEN = """\
import os, signal, sys, threading, time
from sandbox import DockerBackend, SandboxSettings
backend = DockerBackend(SandboxSettings(image=sys.argv[1], warm={warm}, step_timeout={step}))
box = backend.open()
def now(): print("now", flush=True)
def soon(act=now): threading.Timer(0.3, act).start()
def all_ready():
    while len(backend._pool._ready) < {warm}: time.sleep(0.02)
"""
# Number of boxes that are kept ready, and what else the owner does; the container is there when it says "now".
MOMENTS = {
    "with boxes that wait": (2, "all_ready()\nnow()\ntime.sleep(60)"),
    "between two steps": (0, "box('x = 1')\nnow()\ntime.sleep(60)"),
    "in a step": (0, "box('1')\nsoon()\nbox('while True: pass')"),
    "in a step that forks": (
        0,
        "box('1')\nsoon()\nbox('import os, signal\\nsignal.pthread_sigmask(0, range(1, 64))\\n"
        'for _ in range(5): os.fork() or exec("while True: pass")\\nwhile True: pass\')',
    ),
    "in a call of the host": (
        0,
        "def wait():\n    now()\n    time.sleep(60)\nbox.send_tools({'wait': wait})\nbox('wait()')",
    ),
    "with a flood of output": (0, "box('1')\nsoon()\nbox('while True: print(\"x\" * 1000)')"),
    "and a forked child that lives on": (
        1,
        "box('x = 1')\nall_ready()\nif os.fork() == 0:\n    time.sleep(20)\n    os._exit(0)\nnow()\ntime.sleep(60)",
    ),
}


def opened(warm: int, rest: str, *, step: float = 30) -> str:
    """The code of an owner."""
    return OPEN.format(warm=warm, step=step) + rest


def of_owner(api: docker.APIClient, pid: int, **filters: object) -> list[str]:
    """Ids of a process's containers."""
    return [each["Id"] for each in api.containers(all=True, filters={"label": f"{LABEL}.pid={pid}", **filters})]


def gone(find: Callable[[], list[str]], seconds: float) -> bool:
    """Whether nothing is found any more within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not find():
            return True
        time.sleep(0.05)
    return False
