"""Who makes and ends containers: a few are kept ready, each is used by one session, and none outlives its owner."""

from __future__ import annotations

import contextlib
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

from sandbox.docker import box as boxes
from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.detect import choose_runtime, connect, facts
from sandbox.docker.image import find
from sandbox.docker.reaper import owner_labels, reap
from sandbox.errors import SandboxUnavailable
from sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer

    from sandbox.docker.box import Box
    from sandbox.docker.session import DockerSandbox

_LEAST_MEMORY: Final = 32 * 1024 * 1024
GUIDANCE: Final = """\
Your code runs in CPython {python} in a container of its own.
- All of the standard library can be imported{packages}. Nothing can be installed.
- There is no network: reach the outside only through your tools.
- Files: relative names, in a folder of your own; {files} MiB together.
- Variables, functions, imports and files are kept from one code block to the next.
- A code block may run {timeout:g} s, with {memory} MiB of memory."""


class DockerBackend:
    """Opens `DockerSandbox`es.

    Args:
        settings: the limits, the image, the engine, and how many containers are kept ready.
        notice: what the user must know about this choice.

    Raises:
        SandboxUnavailable: there is no engine, no image or no such runtime; the message says what to do.
    """

    name = "docker"

    def __init__(self, settings: SandboxSettings | None = None, *, notice: str | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.notice = notice
        if self.settings.memory < _LEAST_MEMORY:
            raise SandboxUnavailable(
                f"a container needs {_LEAST_MEMORY:,} bytes of memory and [sandbox] memory is {self.settings.memory:,}"
            )
        self._api = connect(self.settings)
        try:
            self.engine = facts(self._api)
            self.image = find(self._api, self.settings.image)
            self._runtime = choose_runtime(self.engine, self.settings.runtime)
        except BaseException:
            self._api.close()
            raise
        self._labels = owner_labels()
        self._lock = threading.Lock()
        self._closed = False
        self._ready: list[Box] = []
        self._filling = 0
        self._places = threading.BoundedSemaphore(self.settings.max_sessions)
        self._used: set[Box] = set()
        self._users: weakref.WeakSet[DockerSandbox] = weakref.WeakSet()
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="sandbox-maker")
        self._remover = ThreadPoolExecutor(1, thread_name_prefix="sandbox-remover")
        self._remover.submit(reap, self._api, self._labels)
        self._fill()

    @property
    def guidance(self) -> str:
        """For the prompt: which Python this is and what can be imported."""
        packages = ", ".join(self.image.packages)
        return GUIDANCE.format(
            python=self.image.python or "3",
            packages=f", and {packages}" if packages else "",
            files=self.settings.files_limit >> 20,
            timeout=self.settings.step_timeout,
            memory=self.settings.memory >> 20,
        )

    def open(
        self,
        *,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> DockerSandbox:
        """Open a sandbox for one agent run; see `Backend.open`."""
        from sandbox.docker.session import DockerSandbox

        self._check_open()
        sandbox = DockerSandbox(
            limits=self.settings, tracer=tracer, stop=stop, deadline=deadline, files=files, backend=self
        )
        self._users.add(sandbox)
        return sandbox

    def close(self) -> None:
        """End every sandbox and container of this backend. May be called again."""
        with self._lock:
            closed, self._closed = self._closed, True
        for sandbox in list(self._users):
            sandbox.cleanup()
        if closed:
            return
        self._maker.shutdown(cancel_futures=True)
        for box in self._take_all():
            self.give_back(box)
        self._remover.shutdown()
        self._api.close()

    def take(self, user: DockerSandbox) -> Box:
        """A box of its own for a session: one that is ready, or a new one.

        Raises:
            SandboxUnavailable: the engine is gone, or too many boxes are in use.
        """
        self._check_open()
        if not self._places.acquire(timeout=self.settings.open_timeout):
            raise SandboxUnavailable(
                f"{self.settings.max_sessions} sandboxes are in use; raise max_sessions in [sandbox] or run fewer "
                "agents at once"
            )
        try:
            box = self._from_ready() or self._make()
        except BaseException:
            self._places.release()
            raise
        with self._lock:
            self._used.add(box)
        # A session that nobody closed, and nobody can reach any more, must not keep its container.
        weakref.finalize(user, self.give_back, box).atexit = False
        self._fill()
        return box

    def give_back(self, box: Box) -> None:
        """End a box; it is never used by another session. May be called again."""
        with self._lock:
            held = box in self._used
            self._used.discard(box)
        if held:
            self._places.release()
        self._end(box)

    def check(self) -> None:
        """Raise SandboxUnavailable unless the engine still answers."""
        self._check_open()
        facts(self._api)

    def _check_open(self) -> None:
        if self._closed:
            raise SandboxUnavailable("the sandbox backend is closed; make a new one with select()")

    def _make(self) -> Box:
        return boxes.start(self._api, self.settings, self.engine, self.image.id, self._runtime, self._labels)

    def _end(self, box: Box) -> None:
        if not box.channel.close():
            return
        try:
            self._remover.submit(boxes.remove, self._api, box.id)
        except RuntimeError:  # closed meanwhile
            boxes.remove(self._api, box.id)

    def _from_ready(self) -> Box | None:
        while True:
            with self._lock:
                if not self._ready:
                    return None
                box = self._ready.pop(0)
            if _lives(box):
                return box
            self._end(box)

    def _take_all(self) -> list[Box]:
        with self._lock:
            held, self._ready = [*self._ready, *self._used], []
        return held

    def _fill(self) -> None:
        """Have as many boxes made, in the background, as are to be ready."""
        with self._lock:
            missing = self.settings.warm - len(self._ready) - self._filling
            if missing <= 0 or self._closed:
                return
            self._filling += missing
        for _ in range(missing):
            with contextlib.suppress(RuntimeError):
                self._maker.submit(self._fill_one)

    def _fill_one(self) -> None:
        try:
            box = self._make()
        except SandboxUnavailable:
            box = None  # whoever needs one next makes it himself, and hears why it can't be made
        with self._lock:
            self._filling -= 1
            kept = box is not None and not self._closed
            if box is not None and kept:
                self._ready.append(box)
        if box is not None and not kept:
            self._end(box)


def _lives(box: Box) -> bool:
    """Whether a box that waited is still there; it has nothing to say until it is asked."""
    try:
        return box.channel.peek()
    except ChannelClosedError:
        return False
