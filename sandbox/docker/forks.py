"""What a forked child keeps of its parent's containers: nothing.

A copy of a box's stream would keep the box alive after the parent's end, and one of two readers would starve.
"""

from __future__ import annotations

import os
import threading
import weakref
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from sandbox.docker.channel import Channel

_PATIENCE: Final = 1.0  # seconds that a fork waits for an engine to attach a stream


def attached(attach: Callable[[], Any], channel: Callable[[Any], Channel]) -> Channel:
    """Attach a stream and make a channel of it; every child that is forked from now on closes its copy.

    Args:
        attach: gets the stream; no fork happens meanwhile, as its child would have a copy that nobody knows.
        channel: makes a channel of it.
    """
    open_ones = _open_channels()
    with open_ones.lock:
        made = channel(attach())
        open_ones.channels.add(made)
    return made


@contextmanager
def no_fork() -> Generator[None]:
    """Have no fork happen in the block, whose child would have a copy of a connection that its channel doesn't know."""
    with _open_channels().lock:
        yield


class _OpenChannels:
    """All channels of this process."""

    def __init__(self) -> None:
        self.channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self.lock = threading.RLock()
        self._held = False

    def before_fork(self) -> None:
        self._held = self.lock.acquire(timeout=_PATIENCE)

    def after_fork(self) -> None:
        if self._held:
            self.lock.release()

    def in_child(self) -> None:
        self.lock = threading.RLock()
        for channel in list(self.channels):
            channel.close()


@cache  # one a process, made with the first box: what is registered for forks can't be taken back
def _open_channels() -> _OpenChannels:
    made = _OpenChannels()
    os.register_at_fork(before=made.before_fork, after_in_parent=made.after_fork, after_in_child=made.in_child)
    return made
