"""The one event-loop thread of a `Mind`: MCP clients and model calls live on it, agent threads call into it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
_UNWINDING = 1.0  # seconds that tasks which would not end in time have for it once more


class LoopThread:
    """An asyncio event loop on a daemon thread.

    Example:
        >>> loop = LoopThread()
        >>> loop.submit(asyncio.sleep(0, "done")).result()
        'done'
        >>> loop.close()
    """

    def __init__(self, name: str = "dionysus-loop") -> None:
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()
        self._closing = False
        self._thread = threading.Thread(target=self._turn, name=name, daemon=True)
        self._thread.start()

    def submit(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Run a coroutine on the loop; cancelling the future cancels the coroutine.

        The caller's context variables go along, so that spans opened on the loop have the caller's span as parent.

        Raises:
            RuntimeError: the loop is closed, or closing.
        """
        with self._lock:  # whatever is taken is in the loop's queue before what ends it
            if not self._closing:
                return asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        coroutine.close()
        raise RuntimeError("Event loop is closed")

    def close(self, timeout: float = 5.0) -> None:
        """Cancel what still runs, stop the loop and join its thread, for about `timeout` seconds. Idempotent."""
        with self._lock:
            first, self._closing = not self._closing, True
        if first:
            with suppress(TimeoutError):  # a task that will not end must not keep the loop
                asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result(timeout)
            self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout)

    def _turn(self) -> None:
        try:
            self._loop.run_forever()
            late = asyncio.all_tasks(self._loop)
            for task in late:
                task.cancel()
            if late:
                self._loop.run_until_complete(asyncio.wait(late, timeout=_UNWINDING))
        finally:
            self._loop.close()  # by the thread itself, also where nobody waits for its end any more


async def _cancel_others() -> None:
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
