"""The files of a session: on the host until there is a box, in the box from then on."""

from __future__ import annotations

import secrets
import time
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.guest.wire import DROPPED, FILE, FILED, LOST, PRINTED, WireError
from sandbox.docker.messages import read, text_of, written
from sandbox.errors import FileRefused
from sandbox.files import check_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from sandbox.docker.box import Box
    from sandbox.files import Files
    from sandbox.settings import Limits

_CHUNK: Final = 1 << 20
_TIMEOUT: Final = 20.0  # seconds that the supervisor has for one chunk
_ERROR: Final = 200  # characters of an error's text


class Shelf:
    """Puts, reads and lists files. Only while the worker stands still: between steps, and while a host call is served.

    Args:
        files: what the host has put, which a fresh box gets again.
        limits: bytes of one file that are read.
        aside: gets every frame that is about no file but may come meanwhile: its kind and payload.
        clock: the moment, in seconds.
    """

    def __init__(
        self,
        files: Files,
        limits: Limits,
        aside: Callable[[int, bytes], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files, self._limits, self._aside, self._clock = files, limits, aside, clock

    def fill(self, box: Box) -> None:
        """Write all that the host has put into a fresh box."""
        for name in self._files.names():
            self._write(box, name, self._files.get(name))

    def put(self, name: str, content: bytes, box: Box | None) -> None:
        """Write a file, also into the box where there is one."""
        self._files.put(name, content)
        if box is None:
            return
        try:
            self._write(box, name, content)
        except FileRefused:
            self._files.remove(name)
            raise

    def get(self, name: str, box: Box | None) -> bytes:
        """Read a file.

        Raises:
            FileRefused: there is none of this name, or it is too large.
            ChannelClosedError: the box is gone.
            WireError: it answers nothing, or nothing that makes sense.
        """
        if box is None:
            return self._files.get(name)
        check_name(name)
        content = bytearray()
        while True:
            reply = self._ask(box, {"op": "get", "name": name, "offset": len(content), "size": _CHUNK})
            if "error" in reply:
                raise FileRefused(f"the file {name!r} can't be read: {_shown(reply)}")
            part, total = _decoded(reply.get("data")), reply.get("total")
            content += part
            if type(total) is not int or total > self._limits.file_limit or len(content) > self._limits.file_limit:
                raise FileRefused(f"the file {name!r} is larger than {self._limits.file_limit:,} bytes")
            if not part or len(content) >= total:
                return bytes(content)

    def names(self, box: Box | None) -> list[str]:
        """Names of all files, sorted; without those that no file of the host could have."""
        if box is None:
            return self._files.names()
        names = self._ask(box, {"op": "list"}).get("names")
        return sorted(name for name in names if _is_plain(name)) if isinstance(names, list) else []

    def _write(self, box: Box, name: str, content: bytes) -> None:
        for offset in range(0, max(len(content), 1), _CHUNK):
            part = b64encode(content[offset : offset + _CHUNK]).decode()
            reply = self._ask(box, {"op": "put", "name": name, "offset": offset, "data": part})
            if "error" in reply:
                raise FileRefused(f"no room for {name!r} in the sandbox: {_shown(reply)}")

    def _ask(self, box: Box, request: dict[str, Any]) -> dict[str, Any]:
        """One question to the supervisor."""
        ticket = secrets.token_hex(8)
        until = self._clock() + _TIMEOUT
        box.channel.send(FILE, written({**request, "id": ticket}))
        while self._clock() < until:
            received = box.channel.receive()
            if received is None:
                continue
            if received[0] not in (PRINTED, DROPPED, LOST):
                return _reply(*received, ticket)
            self._aside(*received)
        raise WireError(f"no answer about a file in {_TIMEOUT:g} s")


def _reply(kind: int, payload: bytes, ticket: str) -> dict[str, Any]:
    if kind != FILED:
        raise WireError(f"a frame of kind {kind} where one about a file was due")
    reply = read(payload)
    if reply.get("id") != ticket:
        raise WireError("an answer about another file")
    return reply


def _shown(reply: dict[str, Any]) -> str:
    return text_of(reply, "error")[:_ERROR]


def _decoded(content: Any) -> bytes:
    try:
        return b64decode(content, validate=True)
    except (TypeError, ValueError):
        raise WireError("the content of a file that is none") from None


def _is_plain(name: Any) -> bool:
    try:
        check_name(name)
    except (FileRefused, AttributeError, TypeError):
        return False
    return True
