"""The process that runs the user's code: forked from the supervisor, confined, and asked for one step after another.

It stays the Python that it is, or becomes another program, which then speaks the same frames on the same descriptor.

What it sends may have been forged by the code it ran, and its own machinery broken by it. When that machinery fails, it
ends with a status that the supervisor knows, and a fresh worker takes its place.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import sys

from sandbox.docker.guest.channel import Channel, TooLargeError
from sandbox.docker.guest.evaluation import Session
from sandbox.docker.guest.isolation import confine_worker
from sandbox.docker.guest.wire import DONE, EXECUTE, HARNESS_FAILED, NO_PROGRAM, OUT_OF_MEMORY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHANNEL = 3


def spawn(settings: dict[str, Any], output: int, program: list[str] | None = None) -> tuple[int, socket.socket]:
    """Fork a worker.

    Args:
        settings: what the host sent at boot.
        output: descriptor that gets its stdout and stderr.
        program: what it is to become, with its arguments; None for a Python.

    Returns:
        Its process id, and the supervisor's end of its channel.
    """
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid:
        theirs.close()
        return pid, ours
    try:
        channel = _take_descriptors(theirs.fileno(), output)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        confine_worker({**settings, "heap": 0} if program else settings)
        if program:
            _become(program)
        Worker(channel, settings).serve()
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except BaseException as error:  # noqa: BLE001 - a fork must end here, and say why
        os.write(2, f"the sandbox failed: {type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(HARNESS_FAILED)


def _take_descriptors(channel: int, output: int) -> int:
    """Keep three standard descriptors and the channel; close all others, the host's pipes among them."""
    # Out of the way first: any of the low numbers may be one that is still needed.
    channel, output = (fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, 100) for number in (channel, output))
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, number in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, number)
    os.dup2(channel, _CHANNEL, inheritable=False)
    os.closerange(_CHANNEL + 1, 1024)
    for number in (1, 2):
        os.set_blocking(number, True)
    return _CHANNEL


def _become(program: list[str]) -> None:
    os.set_inheritable(_CHANNEL, True)
    try:
        os.execvp(program[0], program)  # noqa: S606 - there is no shell, and the host names the program
    except FileNotFoundError:
        os._exit(NO_PROGRAM)


class Worker:
    """Runs steps for ever.

    Args:
        descriptor: its end of the channel.
        settings: what the host sent at boot.
    """

    def __init__(self, descriptor: int, settings: dict[str, Any]) -> None:
        self._channel = Channel(descriptor, settings["frame_limit"])
        self._session = Session(self._channel, settings)
        self._pid = os.getpid()
        self._exit = os._exit
        self._getpid = os.getpid
        for name in [name for name in sys.modules if name == "sandbox" or name.startswith("sandbox.")]:
            del sys.modules[name]

    def serve(self) -> None:
        """Take frames and answer each with one DONE."""
        while True:
            kind, step = self._channel.receive()
            if kind != EXECUTE:
                self._exit(HARNESS_FAILED)
            try:
                done = self._session.run(step)
            finally:
                if self._getpid() != self._pid:
                    self._exit(0)  # a fork of the user's code came back here: it must never go on as the worker
            try:
                self._channel.send(DONE, done)
            except TooLargeError as large:
                self._channel.send(DONE, {"id": done["id"], "value": f"<the value can't be shown: {large}>"})
