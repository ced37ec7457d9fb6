"""What a forked child keeps of its parent's containers: nothing.

A copy of a box's stream would keep the box alive after the parent's end, and one of two readers would starve.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_PATIENCE: Final = 1.0  # seconds that a fork waits for an engine to attach a stream


class Closable(Protocol):
    """Holds descriptors; its `close` leaves alone what belongs to the process that made it."""

    def close(self) -> object:
        """Let go of them."""
        ...


T = TypeVar("T", bound=Closable)


def known_to_forks(make: Callable[[], T]) -> T:
    """Make something that holds descriptors; every child that is forked from now on closes its copies.

    Args:
        make: makes it; no fork happens meanwhile, as its child would have copies that nobody knows.
    """
    open_ones = _open_ones()
    with open_ones.lock:
        made = make()
        open_ones.open.add(made)
    return made


@contextmanager
def no_fork() -> Generator[None]:
    """Have no fork happen in the block, whose child would have a copy of a connection that its channel doesn't know."""
    with _open_ones().lock:
        yield


class _OpenOnes:
    """All that holds descriptors of boxes in this process."""

    def __init__(self) -> None:
        self.open: weakref.WeakSet[Closable] = weakref.WeakSet()
        self.lock = threading.RLock()
        self._held = False

    def before_fork(self) -> None:
        self._held = self.lock.acquire(timeout=_PATIENCE)

    def after_fork(self) -> None:
        if self._held:
            self.lock.release()

    def in_child(self) -> None:
        self.lock = threading.RLock()
        for each in list(self.open):
            each.close()


@cache  # one a process, made with the first box: what is registered for forks can't be taken back
def _open_ones() -> _OpenOnes:
    made = _OpenOnes()
    os.register_at_fork(before=made.before_fork, after_in_parent=made.after_fork, after_in_child=made.in_child)
    return made
