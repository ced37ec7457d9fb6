"""One turn in a terminal: a task is thought about, watched, and cancelled by Ctrl-C."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from cognition.cli.exits import ExitCode
from cognition.cli.output import notice, notices

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cognition.cli.live import View
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


def one_turn(mind: Mind, asking: Asking, *, quiet: bool, as_json: bool, first: bool = True) -> Thought:
    """Think about a task under a view and return the outcome; what a stopped run had found is shown.

    Args:
        mind: thinks; its parts are started by the first turn.
        asking: the task.
        quiet: show neither view nor notices.
        as_json: the same, and leave showing a partial answer to the JSON document.
        first: whether to tell the notices of the mind's parts.

    Raises:
        ThinkingError: the run ended without an answer.
        typer.BadParameter: the task or an option can't be used.
    """
    from cognition.cli.answer import show
    from cognition.cli.live import view
    from cognition.thought import ThinkingError

    silent = quiet or as_json
    thinking = _begin(mind, asking, silent=silent)
    notices(mind.notices, quiet=quiet or not first)
    try:
        return watch(thinking, view(silent=silent))
    except ThinkingError as error:
        if error.partial is not None and not as_json:
            notice("What was found until then:")
            show(error.partial, quiet=quiet)
        raise


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


def watch(thinking: Thinking, view: View) -> Thought:
    """Show a run's events until it has ended, and return its outcome.

    Ctrl-C cancels the run, and what was found until then comes with the `Cancelled` that is raised. A second one leaves
    at once: the run's processes see that we are gone and end too.

    Raises:
        ThinkingError: the run ended without an answer.
    """
    try:
        with view:
            for event in thinking.events():
                view.show(event)
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
