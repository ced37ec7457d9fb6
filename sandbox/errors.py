"""What can go wrong in a sandbox, named for what a caller can do about it.

Everything here that is an `Exception` may become an observation of the agent that wrote the code, so its text is
written for that agent. `ExecutionStopped` is for the caller alone and travels past every `except Exception` on the way.
"""

from typing import Final

STATE_LOST: Final = (
    "The session was replaced by a fresh one: variables, functions and imports of earlier steps are gone, "
    "define them again"
)


class SandboxError(Exception):
    """Base class of all errors of this package."""


class SandboxUnavailable(SandboxError):
    """The backend can't run code at all: not installed, no engine, or gone. The message says what to do."""


class ImageNotBuilt(SandboxError):
    """The image for containers could not be made. Nothing half-made is left; the message says what to do."""


class SandboxClosed(SandboxError):
    """The sandbox was used after `cleanup`. Open another one."""


class CodeError(SandboxError):
    """The code raised an error. The text ends with its type and message and names the line it came from.

    Attributes:
        line: number of the line in the step's code, counted from 1; None when the code did not parse that far.
    """

    def __init__(self, message: str, *, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class LimitExceeded(CodeError):
    """The code reached a limit of its sandbox: time, memory, host calls.

    Attributes:
        state_lost: the session was replaced, and the variables of earlier steps are gone (the text says so too).
    """

    def __init__(self, message: str, *, line: int | None = None, state_lost: bool = False) -> None:
        super().__init__(message, line=line)
        self.state_lost = state_lost

    @classmethod
    def of_time(cls, seconds: float, *, state_lost: bool) -> "LimitExceeded":
        """The error of a step that ran longer than it may."""
        lost = f" {STATE_LOST}." if state_lost else ""
        return LimitExceeded(
            f"TimeoutError: the step ran longer than {seconds:g} s (step_timeout).{lost}", state_lost=state_lost
        )


class SessionLost(LimitExceeded):
    """The process that ran the code died. A fresh one is ready; variables of earlier steps are gone.

    Args:
        reason: what happened, without a full stop; the text goes on with what that means.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}. {STATE_LOST}.", state_lost=True)


class ValueRefused(SandboxError):
    """A value can't cross the boundary between host and sandbox: its type, depth or size. The text names it."""


class FileRefused(SandboxError):
    """A file can't be put or read: its name is not a plain relative path, it is too large, or not there."""


class ExecutionStopped(BaseException):
    """The caller's stop event was set, or its deadline passed, while code ran. The session is closed.

    Not an `Exception`, so that neither smolagents nor generated code can turn it into an observation.
    """


class BackendLost(ExecutionStopped):
    """The backend failed while a step was to run; its cause is the `SandboxUnavailable`. The session is closed.

    A broken engine is no mistake of the code: as an observation it would only make the agent try again.
    """
