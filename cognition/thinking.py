"""A run that is under way, as its caller holds it: one thread thinks, any thread may watch, cancel and wait."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent import futures
from contextvars import copy_context
from copy import copy

from cognition.thought import ThinkingError, Thought
from layers.run import Event, EventKind, Run, StopReason
from layers.run.events import AWAKE_EVERY


class Thinking:
    """A run that is under way: watch it, cancel it, wait for its outcome. Safe to use from any thread.

    Args:
        run: the run.
        work: thinks, on the run's thread; what it returns or raises is the outcome.
    """

    def __init__(self, run: Run, work: Callable[[], Thought]) -> None:
        self._run = run
        self._work = work
        self._thought: Thought | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._think,), name=f"dionysus-run-{run.id[:8]}", daemon=True
        )
        self._ended: futures.Future[None] = futures.Future()
        self._ended.set_running_or_notify_cancel()  # nobody who waits for it can cancel it
        self._on_end: Callable[[Thinking], object] = lambda _: None

    @property
    def run_id(self) -> str:
        """Names the run in events and in the trace."""
        return self._run.id

    def begin(self, on_end: Callable[[Thinking], object]) -> None:
        """Start the run's thread; `on_end` is called at the run's end.

        Raises:
            RuntimeError: the system has no thread to give; the run has ended then.
        """
        self._on_end = on_end
        try:
            self._thread.start()
        except BaseException as error:
            self._error = error
            self._end()
            raise

    def ended(self) -> futures.Future[None]:
        """Return a future that is done once the run has ended; cancelling it does nothing."""
        return self._ended

    def events(self) -> Iterator[Event]:
        """Yield the events of the whole tree in order, from the first on, until the run has ended."""
        return iter(self._run.events)

    def aevents(self) -> AsyncIterator[Event]:
        """Yield the same for async callers; no thread waits."""
        return aiter(self._run.events)

    def cancel(self) -> None:
        """End the run now; `result` then raises `Cancelled`. Does nothing once the run has ended."""
        self._run.lifeline.stop(StopReason.CANCELLED, "The run was cancelled.")

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._ended.done()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended, at most `timeout` seconds; return whether it has."""
        if timeout is not None:
            return bool(futures.wait([self._ended], timeout).done)
        while not futures.wait([self._ended], AWAKE_EVERY).done:
            pass  # in turns, so that Ctrl-C is seen also where the kernel gave it to another thread
        return True

    def result(self, timeout: float | None = None) -> Thought:
        """Wait for the outcome. Ctrl-C while waiting cancels the run and raises `Cancelled` with the partial answer.

        Args:
            timeout: seconds to wait; the run goes on after that.

        Raises:
            ThinkingError: the run ended without an answer; `.partial` has the best so far.
            TimeoutError: it has not ended within `timeout`.
        """
        try:
            ended = self.wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            ended = self.wait()  # a second Ctrl-C leaves from here
        if not ended:
            raise TimeoutError(f"The run {self.run_id[:8]} has not ended within {timeout} s; it goes on.")
        if self._thought is not None:
            return self._thought
        assert self._error is not None  # noqa: S101 - one of the two is set before the end
        # A copy for each caller: one object raised in several threads would mix and grow their tracebacks.
        raise copy(self._error).with_traceback(self._error.__traceback__) from self._error.__cause__

    def _think(self) -> None:
        try:
            self._thought = self._work()
        except BaseException as error:  # noqa: BLE001 - promise: whatever ends the thread reaches the caller of result()
            self._error = error
        finally:
            self._end()

    def _end(self) -> None:
        """Tell everybody who waits; consumers of events too, whatever became of the run."""
        reason = self._thought.stop_reason if self._thought else getattr(self._error, "stop_reason", "failed")
        self._run.events.publish(EventKind.RUN_ENDED, (), str(reason), thought=self._thought or self._partial_thought())
        self._run.events.close()
        self._run.lifeline.close()
        self._ended.set_result(None)
        self._on_end(self)

    def _partial_thought(self) -> Thought | None:
        return self._error.partial if isinstance(self._error, ThinkingError) else None


async def begun_apart(start: Callable[[], Thinking]) -> Thinking:
    """Start a run on a thread, since reading files and opening the trace block; cancelled meanwhile, none is left."""
    begun: list[Thinking] = []
    abandoned = threading.Event()

    def begin() -> Thinking:
        begun.append(start())
        if abandoned.is_set():  # cancelled while it started
            begun[0].cancel()
        return begun[0]

    try:
        return await asyncio.to_thread(begin)
    except asyncio.CancelledError:
        abandoned.set()
        for thinking in begun:
            thinking.cancel()
        raise
