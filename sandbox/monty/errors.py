"""Errors on their way between host and monty: ours become the code's, and the code's become ours.

Used by `session` alone.
"""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from pydantic_monty import ExcType, MontyCrashedError, MontyError, MontyRuntimeError, MontySyntaxError

from sandbox.errors import CodeError, LimitExceeded, SessionLost, ValueRefused
from sandbox.host_tools import failure_text

STATE_LOST: Final = (
    "The session was replaced by a fresh one: variables, functions and imports of earlier steps are gone, "
    "define them again"
)
_KNOWN = frozenset(get_args(ExcType))
_MEMORY = ("memory limit exceeded", "the worker exceeded its memory limit")
_TEXT_LIMIT = 8_000
_SOURCE = re.compile(r'File "(<python-input-\d+>)"')


def raised_in_code(error: Exception) -> dict[str, Any]:
    """An error of a host tool as the answer to its call: it is raised in the code, by type name and message.

    monty knows the built-in types only; of others it gets the nearest base, and their own name in front of the message.
    """
    if isinstance(error, ValueRefused):
        return {"exc_type": "TypeError", "message": str(error)}
    name = type(error).__name__
    known = next((base.__name__ for base in type(error).__mro__ if base.__name__ in _KNOWN), "Exception")
    text = failure_text(error).encode("utf-8", "replace").decode()
    return {"exc_type": known, "message": text if known == name else f"{name}: {text}"}


def translated(error: MontyError, *, out_of_time: bool = False) -> CodeError:
    """What ended a step, as an error of ours that the agent can read.

    Args:
        error: what monty raised.
        out_of_time: the step has used its time, so a dead process is one that was killed for it.
    """
    if isinstance(error, MontyCrashedError):
        return _timeout() if error.timed_out or out_of_time else SessionLost(f"{error}. {STATE_LOST}.")
    if not isinstance(error, MontyRuntimeError | MontySyntaxError):
        return CodeError(str(error)[:_TEXT_LIMIT])
    limit = _limit(error)
    if limit is not None:
        return limit
    frames = error.traceback()
    step = frames[0].filename if frames else None
    lines = [frame.line for frame in frames if frame.filename == step]
    return CodeError(_readable(error, step), line=lines[-1] if lines else None)


def _limit(error: MontyRuntimeError | MontySyntaxError) -> LimitExceeded | None:
    """Monty reports its own limits as errors of the code, which no `except` in it has seen."""
    text = error.display("msg")
    kind = type(error.exception())
    if kind is TimeoutError and " time limit exceeded: " in text and not error.traceback():
        return _timeout()
    if kind is MemoryError and text.startswith(_MEMORY):
        return LimitExceeded(f"MemoryError: {text}. {STATE_LOST}.", state_lost=True)
    return None


def _timeout() -> LimitExceeded:
    return LimitExceeded(
        f"TimeoutError: the step ran longer than its time limit (step_timeout). {STATE_LOST}.", state_lost=True
    )


def _readable(error: MontyRuntimeError | MontySyntaxError, step: str | None) -> str:
    """The guest's traceback, with the step's own lines told from those of functions of earlier steps."""
    text = _SOURCE.sub(lambda found: "this step" if found[1] == step else "an earlier step", error.display())
    if len(text) <= _TEXT_LIMIT:
        return text
    return f"{text[: _TEXT_LIMIT // 2]}\n…\n{text[-_TEXT_LIMIT // 2 :]}"
