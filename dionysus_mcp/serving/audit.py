"""The audit log: who called which tool when, with what outcome. One JSON object a line; no contents.

Contents are in the store and, where wanted, in the trace; an audit log is kept longer and shown to more people.
"""

import json
import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from io import FileIO, TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from dionysus_mcp.errors import MemoryStoreError

_OLD_ONES = 5


class _Private(RotatingFileHandler):
    """Opens its files, each new one too, for their owner alone."""

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o600)
        return TextIOWrapper(FileIO(descriptor, "a"), self.encoding, self.errors, write_through=True)


class AuditLog:
    """Appends records to a file that only its owner can read, and turns it over when it has grown.

    One server writes one file: two that turn over the same one would lose records.

    Args:
        path: The file.
        largest: Bytes at which it is turned over.

    Raises:
        MemoryStoreError: if it can't be written.
    """

    def __init__(self, path: Path, largest: int) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._handler = _Private(
                path, maxBytes=largest, backupCount=_OLD_ONES, encoding="utf-8", errors="backslashreplace"
            )
        except OSError as error:
            raise MemoryStoreError(
                f"The audit log {path} can't be written: {error.strerror}. Choose another place with "
                "DIONYSUS_SERVER__AUDIT."
            ) from error

    def record(self, entry: Mapping[str, Any]) -> None:
        """Append one record, with the time."""
        line = json.dumps({"at": datetime.now(UTC).isoformat(timespec="milliseconds"), **entry}, ensure_ascii=True)
        # The handler locks, counts bytes and turns over; a failed write is its own message on standard error.
        self._handler.emit(logging.LogRecord("audit", logging.INFO, "", 0, line, None, None))

    def close(self) -> None:
        """Close the file."""
        self._handler.close()
