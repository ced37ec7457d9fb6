"""The connection to Neo4j: whether it answers, since when not, and when it is worth asking again."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString, TypeVar

from dionysus_mcp.errors import GraphUnavailable
from dionysus_mcp.settings import MemorySettings

if TYPE_CHECKING:
    from neo4j import Driver, ManagedTransaction, Record

T = TypeVar("T")
_CONNECT = 5.0
"""Seconds to connect."""
_LONGEST = 60.0
"""Seconds of one transaction: a process that is stopped in the middle of one must not hold others back for ever."""
_PAUSES = (1.0, 30.0)
"""Seconds until the next try: after the first failure, and at most."""


class Bolt:
    """A Neo4j server, reached when it is needed. Thread-safe.

    Args:
        settings: Name the server and who asks; `graph_url` is set.
        clock: Tells the moment, in seconds, from which the pause after a failure is counted.
    """

    def __init__(self, settings: MemorySettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._driver: Driver | None = None
        self._lock = threading.Lock()
        self._pause = _PAUSES[0]
        self._again = 0.0
        self.unavailable_since: datetime | None = None
        self.detail: str | None = None

    def is_due(self) -> bool:
        """Whether it answers, or has had its pause since it last didn't."""
        return self.unavailable_since is None or self._clock() >= self._again

    def read(self, query: LiteralString, **parameters: Any) -> "list[Record]":
        """The records of a query that changes nothing.

        Raises:
            GraphUnavailable: if Neo4j doesn't answer.
        """
        return self._asked(lambda transaction: list(transaction.run(query, parameters)), writes=False)

    def write(self, work: "Callable[[ManagedTransaction], T]") -> T:
        """Run `work` in a transaction, whole or not at all; it may run twice.

        Raises:
            GraphUnavailable: if Neo4j doesn't answer.
        """
        return self._asked(work, writes=True)

    def define(self, statements: tuple[LiteralString, ...]) -> None:
        """Run statements that make constraints and indexes, each in a transaction of its own.

        Raises:
            GraphUnavailable: if Neo4j doesn't answer, or refuses one.
        """
        for statement in statements:
            self._asked(lambda transaction, one=statement: transaction.run(one).consume(), writes=True)

    def close(self) -> None:
        """Let go of the connections."""
        with self._lock:
            if self._driver is not None:
                self._driver.close()
                self._driver = None

    def _asked(self, work: "Callable[[ManagedTransaction], T]", *, writes: bool) -> T:
        from neo4j import unit_of_work
        from neo4j.exceptions import DriverError, Neo4jError

        bounded = unit_of_work(timeout=_LONGEST)(work)
        try:
            with self._opened().session(database=self._settings.graph_database) as session:
                run = session.execute_write if writes else session.execute_read
                answer: T = run(bounded)
        except (DriverError, Neo4jError, OSError) as error:
            raise self._failed(error) from error
        self.unavailable_since, self.detail, self._pause = None, None, _PAUSES[0]
        return answer

    def _opened(self) -> "Driver":
        from neo4j import GraphDatabase, NotificationMinimumSeverity

        with self._lock:
            if self._driver is None:
                password = self._settings.graph_password
                self._driver = GraphDatabase.driver(
                    self._settings.graph_url or "",
                    auth=(self._settings.graph_user, password.get_secret_value()) if password else None,
                    connection_timeout=_CONNECT,
                    connection_acquisition_timeout=_CONNECT,
                    # The caller tries again, later: an answer from the store is better than a wait.
                    max_transaction_retry_time=0,
                    liveness_check_timeout=0,
                    notifications_min_severity=NotificationMinimumSeverity.OFF,
                    user_agent="dionysus-memory",
                )
            return self._driver

    def _failed(self, error: Exception) -> GraphUnavailable:
        self.unavailable_since = self.unavailable_since or datetime.now(UTC)
        self.detail = " ".join((getattr(error, "message", None) or str(error) or type(error).__name__).split())[:300]
        self._again, self._pause = self._clock() + self._pause, min(2 * self._pause, _PAUSES[1])
        return GraphUnavailable(
            f"Neo4j at {self._settings.graph_url} doesn't answer: {self.detail.rstrip('.')}. See that it runs, and "
            "check memory.graph_url, graph_user and graph_password."
        )
