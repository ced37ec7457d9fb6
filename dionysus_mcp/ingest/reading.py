"""Is this file text, is it small enough, and has it changed? Answered in one pass of bounded memory."""

import codecs
import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

from dionysus_mcp.ingest.pieces import Line, numbered

_CHUNK = 1 << 20


class UnreadableFileError(Exception):
    """A file that is not taken in; the message is the reason, as the user reads it."""


def digest_of_text(path: Path, limit: int) -> str:
    """SHA-256 of a text file.

    Args:
        path: The file.
        limit: Bytes that it may have; a larger one is not opened.

    Raises:
        UnreadableFileError: if it is no regular file, too large, not UTF-8 text, or can't be read.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableFileError("not a regular file")
        if found.st_size > limit:
            raise UnreadableFileError(
                f"{_size(found.st_size)}, and files above {_size(limit)} are not read (setting memory.max_file_bytes); "
                "split it"
            )
        return _digest(path)
    except UnicodeDecodeError as error:
        raise UnreadableFileError("not UTF-8 text; convert it first") from error
    except OSError as error:
        raise UnreadableFileError(f"can't be read: {error.strerror or error}") from error


def lines_of(path: Path) -> Iterator[Line]:
    """The lines of a text file with their numbers, one at a time."""
    with path.open(encoding="utf-8-sig", newline="\n") as file:
        yield from numbered(file)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            if b"\x00" in chunk:
                raise UnreadableFileError("not text: it holds NUL bytes")
            decoder.decode(chunk)
            digest.update(chunk)
        decoder.decode(b"", final=True)
    return digest.hexdigest()


def _size(count: int) -> str:
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GB"
