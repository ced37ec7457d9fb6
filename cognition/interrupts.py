"""Ctrl-C, held back where it would do harm, and seen where it would be overlooked."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager

from layers.run.events import AWAKE_EVERY


@contextmanager
def interrupts_held() -> Generator[None]:
    """Hold Ctrl-C back while the block imports modules, and let it act after the block.

    CPython can lose a `KeyboardInterrupt` that arrives in the middle of an import, and keep the lock that imports in
    other threads wait for: the program would then hang and not end.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return
    arrived = threading.Event()

    def note(*_: object) -> None:
        arrived.set()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if arrived.is_set():
            signal.raise_signal(signal.SIGINT)


@contextmanager
def interrupts_seen() -> Generator[None]:
    """Have Ctrl-C end an `input()` in the block, also one that came in just before it began to wait.

    CPython looks for signals before it waits for a key, and when a signal breaks the wait. What arrives in between
    would wait for the next key; a timer breaks the wait now and then.
    """

    def look(*_: object) -> None:
        """Nothing is to be done: Python has looked for signals when it calls this."""

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, AWAKE_EVERY, AWAKE_EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
