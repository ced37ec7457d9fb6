"""What tests wait for on a machine that others use too, and how long: for conditions, and thrice what is promised."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from unittest import mock

from sandbox import DockerSandbox
from sandbox.docker import clock
from sandbox.docker.box import Box
from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.clock import Rung

_SLACK = 3
_LONG = 20.0  # seconds


def wait_for_news(box: Box) -> None:
    """Wait until an idle box, or its engine, has said something or is gone: a death that was told, most likely."""
    until = time.monotonic() + _LONG
    with suppress(ChannelClosedError):
        while box.channel.peek():
            assert time.monotonic() < until, "nobody noticed"
            time.sleep(0.01)


@contextmanager
def patient(box: DockerSandbox, seconds: float = _LONG) -> Iterator[None]:
    """Give the steps in here so much time that only those which are tested run out of theirs."""
    usual, box._step_timeout = box._step_timeout, seconds
    try:
        yield
    finally:
        box._step_timeout = usual


@contextmanager
def unhurried() -> Iterator[None]:
    """Give code three times the second that it has to heed an interrupt, where a test says that it does."""
    second, rest = _SLACK * clock._TO_KILL, clock._TO_REMOVE
    ladder = {**clock._LADDER, Rung.INTERRUPTED: (second, Rung.KILLED), Rung.KILLED: (second + rest, Rung.REMOVED)}
    with mock.patch.object(clock, "_LADDER", ladder):
        yield
