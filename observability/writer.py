"""Writes span records into the trace store, on a thread of its own, so that a run never waits for a disk.

The caller only appends to a queue (`queue.SimpleQueue`, whose `put` may interrupt itself: a signal handler can flush).
The thread wakes at the first record, gathers for `GATHER_SECONDS`, and commits the lot: what a killed process loses is
at most that and the commit itself.
"""

import logging
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final

from observability.conventions import is_content
from observability.owner import Owner
from observability.records import SpanRecord
from observability.rows import close_process, interrupt, open_process, run_of, write

_log = logging.getLogger(__name__)

GATHER_SECONDS: Final = 0.02
BATCH: Final = 2000
_LONGEST_PAUSE: Final = 1.0
_PASSING: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})
_MOST_BYTES: Final = 64 * 1024 * 1024
_SHED = "[left out: the trace queue was full]"


class _Token:
    """Asks the writer to say when all before it is on disk; `last` also ends the thread."""

    def __init__(self, *, last: bool) -> None:
        self.last = last
        self.reached = threading.Event()


class LocalWriter:
    """The queue and the thread between spans and one SQLite file. Owns the connection from here on.

    A full queue gives up content first, then leaf spans, never runs, layers or errors; what is given up is counted.

    Args:
        connection: an open trace store (`schema.open_to_write`).
        service: this process's name in the store.
        limit: records that may wait.
        sleep: lets so many seconds pass, while records gather and between two tries of a write.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        service: str,
        *,
        limit: int,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._sleep = sleep
        self._connection = connection
        self._service = service
        self._owner = Owner.here()
        self._limit = limit
        self._queue: SimpleQueue[SpanRecord | _Token] = SimpleQueue()
        self._lock = threading.Lock()
        self._bytes = 0
        self._dropped: Counter[str] = Counter()
        self._closed = False
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="trace-writer", daemon=True)
        self._thread.start()

    def put(self, record: SpanRecord) -> None:
        """Take a record, or less of it when the queue is full. Never waits."""
        if self._closed or os.getpid() != self._owner.pid:  # a forked child has the queue, but no thread
            return
        pressure = max(self._queue.qsize() / self._limit, self._bytes / _MOST_BYTES)
        if pressure > 0.5:
            if pressure > 0.75 and not record.vital:
                self._drop(record)
                return
            record = _without_content(record)
        with self._lock:
            self._bytes += record.size
        self._queue.put(record)

    def flush(self, timeout: float) -> bool:
        """Wait until all that was put before is on disk; False if that took longer than `timeout` seconds."""
        return self._reach(_Token(last=False), timeout)

    def shutdown(self, timeout: float) -> bool:
        """Write what waits, close the file, end the thread; False if that took longer than `timeout` seconds."""
        if self._closed:
            return True
        self._closed = True
        return self._reach(_Token(last=True), timeout)

    def _reach(self, token: _Token, timeout: float) -> bool:
        if not self._thread.is_alive():
            return False
        self._queue.put(token)
        return token.reached.wait(timeout)

    def _drop(self, record: SpanRecord) -> None:
        if record.end_ns is not None:  # a lost beginning is made good by the end
            with self._lock:
                self._dropped[run_of(record)] += 1

    def _work(self) -> None:
        self._attempt(self._begin)
        token: _Token | None = None
        while token is None or not token.last:
            batch, token = self._gather()
            self._store(batch)
            if token is not None:
                if token.last:
                    self._attempt(lambda: close_process(self._connection, self._owner.id, time.time_ns()))
                    self._connection.close()
                token.reached.set()

    def _begin(self) -> None:
        open_process(self._connection, self._owner, self._service, time.time_ns())
        interrupt(self._connection, self._owner)

    def _gather(self) -> tuple[list[SpanRecord], _Token | None]:
        """Wait for a first record, then take what came, up to a token: what it promises is what was put before it."""
        first = self._queue.get()
        if isinstance(first, _Token):
            return [], first
        self._sleep(GATHER_SECONDS)
        batch = [first]
        while len(batch) < BATCH:
            try:
                item = self._queue.get_nowait()
            except Empty:
                break
            if isinstance(item, _Token):
                return batch, item
            batch.append(item)
        return batch, None

    def _store(self, batch: Sequence[SpanRecord]) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        if (batch or dropped) and not self._write(batch, dropped):
            lost = Counter(run_of(r) for r in batch if not self._write([r], {}) and r.end_ns is not None)
            if not self._write([], dropped + lost):
                with self._lock:
                    self._dropped.update(dropped + lost)
        with self._lock:
            self._bytes -= sum(record.size for record in batch)

    def _write(self, batch: Sequence[SpanRecord], dropped: Mapping[str, int]) -> bool:
        return self._attempt(lambda: write(self._connection, self._owner.id, batch, dropped))

    def _attempt(self, task: Callable[[], None]) -> bool:
        """Do it; again and again while the file is locked or the disk full, since that passes and the queue is bounded.

        A store that refuses for good costs its spans, never the run: then the answer is False.
        """
        pause = 0.05
        while True:
            try:
                task()
            except Exception as error:  # noqa: BLE001 - promise: one bad record doesn't end the writer
                self._warn(error)
                if self._closed or not _passes(error):
                    return False
                self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                return True

    def _warn(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("the trace store takes no spans (%s: %s); what can't wait is dropped", type(error), error)


def _passes(error: Exception) -> bool:
    """Whether a failure may go away by itself: another process holds the file, or the disk is full."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(code, int) and code & 0xFF in _PASSING  # the low byte is the kind, the rest its details


def _without_content(record: SpanRecord) -> SpanRecord:
    said = [name for name in record.attributes if is_content(name)]
    if not said and not record.events:
        return record
    kept = {name: _SHED if name in said else value for name, value in record.attributes.items()}
    events = [
        replace(event, attributes={k: v for k, v in event.attributes.items() if not is_content(k)})
        for event in record.events
    ]
    return replace(record, attributes=kept, events=events, shed=record.shed + len(said), size=0)
