"""Puts pieces into the store in batches, gives them vectors, and counts what happened."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sqlalchemy import Connection, select, update

from dionysus_mcp.errors import EmbedderError, MemoryStoreError
from dionysus_mcp.ingest.documents import SPLITTER, Document
from dionysus_mcp.ingest.jsonl import BadLine
from dionysus_mcp.ingest.reading import UnreadableFileError, digest_of_text
from dionysus_mcp.ingest.summary import IngestSummary, Progress
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in, check, present_in, supersede_in, within
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.store.upserts import insert_or_update

if TYPE_CHECKING:
    from dionysus_mcp.embedding import MiniLm

T = TypeVar("T")

_BATCH = 64
_UNFINISHED = ""
"""A digest that no file has: its pieces are not all there."""

memory, ingested = schema.memory, schema.ingested


class Writer:
    """One ingest into one store.

    Args:
        store: Where to.
        settings: Limits, and whether to embed.
        report: Told how far it has come.
    """

    def __init__(self, store: Store, settings: MemorySettings, report: Callable[[Progress], None]) -> None:
        self.report = report
        self._store = store
        self._settings = settings
        self._model: MiniLm | None = None
        self._added = self._unchanged = self._superseded = self._embedded = 0
        self._skipped: list[tuple[str, str]] = []
        self._notice: str | None = None

    def take(self, new: Iterable[NewMemory]) -> None:
        """Store memories that come from no file, batch by batch."""
        done = 0
        for batch in _batches(new, _BATCH):
            self._add([good for one in batch if (good := self._storable(one)) is not None], set())
            done += len(batch)
            self.report(Progress("reading", done, None))

    def take_file(self, path: Path) -> None:
        """Store a file's pieces, and supersede those of its earlier version that it no longer has."""
        document = Document.at(path)
        try:
            digest = f"{SPLITTER}:{digest_of_text(path, self._settings.max_file_bytes)}"
            known = self._known(document)
            if known is not None and known[0] == digest:
                self._unchanged += known[1]
                return
            self._store.write(lambda connection: self._note(connection, document, _UNFINISHED, 0))
            self._take_pieces(document, digest)
        except UnreadableFileError as error:
            self._skipped.append((document.source, str(error)))
        except (UnicodeDecodeError, OSError) as error:
            self._skipped.append((document.source, f"changed while it was read ({error}); try again"))

    def embed_rest(self) -> None:
        """Give vectors to what has none yet, also from an earlier run that was interrupted."""
        if self._settings.embedder == "none" or self._notice:
            return
        from dionysus_mcp.embedding import DIMENSION, MODEL_ID, MiniLm
        from dionysus_mcp.recall.embedder import embed_missing
        from dionysus_mcp.recall.terms import Stemmer
        from dionysus_mcp.store.vectors import Vectors

        vectors = Vectors(self._store, MODEL_ID, DIMENSION)
        waiting = vectors.count_missing()
        if not waiting:
            return
        try:
            self._model = self._model or MiniLm.load(self._settings.embedder_threads)
        except EmbedderError as error:
            self._notice = f"Stored, but without vectors, so only words will find it: {error}"
            return
        total = self._embedded + waiting
        stemmer = Stemmer()
        while count := embed_missing(vectors, self._model, _BATCH, stemmer, newest=True):
            self._embedded += count
            self.report(Progress("embedding", self._embedded, max(total, self._embedded)))

    def summary(self) -> IngestSummary:
        """What was done so far."""
        return IngestSummary(
            added=self._added,
            unchanged=self._unchanged,
            superseded=self._superseded,
            skipped=self._skipped,
            notice=self._notice,
        )

    def _take_pieces(self, document: Document, digest: str) -> None:
        seen: set[str] = set()
        skipped = len(self._skipped)
        for batch in _batches(document.memories(), _BATCH):
            good = [one for found in batch if (one := self._good(document, found)) is not None]
            self._add(good, seen)
        complete = len(self._skipped) == skipped

        def finish(connection: Connection) -> int:
            stale = supersede_in(connection, self._store.scope, document.origin, seen)
            # With bad lines it stays unfinished, so that the next run reports them again.
            self._note(connection, document, digest if complete else _UNFINISHED, len(seen))
            return stale

        self._superseded += self._store.write(finish)

    def _add(self, new: Sequence[NewMemory], seen: set[str]) -> None:
        """Store a batch; pieces that are there already get the place that they have now."""
        fresh = {one.hash: one for one in new if one.hash not in seen}
        seen.update(fresh)
        batch = list(fresh.values())

        def work(connection: Connection) -> int:
            present = present_in(connection, self._store.scope, list(fresh))
            self._move(connection, [fresh[key] for key in present])
            return len(add_in(connection, self._store.scope, [one for one in batch if one.hash not in present]))

        added = self._store.write(work) if batch else 0
        self._added += added
        self._unchanged += len(batch) - added

    def _move(self, connection: Connection, present: Iterable[NewMemory]) -> None:
        for one in present:
            same = owned(memory, self._store.scope) & (memory.c.hash == one.hash) & memory.c.recorded_to.is_(None)
            moved = memory.c.source_position.is_distinct_from(one.position)
            connection.execute(update(memory).where(same, moved).values(source_position=one.position))

    def _good(self, document: Document, found: NewMemory | BadLine) -> NewMemory | None:
        if isinstance(found, BadLine):
            self._skipped.append((f"{document.source}:{found.number}", found.reason))
            return None
        return self._storable(found)

    def _storable(self, new: NewMemory) -> NewMemory | None:
        """The memory as this scope stores it."""
        try:
            new = within(self._store.scope, new)
            check(new, self._settings.max_content)
        except MemoryStoreError as error:
            where = f"{new.source}:{new.position}" if new.position else new.source or "text"
            self._skipped.append((where, str(error)))
            return None
        return new

    def _known(self, document: Document) -> tuple[str, int] | None:
        query = select(ingested.c.digest, ingested.c.pieces).where(
            owned(ingested, self._store.scope),
            ingested.c.session_id == self._store.scope.session,
            ingested.c.origin == document.origin,
        )
        with self._store.read() as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.digest, row.pieces)

    def _note(self, connection: Connection, document: Document, digest: str, pieces: int) -> None:
        now, scope = datetime.now(UTC), self._store.scope
        values = {"digest": digest, "pieces": pieces, "recorded_at": now}
        row = {**scope_values(scope), "origin": document.origin, **values}
        keys = [column.name for column in ingested.primary_key]
        connection.execute(insert_or_update(connection, ingested, keys, values).values(row))


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
