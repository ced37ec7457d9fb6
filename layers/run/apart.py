"""Somebody else's code, on a thread of its own: the run neither hangs on it nor ends with it."""

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


class TookTooLong(TimeoutError):
    """The code gave nothing in its time; it may still be at work."""


def apart(lifeline: Lifeline, name: str, call: Callable[..., T], *arguments: Any, limit: float | None = None) -> T:
    """Call a tool, model or check of the user's own, and wait for it as long as the run lives.

    Python can't end a thread. Code that is too late, or whose run was stopped, goes on there alone until it returns,
    and what it returns then is dropped.

    Args:
        lifeline: the run's.
        name: of the thread.
        call: the code; it sees the caller's context variables.
        arguments: what it is called with.
        limit: most seconds to wait for it; `None` for no limit.

    Raises:
        RunStopped: the run was stopped meanwhile.
        TookTooLong: it did not return within `limit`.
        BaseException: what the code raised.
    """
    answer: Future[T] = Future()
    work = copy_context()
    Thread(target=_work, args=(answer, lambda: work.run(call, *arguments)), name=name, daemon=True).start()
    try:
        return lifeline.wait(answer, limit)
    except TimeoutError as error:
        if not answer.cancelled():
            raise  # the code's own
        raise TookTooLong(f"{name} gave nothing within {limit:g} s") from error


def _work(answer: Future[T], call: Callable[[], T]) -> None:
    try:
        given = call()
    except BaseException as error:  # noqa: BLE001 - promise: whatever ends the code reaches its caller
        _settle(answer.set_exception, error)
    else:
        _settle(answer.set_result, given)


def _settle(settle: Callable[[Any], None], outcome: object) -> None:
    with suppress(InvalidStateError):  # of the future's own: nobody waits any more
        settle(outcome)
