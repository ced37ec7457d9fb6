"""The embedded backend: code runs in monty, an interpreter that has no way to the operating system.

One process of pydantic-monty for each agent run, no other isolation needed: no engine, no image, no root. What it lacks
of Python is in `subset` and told to the agent.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from sandbox.errors import SandboxUnavailable
from sandbox.monty.pool import interpreters
from sandbox.monty.session import MontySandbox
from sandbox.monty.subset import GUIDANCE
from sandbox.settings import SandboxSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.trace import Tracer
    from pydantic_monty import Monty


class MontyBackend:
    """Opens `MontySandbox`es from one pool of interpreter processes, made on demand and never used twice.

    Args:
        settings: the limits, and how many sandboxes may be open at the same time.
        notice: what the user must know about this choice.
    """

    name = "monty"
    guidance = GUIDANCE

    def __init__(self, settings: SandboxSettings | None = None, *, notice: str | None = None) -> None:
        self.settings = settings or SandboxSettings()
        self.notice = notice
        self._lock = threading.Lock()
        self._pool: Monty | None = None
        self._closed = False
        self._open: weakref.WeakSet[MontySandbox] = weakref.WeakSet()

    def open(
        self,
        *,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> MontySandbox:
        """Open a sandbox for one agent run; see `Backend.open`."""
        with self._lock:
            if self._closed:
                raise SandboxUnavailable("the sandbox backend is closed; make a new one with select()")
            if self._pool is None:
                self._pool = interpreters(self.settings.max_sessions, self.settings.open_timeout)
            sandbox = MontySandbox(
                limits=self.settings, tracer=tracer, stop=stop, deadline=deadline, files=files, pool=self._pool
            )
            self._open.add(sandbox)
            return sandbox

    def close(self) -> None:
        """End every sandbox and process of this backend. May be called again."""
        with self._lock:
            self._closed = True
            pool, self._pool = self._pool, None
            left = list(self._open)
        for sandbox in left:
            sandbox.cleanup()
        if pool is not None:
            pool.__exit__(None, None, None)
