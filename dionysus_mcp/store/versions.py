"""Versions of a memory: changed with a reason, forgotten, restored, and told of. Rows are closed, never altered.

A version has an id of its own, so what was quoted once stays what it was. All versions carry the id of the first one
as their lineage; at most one of them is current. Whoever repeats a call that came through gets its result again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, or_, select

from dionysus_mcp.consolidation.following import EDITED, follow_extract, is_extract, sources_of_versions
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.records import Memory
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import (
    NewMemory,
    believed,
    check,
    close_in,
    in_scope,
    insert_in,
    new_of,
    row_for,
    row_of,
    to_record,
)
from dionysus_mcp.store.scoping import owned, refuse_shared
from dionysus_mcp.texts import text_of

memory = schema.memory


@dataclass(frozen=True, slots=True)
class Change:
    """What becomes otherwise; None leaves it as it is. Metadata are replaced as a whole."""

    reason: str
    content: str | None = None
    importance: float | None = None
    metadata: Mapping[str, Any] | None = None

    def of(self, old: NewMemory) -> NewMemory:
        """The memory as it becomes."""
        values = {"content": self.content, "importance": self.importance, "metadata": self.metadata}
        new = replace(old, **{name: value for name, value in values.items() if value is not None})
        of_both = is_extract(old.source, old.metadata) and is_extract(new.source, new.metadata)
        if of_both and (new.content != old.content or old.metadata.get("method") == EDITED):
            # Said otherwise, it is no quote of its sources any more, whatever came with the change.
            return replace(new, metadata={**new.metadata, "method": EDITED})
        return new


class Versions:
    """The versions of the memories of one scope."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def update(self, memory_id: str, change: Change, *, limit: int) -> Memory:
        """Supersede a memory by a changed version, which is returned; the old one stays in the history.

        What would change nothing changes nothing, and the same change again gives the version that it made.

        Args:
            memory_id: Of the current version.
            change: What becomes otherwise, and why.
            limit: Characters that the content may have.

        Raises:
            MemoryStoreError: if the id is unknown or no longer current, another memory says the same already, the
                memory is shared and the scope a user's, or the change can't be stored.
        """
        reason = text_of("reason", change.reason)

        def work(connection: Connection) -> Row[Any]:
            old = self._changeable(connection, memory_id)
            known = new_of(old)
            new = change.of(known)
            check(new, limit, before=known)
            latest = old if old.recorded_to is None else self._current(connection, old)
            if latest is not None and _is_same(latest, new):
                return latest
            if old.recorded_to is not None:
                raise _ended(old, latest)
            if new.hash != old.hash:
                self._refuse_twin(connection, new)
            now = datetime.now(UTC)
            close_in(connection, [old.seq], "superseded", reason, now)
            return self._follow(connection, old, new, now)

        return to_record(self._store.write(work))

    def forget(self, memory_id: str, reason: str) -> Memory:
        """Close a memory: it is not recalled any more, and stays in the history. Forgetting it again changes nothing.

        Raises:
            MemoryStoreError: if the id is unknown, was superseded or is shared, or the reason is no text.
        """
        reason = text_of("reason", reason)

        def work(connection: Connection) -> Row[Any]:
            row = self._changeable(connection, memory_id)
            if row.recorded_to is not None and row.ending != "forgotten":
                raise _ended(row, self._current(connection, row))
            if row.recorded_to is None:
                close_in(connection, [row.seq], "forgotten", reason, datetime.now(UTC))
            return row_of(connection, self._store.scope, memory_id)

        return to_record(self._store.write(work))

    def restore(self, memory_id: str) -> Memory:
        """Believe a forgotten memory again, as a new version of it, so that the time between stays as it was.

        What is current already, or was stored anew meanwhile, is returned as it is.

        Raises:
            MemoryStoreError: if the id is unknown or shared, or the version was superseded rather than forgotten.
        """

        def work(connection: Connection) -> Row[Any]:
            old = self._changeable(connection, memory_id)
            latest = old if old.recorded_to is None else self._current(connection, old)
            same = latest if latest is not None else self._twin(connection, new_of(old))
            if same is not None and same.hash == old.hash:
                return same
            if old.ending != "forgotten" or latest is not None:
                raise _ended(old, latest)
            return self._follow(connection, old, new_of(old), datetime.now(UTC))

        return to_record(self._store.write(work))

    def history(self, memory_id: str) -> list[Memory]:
        """All versions of a memory, the first one first, by the id of any of them.

        Raises:
            MemoryStoreError: if the id is unknown.
        """
        with self._store.read() as connection:
            return [to_record(each) for each in self._versions(connection, memory_id)]

    def sources(self, memory_id: str) -> list[str]:
        """Ids of what consolidation drew a version of a memory from, by the id of any version.

        Raises:
            MemoryStoreError: if the id is unknown.
        """
        with self._store.read() as connection:
            seqs = [row.seq for row in self._versions(connection, memory_id)]
            return sources_of_versions(connection, self._store.scope, seqs)

    def _versions(self, connection: Connection, memory_id: str) -> Sequence[Row[Any]]:
        row = row_of(connection, self._store.scope, memory_id)
        query = select(memory).where(in_scope(self._store.scope), of_lineage(row)).order_by(memory.c.seq)
        return connection.execute(query).all()

    def _changeable(self, connection: Connection, memory_id: str) -> Row[Any]:
        row = row_of(connection, self._store.scope, memory_id)
        refuse_shared(row.owner, self._store.scope, repr(memory_id))
        return row

    def _current(self, connection: Connection, row: Row[Any]) -> Row[Any] | None:
        query = select(memory).where(in_scope(self._store.scope), of_lineage(row), believed())
        return connection.execute(query).first()

    def _twin(self, connection: Connection, new: NewMemory) -> Row[Any] | None:
        query = select(memory).where(owned(memory, self._store.scope), believed(), memory.c.hash == new.hash)
        return connection.execute(query).first()

    def _refuse_twin(self, connection: Connection, new: NewMemory) -> None:
        twin = self._twin(connection, new)
        if twin is not None:
            raise MemoryStoreError(
                f"{twin.id!r} says the same already, and nothing is stored twice; forget one of the two instead."
            )

    def _follow(self, connection: Connection, old: Row[Any], new: NewMemory, now: datetime) -> Row[Any]:
        values = row_for(new, self._store.scope, now) | {"lineage": old.lineage or old.id}
        insert_in(connection, [values])
        made = row_of(connection, self._store.scope, values["id"])
        follow_extract(connection, old.seq, made.seq, same_words=made.content == old.content)
        return made


def of_lineage(row: Row[Any]) -> ColumnElement[bool]:
    """The predicate for all versions of what a row is a version of."""
    first = row.lineage or row.id
    return or_(memory.c.id == first, memory.c.lineage == first)


def _is_same(row: Row[Any], new: NewMemory) -> bool:
    return row.hash == new.hash and row.importance == new.importance and row.metadata == dict(new.metadata)


def _ended(row: Row[Any], latest: Row[Any] | None) -> MemoryStoreError:
    if latest is not None:
        return MemoryStoreError(f"{row.id!r} was superseded by {latest.id!r}; use that id.")
    if row.ending == "forgotten":
        return MemoryStoreError(f"{row.id!r} was forgotten; restore_memory brings it back.")
    return MemoryStoreError(
        f"{row.id!r} was superseded, and no version of it is current; memory_history tells what became of it."
    )
