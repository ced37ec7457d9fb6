"""A copy of a store while others read and write it: of one moment, checked, and there as a whole or not at all."""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store

_PAGES = 2000
"""Copied between two looks at whether to stop; 8 MB."""


class BackupSummary(BaseModel):
    """What was copied, in bytes and in memories with all their versions, of all scopes."""

    model_config = ConfigDict(frozen=True)

    path: Path
    size: int
    memories: int


def back_up(store: Store, target: Path, progress: Callable[[int, int], None]) -> BackupSummary:
    """Copy a store, all its scopes, into a file that can be opened as a store.

    Args:
        store: Which one; others may go on to write to it.
        target: The new file.
        progress: Told how many of how many pages are copied.

    Raises:
        MemoryStoreError: if the file exists, can't be written, or the copy isn't sound; then nothing is left.
    """
    if store.in_postgres:
        raise MemoryStoreError(
            f"The store is in PostgreSQL ({store.name}), whose own tool makes backups while others write: "
            f"pg_dump --schema=dionysus --format=custom --file={target} DATABASE; pg_restore reads them. "
            "`dionysus memory export` writes one scope as JSON lines."
        )
    if target.exists():
        raise MemoryStoreError(f"{target} exists already; name a new file, so that no backup is lost.")
    partial = target.with_name(f"{target.name}.{secrets.token_hex(4)}.partial")
    try:
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        memories = _copied(store, partial, progress)
        _settle(partial)
        partial.rename(target)
    except (sqlite3.Error, OSError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise MemoryStoreError(
            f"The backup {target} could not be written: {reason}. Check space and rights."
        ) from error
    finally:
        for ending in ("", "-journal", "-wal", "-shm"):
            Path(f"{partial}{ending}").unlink(missing_ok=True)
    return BackupSummary(path=target, size=target.stat().st_size, memories=memories)


def _copied(store: Store, partial: Path, progress: Callable[[int, int], None]) -> int:
    with store.sqlite.snapshot() as source, contextlib.closing(sqlite3.connect(partial)) as copy:
        source.backup(copy, pages=_PAGES, progress=lambda _status, left, total: progress(total - left, total))
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
        found = [row[0] for row in copy.execute("PRAGMA integrity_check")]
        if found != ["ok"]:
            raise MemoryStoreError(
                f"The copy of {store.path} is damaged: {found[0]}. Most likely the store is too; "
                "run `dionysus memory verify`."
            )
        count: int = copy.execute("SELECT count(*) FROM memory").fetchone()[0]
        held: int = source.execute("SELECT count(*) FROM memory").fetchone()[0]
    if count != held:
        raise MemoryStoreError(f"The copy has {count:,} memories and the store {held:,}; the disk may be failing.")
    return count


def _settle(path: Path) -> None:
    """Have the copy on the disk before it gets its name."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
