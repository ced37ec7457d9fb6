"""Requests and tokens per minute of a tier, over all threads and processes that share one home folder.

The window is a table of recent calls in one small SQLite file: its lock works between processes on every system, goes
with a process that dies, and needs no server. Everything here runs on the Mind's event loop; nothing in it blocks, a
locked file is tried again a little later.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

WINDOW = 60.0
"""Seconds over which calls and tokens are counted."""

LIKELY_ANSWER = 1000
"""Completion tokens that a call counts for until its answer is there."""

_LONGEST_NAP = 5.0
_TABLE = "CREATE TABLE IF NOT EXISTS calls (id INTEGER PRIMARY KEY, tier TEXT, at REAL, tokens INTEGER)"
_INDEX = "CREATE INDEX IF NOT EXISTS calls_of_a_tier ON calls (tier, at)"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tier may do in any 60 seconds; `None` for no limit.

    Attributes:
        requests: calls.
        tokens: tokens of prompts and completions.
    """

    requests: int | None = None
    tokens: int | None = None

    def __bool__(self) -> bool:
        return self.requests is not None or self.tokens is not None


class Window:
    """The calls of the last 60 seconds, by tier; one connection for all tiers of a Mind, used on one event loop.

    Args:
        path: the SQLite file; its folder is made if it isn't there.
        seconds: the window's length.
        clock: tells the time, in seconds since the epoch: processes that share the file compare theirs.
        sleep: waits so many seconds without holding the loop.
    """

    def __init__(
        self,
        path: Path,
        seconds: float = WINDOW,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._path = path
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._connection: sqlite3.Connection | None = None

    async def enter(self, tier: str, limits: Limits, tokens: int) -> int | None:
        """Wait until one more call is allowed, and count it.

        Args:
            tier: whose calls are counted together.
            limits: the tier's limits.
            tokens: what the call is likely to use. One that alone passes the limit waits for an empty window.

        Returns:
            The call's number, for `settle`; `None` where nothing is limited.
        """
        while limits:
            try:
                entered, wait = self._try(tier, limits, tokens)
            except (sqlite3.Error, OSError) as error:
                entered, wait = None, self._nap_after(error)
            if entered is not None:
                return entered
            # With jitter: many that wait for the same call to leave the window shouldn't meet at the lock.
            await self._sleep(min(wait, _LONGEST_NAP) + random.uniform(0, 0.02))  # noqa: S311 - not a secret
        return None

    async def settle(self, number: int | None, tokens: int) -> None:
        """Replace a call's likely tokens by those that were counted."""
        for _ in range(20 if number is not None else 0):
            try:
                self._open().execute("UPDATE calls SET tokens = ? WHERE id = ?", (tokens, number))
            except (sqlite3.Error, OSError) as error:
                await self._sleep(self._nap_after(error))
            else:
                return

    def close(self) -> None:
        """Close the file; it is opened again when it is needed."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _try(self, tier: str, limits: Limits, tokens: int) -> tuple[int | None, float]:
        """Return the number of a call that may go, or `None` and the seconds until it might."""
        connection = self._open()
        connection.execute("BEGIN IMMEDIATE")
        try:
            now = self._clock()
            # What lies ahead of now was counted before the clock was set back.
            connection.execute("DELETE FROM calls WHERE at <= ? OR at > ?", (now - self._seconds, now + 1))
            rows = connection.execute("SELECT at, tokens FROM calls WHERE tier = ? ORDER BY at", (tier,)).fetchall()
            wait = _wait(rows, limits, tokens)
            number = None if wait is not None else self._insert(connection, tier, now, tokens)
            connection.execute("COMMIT")
        except BaseException:
            # A reader may keep even the COMMIT waiting: the transaction would stay open, and no later one could begin.
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return number, 0.0 if wait is None else max(0.0, wait + self._seconds - now)

    @staticmethod
    def _insert(connection: sqlite3.Connection, tier: str, now: float, tokens: int) -> int | None:
        statement = "INSERT INTO calls (tier, at, tokens) VALUES (?, ?, ?)"
        return connection.execute(statement, (tier, now, tokens)).lastrowid

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # No waiting for the lock in here: this thread carries all model and memory calls of the Mind.
            connection = sqlite3.connect(self._path, timeout=0, isolation_level=None)
            try:
                # A minute's counts aren't worth a disk's flush: a power cut may lose them.
                connection.execute("PRAGMA synchronous = OFF")
                connection.execute(_TABLE)
                connection.execute(_INDEX)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _nap_after(self, error: sqlite3.Error | OSError) -> float:
        """Return how long to wait after an error; one that won't pass ends the sharing, not the run."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            return random.uniform(0.002, 0.02)  # noqa: S311 - jitter, not a secret
        self.close()
        if str(self._path) != ":memory:":
            _log.warning("%s can't be used (%s); rates are limited in this process alone.", self._path, error)
            self._path = Path(":memory:")
        return 0.0


def _wait(rows: list[tuple[float, int]], limits: Limits, tokens: int) -> float | None:
    """Return when the call was made that must leave the window first; `None` if there is room.

    Args:
        rows: time and tokens of each call in the window, oldest first.
        limits: the tier's limits.
        tokens: of the call that asks.
    """
    times: list[float] = []
    if limits.requests is not None and len(rows) >= limits.requests:
        times.append(rows[len(rows) - limits.requests][0])
    if limits.tokens is not None and rows:
        excess = sum(row[1] for row in rows) + tokens - limits.tokens
        for at, spent in rows:
            if excess <= 0:
                break
            times.append(at)
            excess -= spent
    return max(times, default=None)
