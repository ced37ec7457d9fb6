"""Consolidation in a server: a thread that runs it now and then, in one process at a time, behind everything else.

What it finds is done at once: whoever sets an interval has chosen that, and every run can be undone.
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dionysus_mcp.consolidation.consolidation import Consolidation
from dionysus_mcp.consolidation.lease import ConsolidationBusy
from dionysus_mcp.consolidation.planning import Writer
from dionysus_mcp.consolidation.reading import seen
from dionysus_mcp.consolidation.runs import last_seen
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store

_LOWEST = 19
"""Of the priorities that Unix calls niceness."""
_PATIENCE = 30.0
"""Seconds that closing waits; a run looks every few hundredths whether it should end."""

_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The server ends; what was done until now stays done."""


class Schedule:
    """Consolidates the scopes of a server every so many seconds, each if anything was stored since.

    Args:
        stores: One for each scope; asked in the thread, it may wait, and raise `MemoryStoreError`.
        settings: With an interval above 0.
        record: Told of every run, for the audit log.
        wait: Waits until an event is set or so many seconds are over, and says whether it is set.
    """

    def __init__(
        self,
        stores: Callable[[], Sequence[Store]],
        settings: ConsolidationSettings,
        record: Callable[[Mapping[str, Any]], None] = lambda _entry: None,
        *,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._stores = stores
        self._settings = settings
        self._record = record
        self._wait = wait
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="consolidation", daemon=True)

    def start(self) -> None:
        """Begin; the first run comes after one interval."""
        self._thread.start()

    def close(self) -> None:
        """End, also in the middle of a run."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_PATIENCE)

    def _run(self) -> None:
        with contextlib.suppress(OSError, AttributeError):  # where there is no niceness, it goes on without
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST)
        while not self._wait(self._stop, self._settings.interval):
            with contextlib.suppress(_Stopped):
                self._all()

    def _all(self) -> None:
        try:
            for store in self._stores():
                with contextlib.suppress(ConsolidationBusy):  # another server does it
                    self.once(store)
        except MemoryStoreError as error:
            _log.warning("Memories could not be consolidated: %s", error)
            self._record({"event": "consolidation", "outcome": "failed", "error": str(error)[:200]})

    def once(self, store: Store) -> bool:
        """Consolidate a scope if there is anything new; whether there was."""
        with store.read() as connection:
            now = seen(connection)
        if now <= last_seen(store):
            return False
        one = Consolidation(store, self._settings, writer=_writer(self._settings), check=self._check)
        _, run = one.run()
        counts = {"done": run.done, "skipped": len(run.skipped)}
        scope = {name: value for name, value in store.scope.changes().items() if value}
        self._record({"event": "consolidation", "outcome": "ok", "run": run.id, **scope, **counts})
        return True

    def _check(self) -> None:
        if self._stop.is_set():
            raise _Stopped


def _writer(settings: ConsolidationSettings) -> Writer | None:
    if settings.model is None:
        return None
    from dionysus_mcp.consolidation.writing import ModelWriter

    return ModelWriter(settings)
