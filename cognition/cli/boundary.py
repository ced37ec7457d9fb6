"""The edge of the command: what goes wrong inside becomes one message and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

import typer

from cognition.cli.exits import ExitCode
from cognition.cli.failures import Failure, explain
from cognition.cli.output import emit, notice

if TYPE_CHECKING:
    from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP arrived: everything ends as after Ctrl-C, with another exit code."""


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; no error leaves this function."""
    terminated = _listen()
    code = _run(app, arguments)
    return ExitCode.TERMINATED if terminated else code


def _run(app: typer.Typer, arguments: Sequence[str]) -> int:
    # Read before parsing: an error in the command line itself is shown in the form that was asked for, too.
    as_json, debug = "--json" in arguments, "--debug" in arguments
    _open_closed_streams()
    try:
        code = typer.main.get_command(app).main(list(arguments), prog_name="dionysus", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(error, as_json=as_json)
    except BrokenPipeError:
        _close_stdout()
        return ExitCode.FAILED
    except KeyboardInterrupt:
        return ExitCode.CANCELLED
    except Exception as error:  # noqa: BLE001 - promise: no traceback without --debug, and always an exit code
        return _failed(error, as_json=as_json, debug=debug)
    return int(code or 0)


def _failed(error: Exception, *, as_json: bool, debug: bool) -> int:
    if debug:
        import traceback

        traceback.print_exception(error)
    failure = explain(error)
    if as_json:
        emit(failure.document(error))
    notice(f"Error: {failure.message}")
    return failure.code


def _usage(error: typer.TyperException, *, as_json: bool) -> int:
    code = ExitCode.USAGE if error.exit_code == ExitCode.USAGE else ExitCode.FAILED
    if as_json:
        emit(Failure(error.format_message(), code, "UsageError").document(error))
    show = getattr(error, "show", None)
    show() if show else notice(f"Error: {error.format_message()}")
    return code


def _listen() -> list[int]:
    """Have SIGTERM and SIGHUP end the command as Ctrl-C does; return the list in which they are noted."""
    received: list[int] = []

    def end(number: int, _: FrameType | None) -> NoReturn:
        received.append(number)
        raise Terminated

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    return received


def _open_closed_streams() -> None:
    """Lead streams that were closed before the command began (`>&-`) to nowhere, so that writing is no accident."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: PTH123, SIM115 - lives as long as the process


def _close_stdout() -> None:
    """The reader of a pipe is gone (`dionysus trace ls | head`): write no more, or Python complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
