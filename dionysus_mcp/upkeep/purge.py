"""Purging: what must really go leaves the rows, the indexes, the caches of running servers and the bytes of the file.

Everything else in the store is closed rather than deleted; this alone can't be undone. Backups, exports and traces are
other files, and stay as they are.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict
from sqlalchemy import ColumnElement, Connection, and_, delete, func, or_, select, text, true

from dionysus_mcp.consolidation.shadows import drawn_from, duplicates_of
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph.writing import sweep
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import unknown
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.upkeep import postgres

memory, ingested = schema.memory, schema.ingested
model, revision, prediction = schema.mental_model, schema.model_revision, schema.prediction
_BATCH = 400


@dataclass(frozen=True, slots=True)
class Selection:
    """What is to go, within the store's scope; several of these together name the union.

    Attributes:
        ids: Of memories; each names one version.
        sessions: Sessions with all their memories.
        sources: Sources with all their memories, as they are cited without lines, or as absolute paths.
        everything: The whole scope: its memories, beliefs, predictions, and which files were read.
        versions: Whether all other versions of the named memories go, too.
    """

    ids: Sequence[str] = ()
    sessions: Sequence[str] = ()
    sources: Sequence[str] = ()
    everything: bool = False
    versions: bool = False

    def __post_init__(self) -> None:
        if not (self.ids or self.sessions or self.sources or self.everything):
            raise MemoryStoreError("Nothing was named to purge; name ids, sessions or sources, or everything.")


class PurgeSummary(BaseModel):
    """What a purge deleted, or would delete.

    Attributes:
        done: False for a trial.
        memories: Versions of memories, current and closed ones.
        other_versions: Versions of the same memories that were not named and stay; their texts may be alike.
        sessions: Named sessions of which there is no memory; likewise `sources`.
        erased: Whether the bytes are gone from the file too; False if others kept reading it, see `notice`.
    """

    model_config = ConfigDict(frozen=True)

    done: bool
    memories: int
    mental_models: int = 0
    predictions: int = 0
    files: int = 0
    other_versions: int = 0
    sessions: list[str] = []
    sources: list[str] = []
    erased: bool = False
    notice: str | None = None


class Purge:
    """One purge of one scope.

    Args:
        store: Where from.
        selection: What.
    """

    def __init__(self, store: Store, selection: Selection) -> None:
        self._store = store
        self._selection = selection

    def trial(self) -> PurgeSummary:
        """Count what would go; nothing is changed.

        Raises:
            MemoryStoreError: naming ids that are unknown in this scope.
        """
        with self._store.read() as connection:
            return self._counted(connection)

    def run(self) -> PurgeSummary:
        """Delete it, in one transaction, and then erase its bytes.

        Raises:
            MemoryStoreError: if an id is unknown, or the file can't be written; then all is as it was.
        """

        def work(connection: Connection) -> PurgeSummary:
            # What is deleted is overwritten with zeros, also where the file is not made anew for lack of space.
            if not self._store.in_postgres:
                connection.execute(text("PRAGMA secure_delete=ON"))
            counted = self._counted(connection)
            self._delete(connection)
            return counted

        counted = self._store.write(work)
        notice = erase(self._store)
        return counted.model_copy(update={"done": True, "erased": notice is None, "notice": notice})

    def _counted(self, connection: Connection) -> PurgeSummary:
        self._check_ids(connection)
        chosen = self._chosen()
        others = and_(owned(memory, self._store.scope), _versions_of(chosen), ~chosen)
        everything = self._selection.everything
        return PurgeSummary(
            done=False,
            memories=_count(connection, memory, chosen),
            other_versions=_count(connection, memory, others),
            files=_count(connection, ingested, self._files(connection)),
            mental_models=_count(connection, model, self._models()) if everything else 0,
            predictions=_count(connection, prediction, self._predictions()) if everything else 0,
            sessions=self._lacking(connection, self._selection.sessions, memory.c.session_id),
            sources=self._lacking(connection, self._selection.sources, memory.c.source, memory.c.origin),
        )

    def _check_ids(self, connection: Connection) -> None:
        ids = self._selection.ids
        held: set[str] = set()
        for start in range(0, len(ids), _BATCH):
            part = ids[start : start + _BATCH]
            query = select(memory.c.id).where(owned(memory, self._store.scope), memory.c.id.in_(part))
            held.update(connection.execute(query).scalars())
        if missing := [one for one in ids if one not in held]:
            raise unknown(missing)

    def _lacking(self, connection: Connection, named: Sequence[str], *columns: ColumnElement[str | None]) -> list[str]:
        """Those of the names that no memory has."""
        mine = select(memory.c.seq).where(owned(memory, self._store.scope)).limit(1)
        return [
            one
            for one in named
            if connection.execute(mine.where(or_(*(each == one for each in columns)))).first() is None
        ]

    def _chosen(self) -> ColumnElement[bool]:
        mine, wanted = owned(memory, self._store.scope), self._selection
        if wanted.everything:
            return mine
        named = or_(
            memory.c.id.in_(wanted.ids),
            memory.c.session_id.in_(wanted.sessions),
            memory.c.source.in_(wanted.sources),
            memory.c.origin.in_(wanted.sources),
        )
        chosen = and_(mine, named)
        if wanted.versions:
            chosen = and_(mine, or_(named, _versions_of(chosen)))
        return and_(mine, or_(chosen, drawn_from(chosen)))

    def _files(self, connection: Connection) -> ColumnElement[bool]:
        """What is known of read files: forgotten with a source, or the same file would be taken for unchanged."""
        mine = owned(ingested, self._store.scope)
        if self._selection.everything:
            return mine
        sources = self._selection.sources
        query = select(memory.c.origin).where(owned(memory, self._store.scope), memory.c.source.in_(sources)).distinct()
        origins = [*sources, *filter(None, connection.execute(query).scalars())]
        return and_(mine, ingested.c.origin.in_(origins))

    def _models(self) -> ColumnElement[bool]:
        return owned(model, self._store.scope)

    def _predictions(self) -> ColumnElement[bool]:
        return prediction.c.model_id.in_(select(model.c.id).where(self._models()))

    def _delete(self, connection: Connection) -> None:
        files = self._files(connection)  # asked before the memories that tell it are gone
        connection.execute(delete(memory).where(self._chosen()))
        connection.execute(delete(ingested).where(files))
        if self._selection.everything:
            held = select(model.c.id).where(self._models())
            connection.execute(delete(prediction).where(prediction.c.model_id.in_(held)))
            connection.execute(delete(revision).where(revision.c.model_id.in_(held)))
            connection.execute(delete(model).where(self._models()))
        sweep(connection, self._store.scope, everything=self._selection.everything)


def erase(store: Store) -> str | None:
    """Make the file anew without what was deleted, and empty its log; returns why that wasn't possible, or None.

    The text index keeps deleted words until its parts are merged, the file keeps them in free pages, and the log keeps
    what was written: each must go.
    """
    if store.in_postgres:
        left = postgres.erase(store)
        return None if left is None else _kept(left)
    try:
        store.write(
            lambda connection: connection.execute(text("INSERT INTO memory_fts(memory_fts) VALUES ('optimize')"))
        )
        with store.sqlite.alone() as connection:
            connection.execute("PRAGMA secure_delete=ON")
            connection.execute("VACUUM")
            busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except (sqlite3.Error, MemoryStoreError) as error:
        return _kept(str(error))
    return _kept("another program was reading it") if busy else None


def _kept(why: str) -> str:
    return (
        f"It is deleted and nobody recalls it, but some of its bytes may still be on the disk: {why.rstrip('.')}. End "
        "other programs that use the store, see that there is space for a second copy of it, and run "
        "`dionysus memory verify --repair`."
    )


def _versions_of(chosen: ColumnElement[bool]) -> ColumnElement[bool]:
    firsts = select(func.coalesce(memory.c.lineage, memory.c.id)).where(chosen).correlate(None)
    return or_(memory.c.id.in_(firsts), memory.c.lineage.in_(firsts), duplicates_of(chosen))


def _count(connection: Connection, table: schema.Table, chosen: ColumnElement[bool]) -> int:
    return connection.execute(select(func.count()).select_from(table).where(chosen, true())).scalar_one()
