"""A task tried anew after it failed: each attempt starts afresh; budget, deadline and trace are those of one run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING

from cognition.thought import ThinkingError, Thought
from layers.run import EventKind, Run, StopReason
from observability import Kind, conventions, span

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from typing import Any


def tried(run: Run, retries: int, attempt: Callable[[], Thought]) -> Thought:
    """Return the thought of the first attempt that comes to one; it and an error tell of those that failed before.

    What was spent, by every attempt, is on the run's one ledger. A run that was stopped (by its budget, deadline or
    owner, or for a part that is lost or a setting that is wrong) is never tried again.

    Args:
        run: the run of all attempts.
        retries: most attempts after the first.
        attempt: thinks once.

    Raises:
        ThinkingError: of the last attempt.
    """
    failed: tuple[str, ...] = ()
    for number in range(1, retries + 2):
        try:
            with _traced(run, number, retries + 1):
                return _telling(attempt(), failed)
        except ThinkingError as error:
            if error.partial is not None:
                error.partial = _telling(error.partial, failed)
            if error.stop_reason is not StopReason.FAILED or number > retries:
                raise
            failed += (f"Attempt {number} of {retries + 1} failed: {error}",)
        run.events.publish(EventKind.RETRY, (), failed[-1], attempt=number, of=retries + 1)
        run.begin_anew()
    raise AssertionError("the last attempt returns or raises")


def _traced(run: Run, number: int, of: int) -> AbstractContextManager[Any]:
    if of == 1:
        return nullcontext()
    return span(run.tracer, Kind.ATTEMPT, f"attempt {number}", {conventions.ATTEMPT: number, conventions.ATTEMPTS: of})


def _telling(thought: Thought, failed: tuple[str, ...]) -> Thought:
    return thought.model_copy(update={"errors": (*failed, *thought.errors)}) if failed else thought
