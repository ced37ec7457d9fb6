"""A session of JavaScript in a container: `DockerSandbox` with a Node as its worker.

Steps, host calls, limits and the ends of a step are those of Python, and nothing that the worker says is believed here
either.
"""

from __future__ import annotations

import json
import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.guest.wire import LOST, PROGRAM, READY, WireError
from sandbox.docker.launch import frame_limit
from sandbox.docker.session import DockerSandbox
from sandbox.errors import LimitExceeded, SandboxUnavailable, SessionLost
from sandbox.javascript.program import LEAST_MEMORY, program
from sandbox.javascript.values import reduce, with_big_integers
from sandbox.printed import Printed

if TYPE_CHECKING:
    from collections.abc import Generator

    from sandbox.docker.backend import DockerBackend
    from sandbox.docker.box import Box
    from sandbox.docker.clock import StepClock
    from sandbox.executor import Outcome
    from sandbox.settings import SandboxSettings

_START: Final = 30.0  # seconds that Node has to start, half a processor being shared
_LAST_WORDS: Final = "\n<--- Last few GCs --->"  # before pages of addresses that V8 prints when its heap is full
_NEVER_LIVED: Final = ("absent", "stillborn")


class NodeMissing(SandboxUnavailable):
    """The image has no Node, or one that does not start. The message says what to type."""


class JavaScriptSandbox(DockerSandbox):
    """Runs JavaScript, step by step; what a step declares at its top is there in the next one.

    It has the methods of `DockerSandbox`; `box(code)` gives the value of the last expression, or of a top-level
    `return`, with promises awaited. Tools are `await tools.NAME(...)`.

    Args:
        limits: what the code may use; those of the backend, or the defaults of the settings, otherwise.
        backend: who makes containers; without it the sandbox has its own.
        options: the others of `DockerSandbox`.

    Raises:
        SandboxUnavailable: there is no engine or no image.
    """

    language = "javascript"
    _reduce = staticmethod(reduce)

    def __init__(
        self, *, limits: SandboxSettings | None = None, backend: DockerBackend | None = None, **options: Any
    ) -> None:
        super().__init__(limits=limits or (backend.settings if backend else None), backend=backend, **options)
        self.node: str | None = None

    def start(self) -> str:
        """Have a container with a Node that waits for code.

        Returns:
            The version of that Node, such as `v18.20.4`.

        Raises:
            NodeMissing: the image has none that works.
            SandboxUnavailable: the engine is gone, or has no room.
        """
        with self._turns.step():
            if self._box is None:
                self._first_box()
        return self.node or ""

    def _first_box(self) -> None:
        self._check_open()
        loss = self._loss
        try:
            self._prepared(Printed(0))
        except (ChannelClosedError, WireError) as closed:
            raise SandboxUnavailable(f"the sandbox's container ended before its first step ({closed})") from closed
        finally:
            self._loss = loss  # for the next step to say

    @contextmanager
    def within(self, seconds: float) -> Generator[None]:
        """Give the steps in here another time limit."""
        usual, self._step_timeout = self._step_timeout, seconds
        try:
            yield
        finally:
            self._step_timeout = usual

    def _execute(self, code: str, printed: Printed) -> Outcome:
        try:
            return super()._execute(code, printed)
        except SessionLost:
            printed.cut(_LAST_WORDS)
            raise

    def _adopt(self, box: Box) -> None:
        """Have Node take the place of the Python that waits in every fresh box."""
        try:
            self._check_memory()
            self.node = self._changed_to_node(box)
        except BaseException:
            self._drop_box()
            raise

    def _check_memory(self) -> None:
        if self.limits.memory < LEAST_MEMORY:
            raise NodeMissing(
                f"Node needs {LEAST_MEMORY:,} bytes of memory and [sandbox] memory is {self.limits.memory:,}: raise it"
            )

    def _changed_to_node(self, box: Box) -> str:
        box.channel.send(PROGRAM, program(self.limits, frame_limit(self._boxes.settings)))
        until = time.monotonic() + _START
        while time.monotonic() < until:
            received = box.channel.receive()
            if received is None:
                self._watch()
            elif received[0] == READY:
                return str(json.loads(received[1]).get("node", ""))[:20]
            elif received[0] == LOST:
                raise self._no_node(json.loads(received[1]))
        raise ChannelClosedError(f"Node was not ready after {_START:g} s")

    def _no_node(self, lost: dict[str, Any]) -> NodeMissing:
        image = self._boxes.settings.image
        if lost.get("reason") == "absent":
            return NodeMissing(
                f"the image {image!r} has no Node, which JavaScript needs: type `dionysus sandbox build` (without "
                "--no-node), or name an image that has a `node`"
            )
        return NodeMissing(
            f"the Node of the image {image!r} does not start (status {lost.get('status')}): build it anew"
        )

    def _lost(self, payload: bytes, clock: StepClock) -> LimitExceeded:
        lost = json.loads(payload)
        if lost.get("reason") in _NEVER_LIVED:
            self._drop_box()
        if lost.get("reason") == "ended" and lost.get("status") == -signal.SIGABRT:
            self._forget()
            return SessionLost(
                "the process that ran the code was aborted, by process.abort() or because its memory was full "
                f"({self.limits.memory:,} bytes)"
            )
        return super()._lost(payload, clock)

    def _tagged(self, value: Any) -> Any:
        return with_big_integers(super()._tagged(value))
