"""The signal that ends a run, and the reasons for which a run ends.

Everything in a run may raise it; only `cognition.way` catches it.
"""

from __future__ import annotations

from enum import StrEnum


class StopReason(StrEnum):
    """Why a run ended."""

    ANSWERED = "answered"
    ABSTAINED = "abstained"
    BUDGET = "budget"
    DEADLINE = "deadline"
    CANCELLED = "cancelled"
    MODEL = "model_unavailable"
    MEMORY = "memory_unavailable"
    SANDBOX = "sandbox_unavailable"
    CONFIGURATION = "configuration"
    FAILED = "failed"


class RunStopped(BaseException):
    """The run must end now: its budget, deadline, owner or a lost part says so.

    It derives from `BaseException` on purpose. Agents turn every `Exception` of a tool, delegate or executor into an
    observation for the model, and generated code may say `except Exception`; a stop must pass through all of them.

    Attributes:
        reason: what ended the run.
        detail: what happened, with values, and what the user can do about it.
    """

    def __init__(self, reason: StopReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


class ShareSpent(RunStopped):
    """A layer has used up its share of the budget: its work ends with what it has, and the run goes on.

    Whatever doesn't know of shares takes it for what it derives from, the end of the run.

    Attributes:
        layer: whose share it was.
    """

    def __init__(self, layer: str, detail: str) -> None:
        super().__init__(StopReason.BUDGET, detail)
        self.layer = layer
