"""What a lifeline promises in seconds: its deadline, and Ctrl-C, end whatever waits on it."""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from concurrent.futures import Future

import pytest

from layers.run import Lifeline, LoopThread, RunStopped, StopReason
from tests.promises import SLACK

PROMISED = 1.0


def test_the_deadline_ends_a_wait():
    loop = LoopThread()
    began = time.monotonic()
    lifeline = Lifeline(began + 0.2)
    with pytest.raises(RunStopped) as stopped:
        lifeline.wait(loop.submit(asyncio.sleep(30)))
    assert stopped.value.reason is StopReason.DEADLINE
    assert 0.2 <= time.monotonic() - began < 0.2 + SLACK * PROMISED
    loop.close()


def test_ctrl_c_ends_a_wait_of_the_main_thread_also_where_another_one_got_the_signal():
    future, began = Future(), time.monotonic()
    threading.Timer(0.2, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGINT)).start()
    woken = threading.Timer(30, future.set_result, ["too late"])
    woken.start()
    with pytest.raises(KeyboardInterrupt):
        Lifeline().wait(future)
    woken.cancel()
    assert time.monotonic() - began < 0.2 + SLACK * PROMISED
    assert future.cancelled()
