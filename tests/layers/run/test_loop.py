"""The loop's thread: it lets go of its loop also where its end is not waited for."""

from __future__ import annotations

import threading
import time

from layers.run import LoopThread


def test_a_loop_that_is_busy_at_the_end_is_closed_once_it_is_not():
    loop, began, free = LoopThread("busy"), threading.Event(), threading.Event()

    async def block() -> None:
        began.set()
        free.wait()

    loop.submit(block())
    began.wait()
    loop.close(timeout=0.05)
    assert not loop._loop.is_closed()
    free.set()
    until = time.monotonic() + 30
    while not loop._loop.is_closed() and time.monotonic() < until:
        time.sleep(0.01)
    assert loop._loop.is_closed()
