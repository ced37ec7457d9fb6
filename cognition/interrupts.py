"""Ctrl-C, held back where it would do harm."""

from __future__ import annotations

import signal
import threading
from collections.abc import Generator
from contextlib import contextmanager


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
