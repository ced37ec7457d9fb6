"""What a run gives back: a `Thought`, or a `ThinkingError` that carries the best one so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from layers.run import Ledger, RunStopped, StopReason, Usage


class Evidence(BaseModel):
    """A memory that supports an answer, with the words that stand in it.

    Attributes:
        id: the memory's id.
        quote: verbatim words of the memory.
        source: where the memory came from, `docs/queue.md:12-20`; `None` if it was told directly.
        when: when what it says happened, if known.
    """

    model_config = ConfigDict(frozen=True)

    id: str
    quote: str
    source: str | None = None
    when: datetime | None = None


class Thought(BaseModel):
    """The outcome of one task.

    Attributes:
        task: the task.
        answer: text, or an instance of the `output=` model (an abstention is text with it, too); a JSON value where a
            layer's code gave one.
        confidence: share of the answer's claims that a quote from memory supports, 0 to 1; `None` if none was checked.
        evidence: the quotes, each found verbatim in memory.
        stop_reason: why the run ended.
        errors: what went wrong on the way, one line each.
        usage: per layer, what it spent; `seconds` without the layers it called.
        max_steps: per layer, the steps it may make each time it is called; empty if the run ended before it knew.
        duration: seconds from start to end.
        run_id: names the run in the trace: `dionysus trace show RUN`.
        trace_id: the OpenTelemetry trace, 32 hex digits.
        session: the conversation it belongs to.
    """

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    task: str
    answer: Any
    confidence: float | None = None
    evidence: tuple[Evidence, ...] = ()
    stop_reason: StopReason
    errors: tuple[str, ...] = ()
    usage: Mapping[str, Usage]
    max_steps: Mapping[str, int] = {}
    duration: float
    run_id: str
    trace_id: str
    session: str

    @property
    def success(self) -> bool:
        """Whether the run answered, or rightly said that memory holds no answer."""
        return self.stop_reason in (StopReason.ANSWERED, StopReason.ABSTAINED)

    @property
    def steps(self) -> dict[str, int]:
        """Actions made, by layer."""
        return {layer: usage.steps for layer, usage in self.usage.items()}

    @property
    def total(self) -> Usage:
        """What the whole run spent."""
        return sum(self.usage.values(), Usage())

    @property
    def cost_usd(self) -> float | None:
        """Cost in USD; `None` when the price of a model is not known."""
        return self.total.usd

    def __str__(self) -> str:
        """The answer, its quotes with their sources, and what it took."""
        lines = [_written(self.answer)]
        if self.evidence:
            lines += ["", *(f"  “{piece.quote}”\n      — {_where(piece)}" for piece in self.evidence)]
        return "\n".join([*lines, "", self.summary()])

    def summary(self) -> str:
        """What the run took, in one line: how it ended, confidence, steps by layer, cost, time."""
        steps = ", ".join(f"{layer} {count}" for layer, count in self.steps.items() if count)
        cost = "cost unknown" if self.cost_usd is None else f"${self.cost_usd:.4f}"
        sure = "unchecked" if self.confidence is None else f"{self.confidence:.0%} of its claims quoted"
        return f"[{self.stop_reason} · {sure} · steps: {steps or 'none'} · {cost} · {self.duration:.1f} s]"


def _written(answer: Any) -> str:
    if isinstance(answer, BaseModel):
        return answer.model_dump_json(indent=2)
    if isinstance(answer, dict | list):
        return json.dumps(answer, indent=2, ensure_ascii=False, default=str)
    return "(no answer)" if answer in (None, "") else str(answer)


def _where(piece: Evidence) -> str:
    when = f", {piece.when:%Y-%m-%d}" if piece.when else ""
    return f"{piece.source or 'memory ' + piece.id}{when}"


class ThinkingError(Exception):
    """A run ended without an answer.

    Attributes:
        partial: the best that was found until then, with its stop_reason; `None` if nothing was started.
    """

    reasons: ClassVar[tuple[StopReason, ...]] = (StopReason.FAILED,)

    def __init__(self, message: str, partial: Thought | None = None) -> None:
        super().__init__(message)
        self.partial = partial

    @property
    def stop_reason(self) -> StopReason:
        """Why the run ended."""
        return self.partial.stop_reason if self.partial else self.reasons[0]

    @staticmethod
    def of(stop: RunStopped, partial: Thought, ledger: Ledger | None = None) -> ThinkingError:
        """Return the error for a stop signal; `ledger` is what the run had spent."""
        kinds = (kind for kind in ThinkingError.__subclasses__() if stop.reason in kind.reasons)
        error = next(kinds, ThinkingError)(stop.detail, partial)
        if isinstance(error, BudgetExceeded):
            error.ledger = ledger
        return error


class BudgetExceeded(ThinkingError):
    """The budget was used up; raise a limit, or take what `.partial` has.

    Attributes:
        ledger: the limits, and what was spent of them by each layer.
    """

    reasons = (StopReason.BUDGET,)
    ledger: Ledger | None = None


class DeadlineExceeded(ThinkingError):
    """The deadline passed; give more time, or take what `.partial` has."""

    reasons = (StopReason.DEADLINE,)


class Cancelled(ThinkingError):
    """Somebody cancelled the run."""

    reasons = (StopReason.CANCELLED,)


class ModelUnavailable(ThinkingError):
    """No deployment of a tier answered; the message has each one's reason. Try later, or add a deployment."""

    reasons = (StopReason.MODEL,)


class MemoryUnavailable(ThinkingError):
    """The memory server could not be started or was lost."""

    reasons = (StopReason.MEMORY,)


class SandboxUnavailable(ThinkingError):
    """No sandbox could be opened, or the engine was lost."""

    reasons = (StopReason.SANDBOX,)


class ConfigurationError(ThinkingError):
    """A setting, key, layer, tier or tool is wrong; the message says which and what to do."""

    reasons = (StopReason.CONFIGURATION,)


class AnswerRejected(ThinkingError):
    """A check of the caller's own rejected the answer, which `.partial` has."""

    reasons = ()


class OutputInvalid(ThinkingError):
    """The answer does not fit the `output=` model, also after one repair.

    Attributes:
        raw: the answer as the layers gave it.
    """

    reasons = ()

    def __init__(self, message: str, partial: Thought | None = None, raw: Any = None) -> None:
        super().__init__(message, partial)
        self.raw = raw
