"""The files of a box, as the supervisor puts, reads and lists them for the host.

The code of the user owns the same folder, so nothing in it is taken on trust: every part of a path is opened below the
one before it, never through a link, and only regular files are read.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import stat
from binascii import a2b_base64, b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# Not O_DIRECTORY: gVisor follows a link that is opened with both. Without O_NONBLOCK a named pipe would hold process 1.
_INTO = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_RDONLY | os.O_CLOEXEC
_MAX_DEPTH = 32
_MAX_NAMES = 5_000


class Folder:
    """A folder, held open from before the first line of the user's code.

    Args:
        path: made where it is missing.
    """

    def __init__(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)  # noqa: PTH103 - pathlib would be a tenth of a box's start
        os.chdir(path)
        self._root = _enter(path)

    def answer(self, request: bytes) -> bytes:
        """Do what one FILE frame asks, and say how it went; see the methods for the fields."""
        asked = json.loads(request)
        try:
            reply = getattr(self, f"_{asked['op']}")(asked)
        except OSError as error:
            reply = {"error": error.strerror or str(error), "errno": error.errno}
        reply["id"] = asked["id"]
        return json.dumps(reply).encode()

    def _put(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Write a chunk `data` (base64) at `offset`; one at 0 starts the file anew."""
        *parents, name = asked["name"].split("/")
        parent = self._open_folder(parents, make=True)
        try:
            if asked["offset"] == 0:
                _remove(name, parent)
            create = os.O_CREAT | os.O_EXCL if asked["offset"] == 0 else 0
            file = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | create, 0o644, dir_fd=parent)
            try:
                written = _write(file, a2b_base64(asked["data"]), asked["offset"])
            except OSError:
                _remove(name, parent)
                raise
            finally:
                os.close(file)
        finally:
            os.close(parent)
        return {"written": written}

    def _get(self, asked: dict[str, Any]) -> dict[str, Any]:
        """Read up to `size` bytes at `offset`."""
        *parents, name = asked["name"].split("/")
        parent = self._open_folder(parents)
        try:
            # Without O_NONBLOCK a named pipe would hold process 1 for ever.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        finally:
            os.close(parent)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                return {"error": "it is no regular file", "errno": None}
            octets = os.pread(file, asked["size"], asked["offset"])
        finally:
            os.close(file)
        return {"data": b2a_base64(octets, newline=False).decode(), "total": found.st_size}

    def _list(self, _: dict[str, Any]) -> dict[str, Any]:
        """Names of all regular files, as far as they are text and not too deep."""
        names: list[str] = []
        below: list[list[str]] = [[]]
        while below and len(names) < _MAX_NAMES:
            parts = below.pop()
            try:
                folder = self._open_folder(parts)
            except OSError:
                continue
            try:
                with os.scandir(folder) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False) and len(parts) < _MAX_DEPTH:
                            below.append([*parts, entry.name])
                        elif entry.is_file(follow_symlinks=False) and entry.name.isprintable():
                            names.append("/".join([*parts, entry.name]))
            finally:
                os.close(folder)
        return {"names": names}

    def _open_folder(self, parts: list[str], *, make: bool = False) -> int:
        folder = os.dup(self._root)
        for part in parts:
            try:
                if make:
                    _make_folder(part, folder)
                inner = _enter(part, folder)
            finally:
                os.close(folder)
            folder = inner
        return folder


def _enter(name: str, parent: int | None = None) -> int:
    folder = os.open(name, _INTO, dir_fd=parent)
    if not stat.S_ISDIR(os.fstat(folder).st_mode):
        os.close(folder)
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    return folder


def _make_folder(name: str, parent: int) -> None:
    with contextlib.suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=parent)


def _remove(name: str, parent: int) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent)


def _write(file: int, octets: bytes, offset: int) -> int:
    written = 0
    while written < len(octets):
        written += os.pwrite(file, octets[written:], offset + written)
    return written
