"""A session of the real host, and a box that says what it is told to: what hypothesis and the fuzzer call.

The box is a socket; all that reads from it, and all that judges what was read, is the product's own.
"""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from sandbox import DockerSandbox, SandboxError, SandboxSettings
from sandbox.docker.box import Box
from sandbox.docker.channel import Channel
from sandbox.docker.launch import frame_limit

ID = "0123456789abcdef"  # of every step and of every question about a file, so that a forger can guess it
LIMITS = SandboxSettings(value_limit=20_000, output_limit=2_000, file_limit=20_000, max_host_calls=20)
_ROOM = 1 << 20  # bytes that may wait in the socket


class _Boxes:
    """The part of a backend that a session asks: one box, and none after it."""

    def __init__(self, box: Box) -> None:
        self._box, self.settings, self.clock = box, LIMITS, time.monotonic

    def take(self, *_: object) -> Box:
        return self._box

    def give_back(self, box: Box) -> None:
        box.channel.close()

    def check(self, *_: object) -> None:
        """The engine is fine; it is the box that has gone."""


@contextmanager
def saying(octets: bytes) -> Iterator[DockerSandbox]:
    """A session whose box says these bytes, in the engine's own chunks, and then no more.

    Args:
        octets: at most `_ROOM` of them.
    """
    ours, theirs = socket.socketpair()
    try:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _ROOM)
        theirs.settimeout(5)
        theirs.sendall(octets)
        theirs.shutdown(socket.SHUT_WR)
        box = Box("f" * 64, Channel(ours, frame_limit(LIMITS)), {})
        with mock.patch("secrets.token_hex", return_value=ID):
            yield DockerSandbox(limits=LIMITS, backend=_Boxes(box))  # type: ignore[arg-type]
    finally:
        for end in (ours, theirs):
            end.close()


def chunked(octets: bytes, size: int = 32_768) -> bytes:
    """As the engine sends stdout of a container."""
    chunks = (octets[at : at + size] for at in range(0, len(octets), size))
    return b"".join(struct.pack(">BxxxI", 1, len(chunk)) + chunk for chunk in chunks)


def take(octets: bytes, *, files: bool = True) -> None:
    """Run a step against such a box, and reach for its files; raise AssertionError for what the host must never do.

    Args:
        octets: of the engine's stream.
        files: whether to reach for the files too.
    """
    given: list[Any] = []
    for use in (_run, _list, _get, _put) if files else (_run,):
        with saying(octets) as box:
            box.send_tools({"echo": lambda *args, **named: given.append((args, named)), "final_answer": lambda a: a})
            try:
                said = use(box)
            except SandboxError as error:
                said = str(error)
            _judge(said, given, box.state["_print_outputs"])


def _run(box: DockerSandbox) -> Any:
    shown = box("x = 1")
    return (shown.output, shown.logs)


def _list(box: DockerSandbox) -> list[str]:
    box._box = box._boxes.take()
    return box.list_files()


def _get(box: DockerSandbox) -> bytes:
    box._box = box._boxes.take()
    return box.get_file("a")


def _put(box: DockerSandbox) -> None:
    box._box = box._boxes.take()
    box.put_file("a", b"x")


def _judge(*said: Any) -> None:
    """What came through is bounded, and text that every log can carry."""
    text = repr(said)
    assert len(text) < 40 * frame_limit(LIMITS)
    _readable(said)


def _readable(value: Any) -> None:
    if isinstance(value, str):
        value.encode()
    elif isinstance(value, dict):
        for key, item in value.items():
            _readable(key)
            _readable(item)
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            _readable(item)
