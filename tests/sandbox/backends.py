"""The backends that go through the contract, and boxes of theirs that tests with the same limits share.

A container takes half a second to make, and to end its worker a hundredth. So a test's session gets the container of
the session before it, with a fresh worker and an empty folder. Whoever tests the life of containers makes a backend.
"""

from __future__ import annotations

import copy
import json
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sandbox import Backend, DockerSandbox, Sandbox, SandboxSettings
from sandbox.docker.backend import DockerBackend
from sandbox.docker.box import Box
from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.guest.wire import EXECUTE, LOST, PATIENCE, PROGRAM, WireError
from sandbox.docker.messages import read, written
from sandbox.monty import MontyBackend

OF_THE_HOST = {"step_timeout", "max_host_calls"}
"""Limits that no container is made with, so that sessions with other ones share a backend."""

_OF_A_SESSION = {"tracer", "stop", "deadline", "files"}
_LEISURE = 30.0  # seconds
_RENEWED = 20.0  # seconds until a container that can't be made fresh is given up for another
_SWEPT = 73  # exit status of a worker that has emptied its folder
_SWEEP = f"""\
import os, shutil
for folder in ("/tmp/work", "/tmp"):
    for path in (os.path.join(folder, name) for name in os.listdir(folder)):
        if os.path.isdir(path) and not os.path.islink(path):
            path == "/tmp/work" or shutil.rmtree(path)
        else:
            os.unlink(path)
os._exit({_SWEPT})
"""


def docker_backend(kind: type[DockerBackend] = DockerBackend, **limits: Any) -> Backend:
    image = os.environ.get("TEST_SANDBOX_IMAGE", "dionysus-sandbox:latest")
    return kind(SandboxSettings(**{"warm": 0, "image": image, **limits}))


def gvisor_backend(kind: type[DockerBackend] = DockerBackend, **limits: Any) -> Backend:
    place = {"engine": "TEST_GVISOR", "runtime": "TEST_GVISOR_RUNTIME", "image": "TEST_GVISOR_IMAGE"}
    under = {name: os.environ[variable] for name, variable in place.items()}
    return kind(SandboxSettings(**{"warm": 0, **under, **limits}))


def monty_backend(**limits: Any) -> Backend:
    return MontyBackend(SandboxSettings(**limits))


class RenewedContainers(DockerBackend):
    """Gives a container to one session after another, each time with a fresh worker and an empty folder."""

    def __init__(self, settings: SandboxSettings) -> None:
        super().__init__(settings)
        self._lent: dict[Box, tuple[Box, int]] = {}
        self._idle: list[Box] = []

    def take(self, user: Any, watch: Callable[[], None]) -> Box:
        box = self._renewed() or super().take(self, watch)
        # A copy for each session: one that is collected late gives back what another one has by then.
        lent = copy.copy(box)
        self._lent[lent] = box, threading.get_ident()
        return lent

    def give_back(self, box: Box) -> None:
        own, reader = self._lent.pop(box, (box, None))
        if reader != threading.get_ident():
            super().give_back(own)  # it is the backend that ends; or another thread may read from it still
            return
        with suppress(ChannelClosedError):
            own.channel.send(PROGRAM, b"null")  # ends everything in the box, and has a Python as its worker again
            own.channel.send(PATIENCE, repr(self.settings.step_timeout).encode())
        self._idle.append(own)

    def _renewed(self) -> Box | None:
        while self._idle:
            box = self._idle.pop()
            with suppress(ChannelClosedError, WireError):
                if _is_swept(box):
                    return box
            super().give_back(box)
        return None


def _is_swept(box: Box) -> bool:
    """Have a worker empty the folder, and end; what was said before by the one that is gone is of no interest."""
    until = time.monotonic() + _RENEWED
    sweep = written({"id": secrets.token_hex(8), "code": _SWEEP, "tools": []})
    box.channel.send(EXECUTE, sweep)
    while time.monotonic() < until:
        received = box.channel.receive()
        if received is None or received[0] != LOST:
            continue
        if read(received[1]).get("status") == _SWEPT:
            return True
        box.channel.send(EXECUTE, sweep)  # the first was dropped, since that loss had not been heard of here
    return False


class SharedBackends:
    """Opens sandboxes, all with the same limits from the same backend."""

    def __init__(self) -> None:
        self._backends: dict[str, Backend] = {}

    def open(self, make: Callable[..., Backend], **options: Any) -> Sandbox:
        """Open a sandbox of a backend; what is not an argument of `open` is a limit."""
        own = {name: options.pop(name) for name in _OF_A_SESSION & {*options}}
        if make is monty_backend:
            return self._backend(make, options).open(**own)
        hosts = {name: options.pop(name) for name in OF_THE_HOST & {*options}}
        backend = self._backend(make, {"kind": RenewedContainers, **options})
        assert isinstance(backend, DockerBackend)
        return DockerSandbox(limits=backend.settings.changed(**hosts), backend=backend, **own)

    def close(self) -> None:
        for backend in self._backends.values():
            backend.close()

    def _backend(self, make: Callable[..., Backend], options: dict[str, Any]) -> Backend:
        key = json.dumps([make.__name__, sorted(options.items())], default=str)
        if key not in self._backends:
            self._backends[key] = make(**options)
        return self._backends[key]


@contextmanager
def leisurely(box: Sandbox) -> Iterator[Sandbox]:
    """Give the steps in here time enough for a busy machine: it is another one whose end is tested.

    An interpreter of monty has one time for all its steps, and none of its steps waits for a container.
    """
    if not isinstance(box, DockerSandbox):
        yield box
        return
    usual, box._step_timeout = box._step_timeout, _LEISURE
    try:
        yield box
    finally:
        box._step_timeout = usual
