"""Somebody else's code, called on a thread of its own: a stop of the run, or a time limit, leaves it behind there."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from layers.run.lifeline import Lifeline

T = TypeVar("T")


class TooSlow(Exception):
    """It was not done within its time limit; it may still be at work."""


def call_apart(lifeline: Lifeline, name: str, call: Callable[[], T], limit: float | None = None) -> T:
    """Call a function that may hang; Python can't end a thread, so a hanging one is only left behind.

    Args:
        lifeline: of the run that waits.
        name: of the thread.
        call: gets the caller's context variables.
        limit: seconds.

    Raises:
        RunStopped: the run was stopped.
        TooSlow: the limit passed.
        BaseException: what it raised.
    """
    answer: Future[T] = Future()
    Thread(target=_work, args=(answer, copy_context().run, call), name=name, daemon=True).start()
    try:
        return lifeline.wait(answer, limit)
    except TimeoutError as error:
        if not answer.cancelled():
            raise  # the function's own
        raise TooSlow(name) from error


def _work(answer: Future[Any], run: Callable[..., Any], call: Callable[[], Any]) -> None:
    with suppress(InvalidStateError):  # nobody waits any more
        try:
            answer.set_result(run(call))
        except InvalidStateError:
            raise
        except BaseException as error:  # noqa: BLE001 - promise: whatever ends the call reaches its caller
            answer.set_exception(error)
