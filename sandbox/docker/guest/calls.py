"""Calls of the host's tools from the user's code: what `search("x")` does inside of the box."""

from __future__ import annotations

import _thread
import builtins
import os

from sandbox.docker.guest.channel import TooLargeError
from sandbox.docker.guest.codecs import CodecError
from sandbox.docker.guest.values import RefusedError, clean, packed, unpacked
from sandbox.docker.guest.wire import ANSWER, CALL, END, HARNESS_FAILED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from sandbox.docker.guest.channel import Channel
    from sandbox.docker.guest.codecs import Codecs
    from sandbox.docker.guest.interrupts import Interrupts


class StepEnded(BaseException):
    """The host has its final answer: nothing of this step counts any more."""


class HostCalls:
    """One call at a time, from whichever thread, and none between two steps.

    A step ends when the call that another thread has under way is answered; the thread's next call is part of the next
    step. Without that, its frames would get between the step's answer and the next step.

    Args:
        channel: the worker's end.
        settings: what the host sent at boot.
        interrupts: held back while a call is under way, or its answer would be taken for the next one's.
        codecs: for the kinds of values that JSON has no word for.
    """

    def __init__(self, channel: Channel, settings: dict[str, Any], interrupts: Interrupts, codecs: Codecs) -> None:
        self._channel, self._settings, self._interrupts, self._codecs = channel, settings, interrupts, codecs
        # Whoever calls passes the gate and holds the lock until he has his answer. The end of a step closes the gate
        # first: waiting for the lock alone, it would never get it from a thread that calls in a loop.
        self._gate, self._lock = _thread.allocate_lock(), _thread.allocate_lock()
        self._gate.acquire()
        self._lock.acquire()
        self._getpid, self._exit = os.getpid, os._exit
        self._pid = os.getpid()
        self._step = ""
        self._count = 0
        self._ended = False

    def begin(self, step: str) -> None:
        """A step starts; `step` is the id that its calls carry."""
        self._step, self._count, self._ended = step, 0, False
        self._lock.release()
        self._gate.release()

    def end(self) -> None:
        """The step is over; returns when no call is under way, and from then on calls wait for the next step."""
        self._gate.acquire()
        self._lock.acquire()

    def named(self, name: str) -> Callable[..., Any]:
        """What stands for the host's tool of this name."""

        def tool(*args: Any, **kwargs: Any) -> Any:
            return self._call(name, args, kwargs)

        tool.__name__ = tool.__qualname__ = name
        return tool

    def _call(self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self._getpid() != self._pid:
            raise RuntimeError(
                f"{name}() can only be called from the process that runs the step, not from a fork of it"
            )
        try:
            given = [packed(value, self._settings, self._codecs) for value in args]
            named = {clean(key): packed(value, self._settings, self._codecs) for key, value in kwargs.items()}
        except RefusedError as refused:
            raise TypeError(f"{name}() can't be given this: {refused}") from None
        message = {"name": name, "args": given, "kwargs": named}
        with self._gate:
            pass
        with self._lock, self._interrupts.held():
            if self._ended:
                raise StepEnded
            try:
                answer = self._exchange(message)
            except TooLargeError as large:
                raise TypeError(f"{name}() can't be given this: {large}") from None
        if answer is None:
            raise StepEnded
        if "error" in answer:
            raise _raised(answer["error"])
        try:
            return unpacked(answer["value"], self._codecs, self._settings)
        except CodecError as error:
            raise TypeError(f"the result of {name}() can't be taken: {error}") from None

    def _exchange(self, message: dict[str, Any]) -> dict[str, Any] | None:
        self._count += 1
        self._channel.send(CALL, {"step": self._step, "call": self._count, **message})
        kind, answer = self._channel.receive()
        if kind == END:
            self._ended = True
            return None
        if kind != ANSWER or answer["call"] != self._count:
            self._exit(HARNESS_FAILED)
        return answer


def _raised(error: dict[str, str]) -> BaseException:
    kind = getattr(builtins, error["type"], Exception)
    try:
        return kind(error["message"])
    except TypeError:  # one of those that want more than a message
        return Exception(f"{error['type']}: {error['message']}")
