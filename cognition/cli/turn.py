"""One turn in a terminal: a task is thought about, watched, and cancelled by Ctrl-C."""

from __future__ import annotations

import os
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cognition.cli.exits import ExitCode, of_reason
from cognition.cli.output import emit, notice, notices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cognition.cli.live import View
    from cognition.cli.questions import Questions
    from cognition.mind import Mind, Thinking
    from cognition.thought import Thought


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
    from cognition.cli.live import view
    from cognition.thought import ThinkingError

    silent = quiet or as_json
    thinking = _begin(mind, asking, silent=silent)
    notices(mind.notices, quiet=quiet or not first)
    limits: Counter[str] = Counter()
    shown = view(silent=silent)
    denials: list[str] = []
    try:
        with questions.over(shown) if questions else nullcontext():
            thought = watch(thinking, shown, limits, denials)
    except ThinkingError as error:
        if error.partial is not None and not as_json:
            _show_partial(error.partial, limits, quiet=quiet)
        raise
    finally:
        notices(denials, quiet=quiet)
    if as_json:
        emit(as_document(thought))
    else:
        show(thought, limits, quiet=quiet)
    return of_reason(thought.stop_reason)


def _show_partial(partial: Thought, limits: Counter[str], *, quiet: bool) -> None:
    from cognition.cli.answer import show

    if partial.answer:
        notice("What was found until then:")
        show(partial, limits, quiet=quiet)
    elif not quiet:
        notice(f"Trace: dionysus trace show {partial.run_id[:12]}")


def _begin(mind: Mind, asking: Asking, *, silent: bool) -> Thinking:
    from cognition.cli.live import starting

    try:
        with starting(silent=silent):
            return mind.start(
                asking.task,
                session=asking.session,
                budget=asking.budget or None,
                deadline=asking.deadline,
                files=asking.files,
                images=asking.images,
            )
    except ValueError as error:  # what Mind.start says of a wrong argument
        raise typer.BadParameter(str(error)) from error


def watch(thinking: Thinking, view: View, limits: Counter[str], denials: list[str]) -> Thought:
    """Show a run's events until it has ended, and return its outcome.

    `limits` is filled with the steps that each layer might have made in all its calls together, `denials` with what was
    denied and why.

    Ctrl-C cancels the run, and what was found until then comes with the `Cancelled` that is raised. A second one leaves
    at once: the run's processes see that we are gone and end too.

    Raises:
        ThinkingError: the run ended without an answer.
    """
    try:
        with view:
            for event in thinking.events():
                view.show(event)
                limits[event.layer] += event.detail.get("max_steps", 0)
                if event.detail.get("verdict") == "deny":
                    denials.append(
                        f"denied in {event.layer}: {event.detail['tool']} ({event.detail['by']}) "
                        f"{event.detail['reason']}"
                    )
    except KeyboardInterrupt:
        thinking.cancel()
        notice("Cancelling; once more to leave at once.")
        try:
            thinking.wait()
        except KeyboardInterrupt:
            leave()
    return thinking.result()


def leave() -> NoReturn:
    """End this process without waiting for anything."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ExitCode.CANCELLED)
