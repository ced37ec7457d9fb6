"""Runs the programs that a build needs, line by line, and takes them along when the build ends early."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.errors import ImageNotBuilt

Progress = Callable[[str], None]
_GRACE = 10.0  # seconds between SIGTERM and SIGKILL
_TAIL = 12  # lines of output in the message of a failure


def run(command: Sequence[str], *, progress: Progress, cwd: Path, keep: Sequence[int] = ()) -> None:
    """Run a program to its end; Ctrl-C and any other exception ends it first, with all that it started.

    Args:
        command: program and arguments; no shell looks at them.
        progress: is told every line of output.
        cwd: where it runs; a folder of ours, so that no file of the user's folder is mistaken for a part of it.
        keep: descriptors it inherits.

    Raises:
        ImageNotBuilt: it isn't there, or failed; with its last lines.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell, and packages are checked by `Recipe`
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            cwd=cwd,
            pass_fds=keep,
            start_new_session=True,  # so that it can be ended as a group, and Ctrl-C reaches us alone
        )
    except OSError as error:
        raise ImageNotBuilt(f"the image can't be built: {command[0]} can't be started ({error})") from error
    last: deque[str] = deque(maxlen=_TAIL)
    try:
        for line in process.stdout or ():
            last.append(line.rstrip())
            progress(line.strip())
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    finally:
        if process.stdout:
            process.stdout.close()
    if code:
        tail = "\n".join(last)
        raise ImageNotBuilt(
            f"the image can't be built: {Path(command[0]).name} ended with {code}. Its last words:\n{tail}"
        )


def _end(process: subprocess.Popen[str]) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
            return
