"""Process 1 of a box: alone holds the way to the host, keeps one worker alive, and lets it run only when it should.

Runs in the container, from source that came over its stdin; it imports nothing but the standard library and its
siblings here. Between a worker's frame and the host's reply every other process of the box is stopped, so that waiting
for a host call, or for the next step, costs no CPU. It ends with that way: no box outlives the process that opened it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time

from sandbox.docker.guest import worker
from sandbox.docker.guest.folder import Folder
from sandbox.docker.guest.isolation import hide, ignore_stops, oom_kills
from sandbox.docker.guest.tunnel import Tunnel
from sandbox.docker.guest.way import take_way
from sandbox.docker.guest.wire import (
    ANSWER,
    CALL,
    DONE,
    DROPPED,
    END,
    EXECUTE,
    FILE,
    FILED,
    HARNESS_FAILED,
    HELLO,
    INTERRUPT,
    KILL,
    LOST,
    NETWORK,
    NO_PROGRAM,
    OUT_OF_MEMORY,
    PATIENCE,
    PRINTED,
    PROGRAM,
    READY,
    SEEN,
    Frames,
    WireError,
    frame,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 65536
_BACKLOG = 1 << 20  # bytes for the host that may wait before the worker is no longer read
_HASTE = 0.005  # seconds in which a step's output may wait
_UNWIND_TIME = 1.0  # seconds that a step gets to leave its loops and finally blocks after its final answer
_ASKED_TIME = 0.1  # seconds in which a program that isn't busy ends its step when it is asked
_SILENCE = 10.0  # seconds after the end of a step's time in which its host must have done something about it


class Supervisor:
    """Passes frames between host and worker, and replaces a worker that died or broke the rules.

    Args:
        settings: what the host sent at boot; see `launch.boot`.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._host = Frames(settings["host_frame_limit"])
        self._out = bytearray()
        self._folder = Folder(settings["home"])
        # The write end stays open here too, so that the pipe never ends, whatever the worker closes.
        self._printed, self._print_end = os.pipe()
        self._wake, self._waker = socket.socketpair()
        for end in (self._printed, self._wake.fileno(), self._waker.fileno(), 0, 1):
            os.set_blocking(end, False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _nothing)  # only for the byte that it makes Python write
        ignore_stops(signal.SIGCHLD)
        self._room, self._dropped = settings["output_limit"], 0
        self._program: dict[str, Any] | None = None
        self._unsaid: tuple[int, bytes] | None = None  # what the host hears once the worker has greeted
        self._hasty_until = self._given_up = 0.0
        self._step_time = float(settings["patience"])  # seconds that a step may take
        self._unseen = 0  # LOSTs that the host has not read yet
        self._tunnel = Tunnel(lambda part: self._queue(NETWORK, part)) if settings["network"] else None
        self._start_worker()

    def serve(self) -> None:
        """Work until the host closes its end."""
        self._send(READY, json.dumps({"python": sys.version.split()[0], "machine": os.uname().machine}).encode())
        while True:
            for descriptor in self._ready():
                self._handle(descriptor)
            if self._unwinding is not None and time.monotonic() >= self._unwinding:
                self._replace("unwinding")
            if self._insist is not None and time.monotonic() >= self._insist:
                self._interrupt()
            if self._running and time.monotonic() >= self._given_up:
                self._end()  # the host is gone, and an engine that crashed keeps our stdin open

    def _ready(self) -> list[int]:
        """Wait for the next event. Whoever would overfill a buffer is not read for now."""
        poll = select.poll()
        poll.register(0, select.POLLIN)
        poll.register(self._wake, select.POLLIN)
        if len(self._out) <= _BACKLOG:
            poll.register(self._channel, select.POLLIN | (select.POLLOUT if self._inward else 0))
            if not self._in_haste():
                poll.register(self._printed, select.POLLIN)
        if self._tunnel is not None:
            self._tunnel.register(poll, outward=len(self._out) <= _BACKLOG)
        if self._out:
            poll.register(1, select.POLLOUT)
        return [descriptor for descriptor, _ in poll.poll(self._patience())]

    def _in_haste(self) -> bool:
        """Whether a step has just begun: what a short one prints is read with its end, and saves everybody a turn."""
        return self._running and time.monotonic() < self._hasty_until

    def _patience(self) -> float | None:
        """Milliseconds until something is to be done without an event, at most an hour: `poll` can't count for ever."""
        moments = [self._hasty_until if self._in_haste() else self._given_up] if self._running else []
        moments += [moment for moment in (self._unwinding, self._insist) if moment is not None]
        return min(max(0.0, min(moments) - time.monotonic()), 3600.0) * 1000 + 1 if moments else None

    def _handle(self, descriptor: int) -> None:
        if descriptor == 0:
            self._from_host()
        elif descriptor == 1:
            self._flush()
        elif descriptor == self._wake.fileno():
            self._reap()
        elif descriptor == self._printed:
            self._read_printed()
            self._flush()
        elif descriptor == self._channel.fileno():
            self._push()
            self._from_worker()
        elif self._tunnel is not None:
            self._tunnel.handle(descriptor)
            self._flush()

    # From the host. It is trusted; what it may not know is that the worker has just died. Its frames for that one are
    # dropped until it says that it has seen the LOST, which answers them: a fresh worker must never get an old step.

    def _from_host(self) -> None:
        octets = _read(0)
        if octets == b"":
            self._end()
        self._host.feed(octets or b"")
        while (received := self._host.next()) is not None:
            if not self._for_us(*received) and not self._unseen:
                self._obey(*received)

    def _for_us(self, kind: int, payload: bytes) -> bool:
        """Do what a frame asks of this process; False if it is for the worker."""
        if kind == FILE:
            self._send(FILED, self._folder.answer(payload))
        elif kind == PROGRAM:
            self._change_program(json.loads(payload))
        elif kind == NETWORK and self._tunnel is not None:
            self._tunnel.from_host(payload)
            self._flush()
        elif kind == PATIENCE:
            self._step_time = float(payload)
        elif kind == SEEN:
            self._unseen -= 1
        else:
            return False
        return True

    def _obey(self, kind: int, payload: bytes) -> None:
        """Do what a frame for the worker that lives now asks."""
        if kind == EXECUTE:
            self._room, self._dropped, self._unwinding = self._settings["output_limit"], 0, None
            self._asked = True
            self._to_worker(kind, payload)
        elif kind in (ANSWER, END) and self._asked:
            self._unwinding = time.monotonic() + _UNWIND_TIME if kind == END else None
            self._to_worker(kind, payload)
        elif kind == INTERRUPT and self._asked:
            self._interrupt()
        elif kind == KILL and self._asked:
            self._replace("killed")

    def _interrupt(self) -> None:
        """End the step. While the worker is stopped in a call this waits for the answer.

        Another program is asked first, and gets the signal that ends what it runs only if it is too busy to hear: Node
        takes that one for its own end in the moment between two turns.
        """
        asked = self._program is not None and self._insist is None
        self._insist = time.monotonic() + _ASKED_TIME if asked else None
        with contextlib.suppress(ProcessLookupError):  # it may have died a moment ago
            os.kill(self._pid, signal.SIGUSR2 if asked else signal.SIGINT)

    def _to_worker(self, kind: int, payload: bytes) -> None:
        self._inward += frame(kind, payload)
        self._push()
        self._running, self._hasty_until = True, time.monotonic() + _HASTE
        self._given_up = time.monotonic() + self._step_time + _SILENCE
        _signal_all(signal.SIGCONT)

    # From the worker. Every byte may be forged by the code that runs in it.

    def _from_worker(self) -> None:
        try:
            octets = _read(self._channel.fileno())
            if octets is None:
                return None
            if octets == b"":
                return self._replace("ended")
            self._worker_frames.feed(octets)
            while (received := self._worker_frames.next()) is not None:
                if received[0] == HELLO and not self._greeted:
                    self._greet(received[1])
                    continue
                if not self._running or received[0] not in (CALL, DONE):
                    return self._replace("forged")
                self._pause(*received)
        except (WireError, ConnectionError):
            self._replace("forged")

    def _pause(self, kind: int, payload: bytes) -> None:
        """The worker waits now; let nothing of the box run until the host has replied."""
        self._running, self._unwinding, self._insist = False, None, None
        _signal_all(signal.SIGSTOP)
        self._read_printed()  # queued before the frame, and sent with it
        if kind == DONE:
            self._asked = False
            if self._dropped:
                self._queue(DROPPED, str(self._dropped).encode())
        self._send(kind, payload)

    def _greet(self, payload: bytes) -> None:
        """Another program has become the worker, and waits; no code of the user has run in it yet."""
        self._greeted = True
        _signal_all(signal.SIGSTOP)
        self._send(*(self._unsaid or (READY, payload)))
        self._unsaid = None

    def _read_printed(self) -> None:
        while octets := _read(self._printed):
            kept = octets[: self._room]
            self._room -= len(kept)
            self._dropped += len(octets) - len(kept)
            if kept:
                self._queue(PRINTED, kept)
            if len(self._out) > _BACKLOG or len(octets) < _CHUNK:
                break

    # Life and death of the worker.

    def _start_worker(self) -> None:
        program = self._program
        command = program["command"] if program else None
        self._pid, self._channel = worker.spawn(self._settings, self._print_end, command)
        self._channel.setblocking(False)
        self._worker_frames = Frames(self._settings["frame_limit"])
        self._inward = bytearray()
        self._greeted = program is None
        if program:
            boot = program["boot"].encode()
            self._inward += len(boot).to_bytes(4, "big") + boot
            self._push()
        self._running, self._asked, self._unwinding, self._status = False, False, None, None
        self._insist: float | None = None  # when a program that was asked to end its step is made to
        self._oom_kills = oom_kills()

    def _change_program(self, program: dict[str, Any]) -> None:
        """Have another program as the worker from now on: `command`, and `boot`, the text it finds on its channel.

        The host hears READY with its first frame. A worker that ends before that is LOST and followed by a Python.
        """
        self._program = program
        self._end_worker()
        self._channel.close()
        self._start_worker()

    def _end_worker(self) -> None:
        _signal_all(signal.SIGKILL)
        self._reap_all()

    def _replace(self, reason: str) -> None:
        """End everything in the box and start afresh; the host is told why."""
        self._end_worker()
        killed = reason == "ended" and self._status == -signal.SIGKILL  # and not by the line above
        if not self._greeted:
            self._program, self._unsaid = None, None
            reason = "absent" if self._status == NO_PROGRAM else "stillborn"
        elif self._status == OUT_OF_MEMORY or (killed and oom_kills() > self._oom_kills):
            reason = "memory"
        elif self._status == HARNESS_FAILED:
            reason = "broken"
        self._read_printed()
        if self._dropped:
            self._queue(DROPPED, str(self._dropped).encode())
            self._dropped = 0
        self._channel.close()
        lost = LOST, json.dumps({"reason": reason, "status": self._status}).encode()
        self._start_worker()
        self._unseen += 1
        if self._greeted:
            self._send(*lost)
        else:
            self._unsaid = lost  # or the next step would be charged for the start of this worker

    def _reap(self) -> None:
        _read(self._wake.fileno())
        while self._collect():
            pass
        # What it left running may hold the channel of a dead worker open; what that said while it lived counts.
        while self._status is not None:
            if select.select([self._channel], [], [], 0)[0]:
                self._from_worker()
            else:
                self._replace("ended")

    def _reap_all(self) -> None:
        """Wait for the end of every process; whoever was born between two kills is killed by the next."""
        while (pid := self._collect()) is not None:
            if not pid:
                _signal_all(signal.SIGKILL)
                time.sleep(0.001)

    def _collect(self) -> int | None:
        """Note the end of one process: its id, 0 if none has ended, None if there is none."""
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == self._pid:
            self._status = os.waitstatus_to_exitcode(status)
        return pid

    def _end(self) -> None:
        _signal_all(signal.SIGKILL)
        os._exit(0)

    # To both sides, without ever waiting.

    def _send(self, kind: int, payload: bytes) -> None:
        self._queue(kind, payload)
        self._flush()

    def _queue(self, kind: int, payload: bytes) -> None:
        self._out += frame(kind, payload)

    def _flush(self) -> None:
        _drain(1, self._out)

    def _push(self) -> None:
        _drain(self._channel.fileno(), self._inward)


def _read(descriptor: int) -> bytes | None:
    """What is there now: None for nothing yet, no bytes for the end."""
    try:
        return os.read(descriptor, _CHUNK)
    except BlockingIOError:
        return None
    except ConnectionError:
        return b""


def _drain(descriptor: int, waiting: bytearray) -> None:
    while waiting:
        try:
            written = os.write(descriptor, memoryview(waiting)[:_CHUNK])
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionError):
            waiting.clear()  # its end is noticed where it is read
            return
        del waiting[:written]


def _nothing(*_: object) -> None:
    """A handler that only has to exist."""


def _signal_all(number: int) -> None:
    """Send a signal to every process of the box but this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def main(settings: dict[str, Any]) -> None:
    """Be process 1 until the host is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # process 1 gets no other that it has no handler for
    hide()
    take_way(settings["way"])
    try:
        Supervisor(settings).serve()
    finally:
        _signal_all(signal.SIGKILL)
