"""Runs a server for as long as somebody holds our standard input open.

The test runner starts servers through this program and keeps the pipe. When the runner ends, in whatever way, SIGKILL
included, the pipe closes and the server is stopped: no run leaves a database or an engine behind.

Usage: python tether.py GRACE COMMAND [ARGUMENT...]
"""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def tethered(command: list[str], log: Path, grace: float = 20.0) -> Iterator[subprocess.Popen[bytes]]:
    """Run `command` for as long as the block lasts, its output in `log`.

    Args:
        command: Program and arguments.
        log: The file for what it prints.
        grace: Seconds between SIGTERM and SIGKILL; 0 for a server whose data is thrown away anyhow.

    Yields:
        The tether's process: it lives exactly as long as the server does.
    """
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, __file__, str(grace), *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=Path(__file__).parent.parent,  # where `python -m provision.…` is found
            start_new_session=True,  # Ctrl-C is for the test runner, which then lets go of the servers in order
        )
    try:
        yield process
    finally:
        process.stdin.close()  # pyright: ignore[reportOptionalMemberAccess]
        process.wait()


def main() -> int:
    """Start the command, wait for the end of it or of standard input."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    grace, command = float(sys.argv[1]), sys.argv[2:]
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL)

    def watch() -> None:
        sys.stdin.buffer.read()
        server.terminate()
        try:
            server.wait(grace)
        except subprocess.TimeoutExpired:
            server.kill()

    threading.Thread(target=watch, daemon=True).start()
    try:
        return server.wait()
    finally:
        server.terminate()


if __name__ == "__main__":
    sys.exit(main())
