"""The files of one sandbox, kept in the host's memory: never a folder of the host."""

from __future__ import annotations

import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from sandbox.errors import FileRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sandbox.settings import Limits

_MAX_FILES = 1_000
_MAX_NAME = 255


class Files:
    """Files by plain relative names such as `notes/a.txt`, within the limits. Thread-safe.

    Args:
        limits: `file_limit` bounds one file, `files_limit` all of them together (bytes).
        content: the first files.

    Raises:
        FileRefused: a file of `content` is not allowed.
    """

    def __init__(self, limits: Limits, content: Mapping[str, bytes] | None = None) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._content: dict[str, bytes] = {}
        self._size = 0
        for name, octets in (content or {}).items():
            self.put(name, octets)

    def put(self, name: str, content: bytes) -> None:
        """Write a file, replacing one of the same name.

        Raises:
            FileRefused: the name is odd, or a limit would be passed; nothing is changed then.
        """
        check_name(name)
        if isinstance(content, str):
            raise FileRefused(f"the content of {name!r} is text; files are bytes, so encode it first")
        if len(content) > self._limits.file_limit:
            raise FileRefused(f"{name!r} has {len(content):,} bytes; one file may have {self._limits.file_limit:,}")
        with self._lock:
            size = self._size - len(self._content.get(name, b"")) + len(content)
            if size > self._limits.files_limit:
                raise FileRefused(f"no room for {name!r}: all files may have {self._limits.files_limit:,} bytes")
            if name not in self._content and len(self._content) >= _MAX_FILES:
                raise FileRefused(f"no room for {name!r}: a sandbox keeps {_MAX_FILES:,} files")
            self._check_place(name)
            self._content[name] = bytes(content)
            self._size = size

    def get(self, name: str) -> bytes:
        """Read a file.

        Raises:
            FileRefused: there is none of this name.
        """
        with self._lock:
            if name not in self._content:
                raise FileRefused(f"there is no file {name!r}; there are {', '.join(sorted(self._content)) or 'none'}")
            return self._content[name]

    def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        with self._lock:
            self._size -= len(self._content.pop(name, b""))

    def names(self) -> list[str]:
        """All names, sorted."""
        with self._lock:
            return sorted(self._content)

    def has_folder(self, name: str) -> bool:
        """Whether a file lies below this name."""
        with self._lock:
            return self._below(name)

    def __contains__(self, name: object) -> bool:
        return name in self._content

    def _check_place(self, name: str) -> None:
        if name in self._content:
            return
        parents = {str(parent) for parent in PurePosixPath(name).parents}
        if parents & self._content.keys() or self._below(name):
            raise FileRefused(f"{name!r} would be a file and a folder at once")

    def _below(self, name: str) -> bool:
        return any(other.startswith(f"{name}/") for other in self._content)


def check_name(name: str) -> None:
    """Raise FileRefused unless this is a plain relative name."""
    parts = name.split("/")
    if not name or len(name) > _MAX_NAME or name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise FileRefused(
            f"{name[:80]!r} is not a plain relative file name (no leading '/', no '..', ≤ 255 characters)"
        )
    if "\\" in name or not name.isprintable():
        raise FileRefused(f"{name[:80]!r} has characters that a file name may not have here")
