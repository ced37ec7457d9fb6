"""The graph's life in a server: memories are read for it in the background, and its mirror is told of what changed.

Nothing here holds up a call that stores a memory. What a process leaves unread or untold, the next one takes up.
"""

import logging
import threading
import time
from collections.abc import Callable
from typing import Literal

from sqlalchemy import ColumnElement, exists, func, select

from dionysus_mcp.errors import GraphUnavailable, MemoryStoreError
from dionysus_mcp.graph import writing
from dionysus_mcp.graph.answering import Answering
from dionysus_mcp.graph.bolt import Bolt
from dionysus_mcp.graph.cypher import Neo4jGraph
from dionysus_mcp.graph.exploring import Asked, explore
from dionysus_mcp.graph.mirror import Mirror
from dionysus_mcp.graph.model_reader import ModelReader
from dionysus_mcp.graph.reading import RULES, UNREAD_TYPES, Draft, Found, Told
from dionysus_mcp.graph.records import Exploration
from dionysus_mcp.graph.shape import Counts, Graph
from dionysus_mcp.graph.sql import SqlGraph
from dionysus_mcp.graph.tables import seen
from dionysus_mcp.records import GraphHealth
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, believed, picked_in_scope

memory = schema.memory
_AT_A_TIME = 64
_LOOK_AGAIN = 15.0
"""Seconds until the store is searched again for what other processes stored."""
_LATE = 1000
"""Numbers before the last one that are looked at again: a transaction that began earlier may have ended later."""
_LAST_BATCH = 30.0
_MODEL_PAUSE = 30.0
"""Seconds until a model that gave no answer is asked again."""

_log = logging.getLogger(__name__)


