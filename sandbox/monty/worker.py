"""One interpreter process, driven so that a wait for it can always be broken off.

Used by `session` alone. A turn of the interpreter blocks its thread inside native code that sees no signal and can't
be interrupted; so turns run on a thread of their own, the caller waits beside it, and breaking off means killing the
process, which ends the turn.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from pydantic_monty import MontyCrashedError

from sandbox.errors import SandboxClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pydantic_monty import MontySession, SyncSnapshot

T = TypeVar("T")

_POLL = 0.05  # seconds between two looks at the stop signal; a turn that ends is noticed at once
_SETTLE = 5.0  # seconds a killed process may take to end its turn


class _Turn(Generic[T]):
    """A call on its way to the turn thread, and its result on the way back."""

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._result: T | None = None
        self._error: BaseException | None = None
        self.done = threading.Event()

    def run(self) -> None:
        try:
            self._result = self._call()
        except BaseException as error:  # noqa: BLE001 - carried over to the waiting thread, which raises it
            self._error = error
        finally:
            self.done.set()

    def result(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._result)


class Worker:
    """A checked-out interpreter process with its turn thread. Closing it ends both.

    Args:
        session: not yet entered; entering it waits for a free process and starts it.
        home: the working directory that code begins in.
        watch: called about twenty times a second while a turn runs; what it raises leaves the waiting call.

    Raises:
        TimeoutError: no process became free in the pool's time.
        BaseException: what entering raised, or what `watch` or a signal handler raised meanwhile.
    """

    def __init__(self, session: MontySession, home: str, watch: Callable[[], None]) -> None:
        self._session = session
        self._home: str | None = home
        self._watch = watch
        self._pid: int | None = None
        self._lock = threading.Lock()
        self._closed = False
        self._gone = False
        self._turns: SimpleQueue[_Turn[Any] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="sandbox-turns", daemon=True)
        self._thread.start()
        try:
            self.turn(self._enter)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int | None:
        """The process id, for diagnosis and tests."""
        return self._pid

    def start(self, code: str, inputs: Mapping[str, Any], write: Callable[[str], None]) -> SyncSnapshot:
        """Run code until it ends or asks the host for something.

        Args:
            code: one step.
            inputs: plain values bound as variables first.
            write: gets what the code prints, on the turn thread.

        Raises:
            pydantic_monty.MontyError: what the code raised, or that the process died.
            SandboxClosed: the worker was closed meanwhile.
        """
        cwd, self._home = self._home, None  # later feeds keep the folder that code has gone to
        return self.turn(
            lambda: self._session.feed_start(
                code, inputs=dict(inputs), print_callback=lambda _stream, text: write(text), cwd=cwd
            )
        )

    def turn(self, call: Callable[[], T]) -> T:
        """Run one blocking call, usually the resume of a snapshot, and wait for it.

        Raises:
            BaseException: what the call raised, or what `watch` or a signal handler raised while waiting.
        """
        turn = _Turn(call)
        with self._lock:
            if self._closed:
                raise SandboxClosed("this sandbox was closed while its code ran")
            self._turns.put(turn)
        while not turn.done.wait(_POLL):
            self._watch()
        try:
            return turn.result()
        except MontyCrashedError:
            self._gone = True
            raise

    def close(self) -> None:
        """Kill the process and end the thread. From any thread, as often as asked."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._kill()
            self._turns.put(None)
        if self._pid is not None and threading.current_thread() is not self._thread:
            self._thread.join(_SETTLE)

    def _enter(self) -> None:
        self._session.__enter__()
        self._pid = self._session.worker_pid

    def _kill(self) -> None:
        # The id is the process's own until the pool has waited for it: when its death was reported to us, or when the
        # session is left, which the turn thread does and only after this. Never signal an id that may be another's.
        if self._pid is not None and not self._gone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def _serve(self) -> None:
        while (turn := self._turns.get()) is not None:
            turn.run()
        # The process was killed: all that leaving can report is that it is gone.
        with contextlib.suppress(Exception):
            self._session.__exit__(None, None, None)
