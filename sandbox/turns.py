"""Whose turn it is with a sandbox: one step's, or that of whoever looks at its files between two steps."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sandbox.errors import SandboxError

if TYPE_CHECKING:
    from collections.abc import Generator


class Turns:
    """Lets one thread at a time use a sandbox.

    A second step is refused and not queued: whose code it would see the variables of, depends on who comes first. File
    operations wait for one another, and a step for them, since none of them takes long.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._step: int | None = None
        self._visit: int | None = None

    @contextmanager
    def step(self) -> Generator[None]:
        """The time of one step, which belongs to this thread.

        Raises:
            SandboxError: another step is running.
        """
        with self._changed:
            self._wait("this sandbox is running code already; open one sandbox for each agent")
            self._step = threading.get_ident()
        try:
            yield
        finally:
            with self._changed:
                self._step = None
                self._changed.notify_all()

    @contextmanager
    def visit(self) -> Generator[None]:
        """A look between two steps, or inside of one by a tool that its code has called.

        Raises:
            SandboxError: another thread's step is running.
        """
        here = threading.get_ident()
        if self._step == here:  # only this thread could have set it, and only this thread can end it
            yield
            return
        with self._changed:
            self._wait(
                "this sandbox is running code: its files can be reached between two steps, and during one from a tool "
                "that its code calls, in the thread of that call"
            )
            self._visit = here
        try:
            yield
        finally:
            with self._changed:
                self._visit = None
                self._changed.notify_all()

    def _wait(self, refusal: str) -> None:
        while True:
            if self._step is not None:
                raise SandboxError(refusal)
            if self._visit is None:
                return
            self._changed.wait()
