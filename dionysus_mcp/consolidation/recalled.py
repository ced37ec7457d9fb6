"""Counts what is recalled, in a thread of its own: a recall notes ids in memory and goes on."""

import logging
import threading
from collections.abc import Sequence
from datetime import UTC, datetime

from dionysus_mcp.consolidation.strengths import note_recalls
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store

USEFUL = 3
"""Hits of one recall that count: what stands further down was rarely what was wanted."""
_MOST = 10_000
"""Ids that wait at most; what comes when nothing can be written is not counted."""

_log = logging.getLogger(__name__)


class RecallCounts:
    """Remembers which memories were recalled, as well as it can: a count may be lost, a recall never waits.

    Args:
        store: Where the counts go.
        pause: Seconds for which they are gathered.
    """

    def __init__(self, store: Store, pause: float = 5.0) -> None:
        self._store = store
        self._pause = pause
        self._waiting: dict[str, tuple[int, datetime]] = {}
        self._lock = threading.Lock()
        self._noted = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall-counts", daemon=True)

    def start(self) -> None:
        """Begin to write."""
        self._thread.start()

    def note(self, ids: Sequence[str]) -> None:
        """Some memories were recalled, the best first."""
        if not self._thread.is_alive():
            return
        now = datetime.now(UTC)
        with self._lock:
            for key in ids[:USEFUL]:
                if key in self._waiting or len(self._waiting) < _MOST:
                    self._waiting[key] = (self._waiting.get(key, (0, now))[0] + 1, now)
        self._noted.set()

    def flush(self) -> None:
        """Write what waits."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            self._store.write(lambda connection: note_recalls(connection, self._store.scope, waiting))
        except MemoryStoreError as error:
            # A full disk or a read-only file: recall goes on, and these recalls were not counted.
            _log.info("Recalls could not be counted: %s", error)

    def close(self) -> None:
        """Write what waits, and end."""
        self._stop.set()
        self._noted.set()
        if self._thread.is_alive():
            self._thread.join(timeout=30.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._noted.wait()
            self._stop.wait(self._pause)
            self._noted.clear()
            self.flush()
