"""One turn in a terminal: a task is thought about, watched, and cancelled by Ctrl-C."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cognition.cli.exits import ExitCode, of_reason
from cognition.cli.output import emit, notice, notices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cognition.cli.questions import Questions
    from cognition.mind import Mind, Thinking
    from cognition.thought import Thought
    from layers.run.events import Event


@dataclass(frozen=True, slots=True)
class Asking:
    """A task as the command line gives it.

    Attributes:
        budget: limits by name, as `Budget` has them.
        deadline: seconds from the start.
    """

    task: str
    session: str | None = None
    budget: Mapping[str, Any] | None = None
    deadline: float | None = None
    files: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run's events said that is told after it.

    Attributes:
        limits: steps that each layer might have made in all its calls together.
        denials: what was denied, and why.
    """

    limits: Counter[str] = field(default_factory=Counter[str])
    denials: list[str] = field(default_factory=list[str])

    def note(self, event: Event) -> None:
        """Take in one event."""
        self.limits[event.layer] += event.detail.get("max_steps", 0)
        if event.detail.get("verdict") == "deny":
            self.denials.append(
                f"denied in {event.layer}: {event.detail['tool']} ({event.detail['by']}) {event.detail['reason']}"
            )


def one_turn(
    mind: Mind, asking: Asking, *, quiet: bool, as_json: bool, first: bool = True, questions: Questions | None = None
) -> ExitCode:
    """Think about a task under a view, show the outcome, and return its exit code.

    What a stopped run had found until then is shown too.

    Args:
        mind: thinks; its parts are started by the first turn.
        asking: the task.
        quiet: show neither view nor notices.
        as_json: the same, and write a JSON document; one for an error is left to the caller.
        first: whether to tell the notices of the mind's parts.
        questions: what the mind asks about tool calls; the view steps aside for them.

    Raises:
        ThinkingError: the run ended without an answer.
        typer.BadParameter: the task or an option can't be used.
    """
    from cognition.cli.answer import as_document, show
    from cognition.thought import ThinkingError

    thinking = _begin(mind, asking)
    seen = Seen()
    try:
        thought = _watch(thinking, seen, silent=quiet or as_json, untold=first and not quiet, questions=questions)
    except ThinkingError as error:
        if error.partial is not None and not as_json:
            _show_partial(error.partial, seen.limits, quiet=quiet)
        raise
    finally:
        notices(seen.denials, quiet=quiet)
    if as_json:
        emit(as_document(thought))
    else:
        show(thought, seen.limits, quiet=quiet)
    return of_reason(thought.stop_reason)


def _show_partial(partial: Thought, limits: Counter[str], *, quiet: bool) -> None:
    from cognition.cli.answer import show

    if partial.answer:
        notice("What was found until then:")
        show(partial, limits, quiet=quiet)
    elif partial.usage and not quiet:
        notice(f"Trace: dionysus trace show {partial.run_id[:12]}")


def _begin(mind: Mind, asking: Asking) -> Thinking:
    try:
        return mind.start(
            asking.task,
            session=asking.session,
            budget=asking.budget or None,
            deadline=asking.deadline,
            files=asking.files,
            images=asking.images,
            retries=asking.retries,
        )
    except ValueError as error:  # what Mind.start says of a wrong argument
        raise typer.BadParameter(str(error)) from error


def _watch(thinking: Thinking, seen: Seen, *, silent: bool, untold: bool, questions: Questions | None) -> Thought:
    """Show a run's events until it has ended, and return its outcome.

    What is worth telling afterwards is noted in `seen`. The parts' notices are told where they are `untold`.

    Ctrl-C cancels the run, and what was found until then comes with the `Cancelled` that is raised. A second one leaves
    at once: the run's processes see that we are gone and end too.

    Raises:
        ThinkingError: the run ended without an answer.
    """
    try:
        _show(thinking, seen, silent=silent, untold=untold, questions=questions)
    except KeyboardInterrupt:
        try:
            thinking.cancel()
            _leave_at_the_next()
            notice("Cancelling; once more to leave at once.")
            thinking.wait()
        except KeyboardInterrupt:
            leave()
    return thinking.result()


def _show(thinking: Thinking, seen: Seen, *, silent: bool, untold: bool, questions: Questions | None) -> None:
    from cognition.cli.live import starting, view

    events = thinking.events()
    with starting(silent=silent):
        opened = next((event for event in events if event.kind == "parts_opened"), None)
    if opened is None:
        return  # it ended before
    notices(opened.detail["notices"], quiet=not untold)
    with view(silent=silent) as shown, questions.over(shown) if questions else nullcontext():
        for event in events:
            shown.show(event)
            seen.note(event)


def _leave_at_the_next() -> None:
    """Have the next Ctrl-C leave at once wherever it comes: also while the outcome is shown and the parts close."""

    def leave_now(*_: object) -> None:
        leave()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, leave_now)


def leave() -> NoReturn:
    """End this process without waiting for anything."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(Exception):  # it may be the very one that a signal came upon in mid-write
            stream.flush()
    os._exit(ExitCode.CANCELLED)
