"""Who consolidates a scope just now: one process at a time, however many servers have the store open."""

import os
import secrets
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, and_, delete, insert, select, update

from dionysus_mcp.consolidation.tables import lease
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import owned, scope_values

SPAN = timedelta(seconds=60)
"""For so long a lease holds without being renewed: what a killed process leaves behind ends by itself."""


class ConsolidationBusy(MemoryStoreError):
    """Another process is consolidating the same scope; try again when it has ended."""


class Lease:
    """The right to consolidate one scope; a context manager. Not thread-safe.

    Args:
        store: Of the scope.
        span: How long it holds without `renew`.

    Raises:
        ConsolidationBusy: on entering, if another holds it.
    """

    def __init__(self, store: Store, span: timedelta = SPAN) -> None:
        self._store = store
        self._span = span
        self._holder = f"{os.getpid()}-{secrets.token_hex(4)}"
        self._renewed = datetime.min.replace(tzinfo=UTC)

    def __enter__(self) -> "Lease":
        """Take it."""
        self.renew()
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        mine = and_(owned(lease, self._store.scope), lease.c.holder == self._holder)
        self._store.write(lambda connection: connection.execute(delete(lease).where(mine)))

    def renew(self) -> None:
        """Hold it for another while; cheap where it was just renewed.

        Raises:
            ConsolidationBusy: if another took it meanwhile, as this one had not been renewed in time.
        """
        now = datetime.now(UTC)
        if now - self._renewed < self._span / 4:
            return
        if not self._store.write(lambda connection: self._take(connection, now)):
            raise ConsolidationBusy(
                f"Another process is consolidating {self._store.scope} just now. "
                f"Try again when it has ended; if it was killed, in {self._span.total_seconds():.0f} seconds."
            )
        self._renewed = now

    def _take(self, connection: Connection, now: datetime) -> bool:
        values = {"holder": self._holder, "until": now + self._span}
        free = (lease.c.holder == self._holder) | (lease.c.until < now)
        if connection.execute(update(lease).where(owned(lease, self._store.scope), free).values(values)).rowcount:
            return True
        if connection.execute(select(lease.c.holder).where(owned(lease, self._store.scope))).first() is not None:
            return False
        connection.execute(insert(lease), scope_values(self._store.scope) | values)
        return True