class GraphReader:
    """Reads memories for the graph by the rules, the oldest first. Thread-safe.

    Args:
        store: Whose scope is read.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._since = 0

    def read_some(self, count: int = _AT_A_TIME) -> int:
        """Read up to so many memories that nobody has read; returns how many.

        Raises:
            MemoryStoreError: if the store can't be written.
        """
        with self._lock:
            told = self._unread(count)
            if not told:
                return 0
            drafts = [Draft(one) for one in told]
            asked = {key for draft in drafts for key in draft.asks()}
            with self._store.read() as connection:
                known = writing.known_keys(connection, self._store.scope, asked)
            # What one memory of this batch writes in the middle of a sentence, another may begin one with.
            known |= asked & {one.key for draft in drafts for one in draft.found(known).names if one.kind != "concept"}
            found = [draft.found(known) for draft in drafts]
            self._store.write(lambda connection: writing.store(connection, self._store.scope, found, RULES))
            self._since = told[-1].seq
            return len(told)

    def unread(self) -> int:
        """How many memories nobody has read."""
        query = select(func.count()).select_from(memory).where(picked_in_scope(self._store.scope), ~is_read())
        with self._store.read() as connection:
            return connection.execute(query).scalar_one()

    def _unread(self, count: int) -> list[Told]:
        query = (
            select(memory)
            .where(picked_in_scope(self._store.scope), memory.c.seq > self._since - _LATE, ~is_read())
            .order_by(memory.c.seq)
            .limit(count)
        )
        with self._store.read() as connection:
            last = connection.execute(select(func.max(memory.c.seq))).scalar() or 0
            told = [Told.of(row) for row in connection.execute(query)]
        if not told:
            self._since = last
        return told


class ModelReading:
    """Has a model read what the rules have read, one memory after the other, the oldest first.

    Args:
        store: Whose scope is read.
        settings: Name the model.
        clock: Tells the moment, in seconds, from which the pause after a failure is counted.
    """

    def __init__(self, store: Store, settings: MemorySettings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._model = ModelReader(settings)
        self._since = 0
        self._again = 0.0

    def read_one(self) -> int:
        """Read one memory; returns how many that were.

        Raises:
            ModelUnavailable: if the model gives no answer; it isn't asked again for a while.
            MemoryStoreError: if the store can't be written.
        """
        if self._clock() < self._again:
            return 0
        query = (
            select(memory)
            .join(seen, seen.c.memory_seq == memory.c.seq)
            .where(picked_in_scope(self._store.scope), believed())
            .where(memory.c.seq > self._since, seen.c.reader == RULES)
            .order_by(memory.c.seq)
            .limit(1)
        )
        with self._store.read() as connection:
            row = connection.execute(query).first()
        if row is None:
            return 0
        self._again = self._clock() + _MODEL_PAUSE
        found = self._model.read(Told.of(row)) if row.memory_type not in UNREAD_TYPES else Found(Told.of(row))
        self._store.write(lambda connection: writing.store(connection, self._store.scope, [found], self._model.name))
        self._since, self._again = row.seq, 0.0
        return 1


class GraphWorker:
    """Keeps one scope's graph up to date, and says where it is asked.

    Args:
        store: Whose scope.
        settings: Of the memory.
    """

    def __init__(self, store: Store, settings: MemorySettings) -> None:
        self._store = store
        self._settings = settings
        self.reader = GraphReader(store)
        self._bolt = None if settings.graph_url is None else Bolt(settings)
        self.mirror = None if self._bolt is None else Mirror(store, self._bolt)
        self._model = None if settings.graph_model is None else ModelReading(store, settings)
        self._wake = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="graph", daemon=True)

    def start(self) -> None:
        """Begin, unless the settings leave nothing to do."""
        if self._settings.graph != "none" or self.mirror is not None:
            self._thread.start()

    def follow(self) -> None:
        """Something changed."""
        self._wake.set()

    def catch_up(self) -> None:
        """Read what was stored just now, so that what is asked next knows it; a long backlog is left to the thread."""
        if self._settings.graph != "none":
            self.reader.read_some()
        self._wake.set()

    def graph(self) -> tuple[Graph, Literal["store", "neo4j"], str | None]:
        """Whom to ask now, its name, and what to say of one that can't be asked."""
        if self._bolt is None or self.mirror is None:
            return SqlGraph(self._store), "store", None
        waiting = self.mirror.waiting()
        if self._bolt.unavailable_since is not None:
            since = f"{self._bolt.unavailable_since:%Y-%m-%d %H:%M:%S} UTC"
            said = (
                f"Neo4j is unavailable since {since}, and {waiting:,} changes wait for it; the memory store answered."
            )
            return SqlGraph(self._store), "store", said
        if not self.mirror.is_filled:
            return SqlGraph(self._store), "store", "Neo4j is still being reached; the memory store answered."
        if waiting:
            return SqlGraph(self._store), "store", f"{waiting:,} changes wait for Neo4j; the memory store answered."
        return (
            Neo4jGraph(self._bolt, self._store.scope, lambda: self.mirror.graph if self.mirror else ""),
            "neo4j",
            None,
        )

    def explore(self, asked: Asked, token_budget: int) -> Exploration:
        """What surrounds an entity or a memory, from Neo4j where it is up to date, and from the store otherwise.

        Raises:
            MemoryStoreError: if neither a name nor a memory is given, or both, or the memory is unknown.
        """
        if (asked.name is None) == (asked.memory_id is None):
            raise MemoryStoreError("Name an entity or a memory_id to begin with, one of them.")
        if asked.memory_id is not None:
            Memories(self._store).get([asked.memory_id])
        self.catch_up()
        graph, by, notice = self.graph()
        try:
            found = explore(graph, asked)
        except GraphUnavailable:
            graph, by, notice = self.graph()
            found = explore(graph, asked)
        answer = Answering(self._store).exploration(found, token_budget)
        notices = " ".join(filter(None, (notice, answer.notice))) or None
        return answer.model_copy(update={"answered_by": by, "notice": notices})

    def sync_once(self) -> None:
        """Tell Neo4j now what waits, where there is one and it answers; whoever has no thread running asks for it."""
        if self.mirror is not None:
            self._tried(self.mirror.deliver)

    def mirrored(self) -> Counts | None:
        """How much Neo4j has; None where the settings name none.

        Raises:
            GraphUnavailable: if it doesn't answer.
        """
        if self._bolt is None or self.mirror is None:
            return None
        mirror = self.mirror
        return Neo4jGraph(self._bolt, self._store.scope, lambda: mirror.graph).counts()

    def health(self) -> GraphHealth:
        """Whether all is read and told."""
        unread = 0 if self._settings.graph == "none" else self.reader.unread()
        if self._bolt is None or self.mirror is None:
            return GraphHealth(unread=unread)
        return GraphHealth(
            kept_in="neo4j",
            unread=unread,
            waiting=self.mirror.waiting(),
            unavailable_since=self._bolt.unavailable_since,
            detail=self._bolt.detail,
        )

    def wait(self, seconds: float) -> bool:
        """Wait until all is read and told, or the time is over; says which."""
        until = time.monotonic() + seconds
        while (health := self.health()).unread or health.waiting or not (self.mirror is None or self.mirror.is_filled):
            if time.monotonic() > until:
                return False
            self._wake.set()
            time.sleep(0.02)
        return True

    def close(self) -> None:
        """Stop after the batch at hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=_LAST_BATCH)
        if self._bolt is not None:
            self._bolt.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            self._wake.clear()
            busy = self._settings.graph != "none" and self._tried(self.reader.read_some)
            busy = self._told() or busy
            busy = (self._model is not None and self._tried(self._model.read_one)) or busy
            if not busy:
                self._wake.wait(_LOOK_AGAIN if self._bolt is None or self._bolt.unavailable_since is None else 1.0)

    def _told(self) -> bool:
        if self._bolt is None or self.mirror is None or not self._bolt.is_due():
            return False
        return self._tried(self.mirror.deliver)

    def _tried(self, work: Callable[[], int]) -> bool:
        try:
            return work() > 0
        except GraphUnavailable:
            return False  # the health says so, and the outbox keeps what it must be told
        except MemoryStoreError as error:
            # A full disk or a locked file may pass; the memories themselves are safe, so try again later.
            _log.warning("The graph could not be brought up to date: %s", error)
            return False


def is_read() -> ColumnElement[bool]:
    """Whether somebody has read a memory."""
    return exists().where(seen.c.memory_seq == memory.c.seq)
