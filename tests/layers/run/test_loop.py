"""The loop's thread: it lets go of its loop also where its end is not waited for."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from layers.run import LoopThread


def test_what_was_submitted_is_done_or_refused_when_it_closes():
    loop, taken, refused = LoopThread("asked"), [], threading.Event()

    def submit() -> None:
        while True:
            try:
                taken.append(loop.submit(asyncio.sleep(0)))
            except RuntimeError:
                refused.set()
                return

    thread = threading.Thread(target=submit)
    thread.start()
    while not taken:
        time.sleep(0.001)
    loop.close()
    loop.close()
    thread.join(10)
    assert refused.is_set()
    assert all(each.done() for each in taken)
    with pytest.raises(RuntimeError, match="closed"):
        loop.submit(asyncio.sleep(0))


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
