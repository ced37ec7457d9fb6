"""The files of a session: on the host until there is a box, in the box from then on."""

from __future__ import annotations

import json
import secrets
import time
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.guest.wire import FILE, FILED, WireError
from sandbox.errors import FileRefused, SandboxError
from sandbox.files import check_name

if TYPE_CHECKING:
    from sandbox.docker.box import Box
    from sandbox.files import Files
    from sandbox.settings import Limits

_CHUNK: Final = 1 << 20
_TIMEOUT: Final = 20.0  # seconds that the supervisor has for one chunk


class Shelf:
    """Puts, reads and lists files.

    Args:
        files: what the host has put, which a fresh box gets again.
        limits: bytes of one file that are read.
    """

    def __init__(self, files: Files, limits: Limits) -> None:
        self._files, self._limits = files, limits

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
        """Read a file."""
        if box is None:
            return self._files.get(name)
        check_name(name)
        content = bytearray()
        while True:
            reply = _ask(box, {"op": "get", "name": name, "offset": len(content), "size": _CHUNK})
            if "error" in reply:
                raise FileRefused(f"the file {name!r} can't be read: {reply['error']}")
            part, total = b64decode(str(reply.get("data", ""))), reply.get("total")
            content += part
            if type(total) is not int or total > self._limits.file_limit or len(content) > self._limits.file_limit:
                raise FileRefused(f"the file {name!r} is larger than {self._limits.file_limit:,} bytes")
            if not part or len(content) >= total:
                return bytes(content)

    def names(self, box: Box | None) -> list[str]:
        """Names of all files, sorted."""
        if box is None:
            return self._files.names()
        names = _ask(box, {"op": "list"}).get("names")
        return sorted(name for name in names if isinstance(name, str)) if isinstance(names, list) else []

    def _write(self, box: Box, name: str, content: bytes) -> None:
        for offset in range(0, max(len(content), 1), _CHUNK):
            part = b64encode(content[offset : offset + _CHUNK]).decode()
            reply = _ask(box, {"op": "put", "name": name, "offset": offset, "data": part})
            if "error" in reply:
                raise FileRefused(f"no room for {name!r} in the sandbox: {reply['error']}")


def _ask(box: Box, request: dict[str, Any]) -> dict[str, Any]:
    """One question to the supervisor. Nothing else is said meanwhile: between steps and calls the worker is stopped."""
    ticket = secrets.token_hex(8)
    until = time.monotonic() + _TIMEOUT
    try:
        box.channel.send(FILE, json.dumps({**request, "id": ticket}).encode())
        while time.monotonic() < until:
            received = box.channel.receive()
            if received is not None and received[0] == FILED:
                reply = json.loads(received[1])
                if isinstance(reply, dict) and reply.get("id") == ticket:
                    return reply
    except (ChannelClosedError, WireError, ValueError) as error:
        raise SandboxError(f"the sandbox's files can't be reached: {error}") from None
    raise SandboxError(f"the sandbox's files can't be reached: no answer in {_TIMEOUT:g} s")
