"""Errors on their way between host and monty: ours become the code's, and the code's become ours.

Used by `session` alone.
"""

from __future__ import annotations

import re
from typing import Any, get_args

from pydantic_monty import ExcType, MontyCrashedError, MontyError, MontyRuntimeError, MontySyntaxError

from sandbox.errors import STATE_LOST, CodeError, LimitExceeded, SessionLost
from sandbox.host_tools import raised_in_code

_KNOWN = frozenset(get_args(ExcType))
_MEMORY = ("memory limit exceeded", "the worker exceeded its memory limit")
_TEXT_LIMIT = 8_000
_SOURCE = re.compile(r'File "(<python-input-\d+>)"')


def raised(error: Exception) -> dict[str, Any]:
    """An error of a host tool as the answer to its call: it is raised in the code, by type name and message."""
    kind, text = raised_in_code(error, _KNOWN)
    return {"exc_type": kind, "message": text}


def translated(error: MontyError, step_timeout: float, *, out_of_time: bool = False) -> CodeError:
    """What ended a step, as an error of ours that the agent can read.

    Args:
        error: what monty raised.
        step_timeout: seconds that the step had.
        out_of_time: the step has used its time, so a dead process is one that was killed for it.
    """
    if isinstance(error, MontyCrashedError):
        timed_out = error.timed_out or out_of_time
        return LimitExceeded.of_time(step_timeout, state_lost=True) if timed_out else SessionLost(str(error))
    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return CodeError(str(error)[:_TEXT_LIMIT])
    limit = _limit(error, step_timeout)
    if limit is not None:
        return limit
    frames = error.traceback()
    step = frames[0].filename if frames else None
    lines = [frame.line for frame in frames if frame.filename == step]
    return CodeError(_readable(error, step), line=lines[-1] if lines else None)


def _limit(error: MontyRuntimeError | MontySyntaxError, step_timeout: float) -> LimitExceeded | None:
    """Monty reports its own limits as errors of the code, which no `except` in it has seen."""
    text = error.display("msg")
    kind = type(error.exception())
    if kind is TimeoutError and " time limit exceeded: " in text and not error.traceback():
        return LimitExceeded.of_time(step_timeout, state_lost=True)
    if kind is MemoryError and text.startswith(_MEMORY):
        return LimitExceeded(f"MemoryError: {text}. {STATE_LOST}.", state_lost=True)
    return None


def _readable(error: MontyRuntimeError | MontySyntaxError, step: str | None) -> str:
    """The guest's traceback, with the step's own lines told from those of functions of earlier steps."""
    text = _SOURCE.sub(lambda found: "this step" if found[1] == step else "an earlier step", error.display())
    if len(text) <= _TEXT_LIMIT:
        return text
    return f"{text[: _TEXT_LIMIT // 2]}\n…\n{text[-_TEXT_LIMIT // 2 :]}"
