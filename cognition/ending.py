"""How a run ends early: whatever stopped it becomes the `ThinkingError` for it, with the best that was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cognition.thought import Evidence, ThinkingError, Thought
from layers.errors import LayerError
from layers.report import Report
from layers.run import Run, RunStopped, StopReason
from layers.spec import MANAGER

if TYPE_CHECKING:
    from cognition.asked import Asked


def ended_early(error: BaseException, run: Run, asked: Asked) -> ThinkingError:
    """Return the error for what ended a run: a stop signal, a wrong setting, or somebody's failure."""
    run.secrets.scrub(error)
    if isinstance(error, RunStopped):
        return ThinkingError.of(error, _partial(run, asked, error.reason, error.detail), run.ledger)
    if isinstance(error, LayerError):
        stop = RunStopped(StopReason.CONFIGURATION, str(error))
        return ThinkingError.of(stop, _partial(run, asked, stop.reason, stop.detail))
    message = f"The run failed: {type(error).__name__}: {error}"
    return ThinkingError(message, _partial(run, asked, StopReason.FAILED, message))


def with_partial(error: ThinkingError, run: Run, asked: Asked) -> ThinkingError:
    """Return an error with this run's partial thought, if it has none: a part that doesn't open knows of no run."""
    if error.partial is None:
        error.partial = _partial(run, asked, error.stop_reason, str(error))
    return error


def _partial(run: Run, asked: Asked, reason: StopReason, detail: str) -> Thought:
    """Make a thought of the newest report that says something; its quotes are those that were seen to stand."""
    reports: list[Report] = run.trail.reports
    telling = [report for report in reports if report.answer not in ("", None)]
    newest = (telling or reports or [Report(layer=MANAGER)])[-1]
    seen = run.trail.seen
    quotes = tuple(
        Evidence(id=piece.id, quote=piece.quote)
        for piece in newest.evidence
        if piece.quote and piece.quote in seen.get(piece.id, "")
    )
    return asked.thought(run, newest.answer, reason, quotes, errors=(detail,))
