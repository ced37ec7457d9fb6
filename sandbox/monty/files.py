"""`open`, `pathlib` and `os` of code in monty, answered from a sandbox's files in memory.

Used by `session` alone. The code's working directory is the root of the files; there is nothing beside it.
"""
# ruff: noqa: D102 - the methods are those of monty's AbstractOS, and documented there

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from pydantic_monty import AbstractOS, MontyFileHandle, StatResult

from sandbox.errors import FileRefused

if TYPE_CHECKING:
    from sandbox.files import Files

HOME = PurePosixPath("/work")

Named = PurePosixPath | MontyFileHandle


class GuestFiles(AbstractOS):
    """The file calls of monty over `Files`. Folders exist as far as files are in them, or once they were made.

    Errors are those that Python's own file functions raise, since code expects them.
    """

    def __init__(self, files: Files) -> None:
        self._files = files
        self._made: set[PurePosixPath] = {HOME, *HOME.parents}

    def path_exists(self, path: PurePosixPath) -> bool:
        return self.path_is_file(path) or self.path_is_dir(path)

    def path_is_file(self, path: PurePosixPath) -> bool:
        return _name(path) in self._files

    def path_is_dir(self, path: PurePosixPath) -> bool:
        return path in self._made or (HOME in path.parents and self._files.has_folder(_name(path)))

    def path_is_symlink(self, path: PurePosixPath) -> bool:
        return False

    def path_open(self, path: PurePosixPath, mode: str) -> MontyFileHandle:
        handle = MontyFileHandle(str(path), mode)
        if self.path_is_dir(path):
            raise IsADirectoryError(f"[Errno 21] Is a directory: {str(path)!r}")
        if handle.mode.startswith("r"):
            self._read(path)
        elif handle.mode.startswith("w") or not self.path_is_file(path):
            self._write(path, b"")
        return handle

    def path_read_text(self, path: Named) -> str:
        return self._read(path).decode()

    def path_read_bytes(self, path: Named) -> bytes:
        return self._read(path)

    def path_write_text(self, path: Named, data: str) -> int:
        self._write(path, data.encode())
        return len(data)

    def path_write_bytes(self, path: Named, data: bytes) -> int:
        self._write(path, data)
        return len(data)

    def path_append_text(self, path: Named, data: str) -> int:
        self._append(path, data.encode())
        return len(data)

    def path_append_bytes(self, path: Named, data: bytes) -> int:
        self._append(path, data)
        return len(data)

    def path_mkdir(self, path: PurePosixPath, parents: bool, exist_ok: bool) -> None:
        if self.path_exists(path) and not (exist_ok and self.path_is_dir(path)):
            raise FileExistsError(f"[Errno 17] File exists: {str(path)!r}")
        if not parents and not self.path_is_dir(path.parent):
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        if HOME not in path.parents and path != HOME:
            raise PermissionError(f"[Errno 13] Permission denied: {str(path)!r}")
        if len(self._made) >= _MAX_FOLDERS or len(path.parts) > _MAX_DEPTH:
            raise OSError(f"[Errno 28] No space left on device: {str(path)!r}")
        self._made.update({path, *path.parents})

    def path_unlink(self, path: PurePosixPath) -> None:
        self._read(path)
        self._files.remove(_name(path))

    def path_rmdir(self, path: PurePosixPath) -> None:
        full = self._files.has_folder(_name(path)) or any(path in made.parents for made in self._made)
        if full or path == HOME:
            raise OSError(f"[Errno 39] Directory not empty: {str(path)!r}")
        if path not in self._made:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        self._made.discard(path)

    def path_iterdir(self, path: PurePosixPath) -> list[PurePosixPath]:
        if not self.path_is_dir(path):
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        depth = len(path.parts)
        files = [HOME / name for name in self._files.names()]
        below = [entry for entry in (*files, *self._made) if path in entry.parents]
        return sorted({path / entry.parts[depth] for entry in below})

    def path_stat(self, path: PurePosixPath) -> StatResult:
        return StatResult.dir_stat() if self.path_is_dir(path) else StatResult.file_stat(size=len(self._read(path)))

    def path_rename(self, path: PurePosixPath, target: PurePosixPath) -> None:
        content = self._read(path)
        self._files.remove(_name(path))
        try:
            self._write(target, content)
        except OSError:
            self._write(path, content)
            raise

    def path_resolve(self, path: PurePosixPath) -> str:
        return self.path_absolute(path)

    def path_absolute(self, path: PurePosixPath) -> str:
        return str(HOME / path)

    def getenv(self, key: str, default: str | None = None) -> str | None:
        return default

    def get_environ(self) -> dict[str, str]:
        return {}

    def _read(self, path: Named) -> bytes:
        path = _path(path)
        if self.path_is_dir(path):
            raise IsADirectoryError(f"[Errno 21] Is a directory: {str(path)!r}")
        try:
            return self._files.get(_name(path))
        except FileRefused:
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}") from None

    def _append(self, path: Named, data: bytes) -> None:
        path = _path(path)
        self._write(path, (self._read(path) if self.path_is_file(path) else b"") + data)

    def _write(self, path: Named, data: bytes) -> None:
        path = _path(path)
        if HOME not in path.parents:
            raise PermissionError(f"[Errno 13] Permission denied: {str(path)!r}; files may be written in {HOME}")
        if not self.path_is_dir(path.parent):
            raise FileNotFoundError(f"[Errno 2] No such file or directory: {str(path)!r}")
        try:
            self._files.put(_name(path), data)
        except FileRefused as refused:
            raise OSError(f"[Errno 28] {refused}") from None


_MAX_FOLDERS = 1_000
_MAX_DEPTH = 50


def _path(named: Named) -> PurePosixPath:
    return PurePosixPath(named.path) if isinstance(named, MontyFileHandle) else named


def _name(path: PurePosixPath) -> Any:
    return str(path.relative_to(HOME)) if HOME in path.parents else str(path)
