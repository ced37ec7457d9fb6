"""The way of one task, from its first span to its last: perceive, lead, check, remember.

`Mind.start` puts it on a run's thread; it is read from the top. How a run ends early is `ending.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cognition.attempts import tried
from cognition.check import Unfit, check_answer, check_evidence, fit
from cognition.conversation import history, remember_answer
from cognition.ending import ended_early, with_partial
from cognition.progress import shown_live
from cognition.thought import OutputInvalid, ThinkingError, Thought
from layers.delegation import delegate
from layers.run import EventKind, Run, StopReason
from layers.spec import MANAGER
from observability import conventions

if TYPE_CHECKING:
    from cognition.asked import Asked
    from cognition.check import Checked
    from cognition.holding import Holding
    from cognition.parts import Parts
    from layers.report import Report

PERCEPTION = "perceptual"


def think(held: Holding, run: Run, asked: Asked) -> Thought:
    """Think about a task inside its root span, with parts that may still open.

    Raises:
        ThinkingError: the run ended without an answer; `.partial` has the best so far.
    """
    with run.span(asked.task) as root:
        asked.trace_id = f"{root.get_span_context().trace_id:032x}"
        try:
            with shown_live(run, root, held.telemetry):
                thought = tried(run, asked.retries, lambda: _thought(held, run, asked))
        except ThinkingError as early:
            root.set_attribute(conventions.STOP_REASON, str(early.stop_reason))
            raise
        root.set_attributes(
            {conventions.OUTPUT: str(thought.answer), conventions.STOP_REASON: str(thought.stop_reason)}
        )
        run.events.publish(EventKind.ANSWER, (), str(thought.answer), confidence=thought.confidence)
        return thought


def _thought(held: Holding, run: Run, asked: Asked) -> Thought:
    try:
        parts = held.of(run)
        asked.layers = parts.bench.layers
        run.events.publish(EventKind.PARTS_OPENED, (), "memory, sandbox and models are there", notices=parts.notices)
        return _conclude(parts, run, asked, _lead(parts, run, asked))
    except ThinkingError as error:
        raise with_partial(error, run, asked) from error.__cause__
    except BaseException as error:  # promise: what leaves a Mind is a ThinkingError; a model may raise SystemExit
        raise ended_early(error, run, asked) from error


def _lead(parts: Parts, run: Run, asked: Asked) -> Report:
    """Have the manager lead the layers to an answer; it starts from what perception found."""
    bench = parts.bench
    if asked.budget.usd is not None:
        bench.check_prices()
    context: dict[str, Any] = {}
    if earlier := history(parts, run):
        context["history"] = earlier
    if asked.output is not None:
        context["output_schema"] = asked.output.model_json_schema()
    if PERCEPTION in bench.layers:
        seen = delegate(run, bench, bench.layers[PERCEPTION], asked.task, context, images=asked.images)
        context["perception"] = seen.as_json()
    if asked.files:
        context["files"] = sorted(asked.files)
    return delegate(run, bench, bench.layers[MANAGER], asked.task, context, files=asked.files, images=asked.images)


def _conclude(parts: Parts, run: Run, asked: Asked, report: Report) -> Thought:
    """Check the manager's report, make the `Thought` of it, and remember the answer."""
    checked = _checked(parts, run, report)
    abstained = report.findings.get("abstained") is True
    if not abstained and asked.output is None and report.answer in (None, ""):
        message = "The model gave an empty answer."
        raise ThinkingError(message, asked.thought(run, "", StopReason.FAILED, errors=(message,)))
    answer = report.answer if abstained else _fitted(parts, run, asked, report, checked)
    reason = StopReason.ABSTAINED if abstained else StopReason.ANSWERED
    thought = asked.thought(run, answer, reason, checked.evidence, checked.confidence, checked.errors)
    if not abstained:
        check_answer(run, thought, asked.checks, parts.bench.layers[MANAGER].tool_timeout)
    remember_answer(parts, run, thought)
    return thought


def _checked(parts: Parts, run: Run, report: Report) -> Checked:
    """Hold the report's quotes against memory, as far as a tool showed those memories in this run."""
    cited = list(dict.fromkeys(piece.id for piece in report.evidence if piece.id in run.trail.seen))
    memories = parts.ask(run, parts.memory.get(cited)) if cited else []
    return check_evidence(report, {memory.id: memory for memory in memories})


def _fitted(parts: Parts, run: Run, asked: Asked, report: Report, checked: Checked) -> Any:
    """Return the answer in the form that the caller asked for."""
    if asked.output is None:
        return report.answer
    bench = parts.bench
    try:
        return fit(run, bench, bench.layers[MANAGER], report.answer, asked.output)
    except Unfit as unfit:
        partial = asked.thought(run, unfit.raw, StopReason.FAILED, checked.evidence, errors=(str(unfit),))
        raise OutputInvalid(str(unfit), partial, unfit.raw) from unfit
