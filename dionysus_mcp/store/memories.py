"""Writing and reading memories: idempotent by content, superseding instead of deleting, always within one scope."""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, insert, or_, select

from dionysus_mcp.errors import MemoryStoreError, named
from dionysus_mcp.records import Ending, Memory, Trust
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.postgres_words import OPTION, PostgresWords
from dionysus_mcp.store.scoping import owned, picked, visible

METADATA_LIMIT = 65_536
"""Bytes of one memory's metadata as JSON."""
METADATA_DEPTH = 50
"""Levels of lists and objects within one memory's metadata; far deeper ones not every writer of JSON can write."""
NAME_LIMIT = 10_000
"""Characters of a speaker's name, a session's and a source's."""
TYPE_LIMIT = 300
"""Characters of a type, all of which are listed together."""
_BATCH = 400
"""Values in one IN clause; SQLite takes many more, the query planner likes fewer."""

memory = schema.memory


@dataclass(frozen=True, slots=True)
class NewMemory:
    """A memory to be stored; `hash` decides whether it is there already.

    Attributes:
        context: What stands around it: headings above it; the speaker is added on its own.
        position: Place within the source, such as `12-20` for lines.
        origin: What the source is, independent of where it was named from; None for what was just told.
    """

    content: str
    memory_type: str = "episodic"
    importance: float = 0.5
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    context: str = ""
    speaker: str | None = None
    session_id: str | None = None
    source: str | None = None
    position: str | None = None
    origin: str | None = None
    occurred_at: datetime | None = None

    @property
    def hash(self) -> str:
        """Digest of what makes it this memory: the same text said by another, or elsewhere, is another memory."""
        when = self.occurred_at.astimezone(UTC).isoformat() if self.occurred_at else None
        place = self.origin or self.source
        identity = [self.content, self.memory_type, self.context, self.speaker, self.session_id, place, when]
        return hashlib.sha256(json.dumps(identity).encode()).hexdigest()


class Memories:
    """The memories of one scope of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def add(self, new: NewMemory, *, limit: int) -> tuple[Memory, bool]:
        """Store a memory unless it is there; returns it, and whether it is new.

        Args:
            new: The memory.
            limit: Characters that its content may have.

        Raises:
            MemoryStoreError: if the content is empty, too long or not storable text, or the metadata too large.
        """
        scope = self._store.scope
        new = within(scope, new)
        check(new, limit)

        def work(connection: Connection) -> tuple[Memory, bool]:
            added = add_in(connection, scope, [new])
            mine = and_(owned(memory, scope), believed(), memory.c.hash == new.hash)
            row = connection.execute(select(memory).where(mine)).one()
            return to_record(row), bool(added)

        return self._store.write(work)

    def get(self, ids: Sequence[str]) -> list[Memory]:
        """The memories with these ids, in this order, superseded ones too.

        Raises:
            MemoryStoreError: naming ids that are unknown in this scope.
        """
        found: dict[str, Memory] = {}
        with self._store.read() as connection:
            for start in range(0, len(ids), _BATCH):
                part = ids[start : start + _BATCH]
                rows = connection.execute(
                    select(memory).where(picked_in_scope(self._store.scope), memory.c.id.in_(part))
                )
                found |= {row.id: to_record(row) for row in rows}
        missing = [key for key in ids if key not in found]
        if missing:
            raise unknown(missing)
        return [found[key] for key in ids]

    def recent(
        self, count: int, session_id: str | None = None, memory_types: Sequence[str] | None = None, skip: int = 0
    ) -> list[Memory]:
        """The latest current memories, newest first; of one session and of some types where these are given."""
        query = select(memory).where(self._current()).order_by(memory.c.seq.desc()).limit(count).offset(skip)
        if session_id is not None:
            query = query.where(memory.c.session_id == session_id)
        if memory_types is not None:
            query = query.where(memory.c.memory_type.in_(memory_types))
        with self._store.read() as connection:
            return [to_record(row) for row in connection.execute(query)]

    def counts(self) -> dict[str, int]:
        """Number of current memories by type."""
        query = (
            select(memory.c.memory_type, func.count())
            .where(self._current())
            .group_by(memory.c.memory_type)
            .order_by(memory.c.memory_type)
        )
        with self._store.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def _current(self) -> ColumnElement[bool]:
        return and_(in_scope(self._store.scope), believed())


def in_scope(scope: Scope) -> ColumnElement[bool]:
    """The predicate for memories that a scope may read; see `scoping` for what it may write."""
    return visible(memory, scope)


def believed(as_of: datetime | None = None) -> ColumnElement[bool]:
    """The predicate for what the store holds true now, or held true at a moment."""
    if as_of is None:
        return memory.c.recorded_to.is_(None)
    return and_(memory.c.recorded_from <= as_of, or_(memory.c.recorded_to.is_(None), memory.c.recorded_to > as_of))


def row_of(connection: Connection, scope: Scope, memory_id: str) -> Row[Any]:
    """The row of one version of a memory.

    Raises:
        MemoryStoreError: if there is none in this scope.
    """
    row = connection.execute(select(memory).where(in_scope(scope), memory.c.id == memory_id)).first()
    if row is None:
        raise unknown([memory_id])
    return row


def unknown(ids: Sequence[str]) -> MemoryStoreError:
    """The refusal of ids that this scope doesn't have."""
    return MemoryStoreError(f"Unknown memory ids: {', '.join(map(named, ids[:5]))}. Ids come from recall.")


def new_of(row: Row[Any]) -> NewMemory:
    """A row as it would be stored anew: what its hash is made of."""
    return NewMemory(
        content=row.content,
        memory_type=row.memory_type,
        importance=row.importance,
        metadata=row.metadata,
        context=headings(row.context, row.speaker),
        speaker=row.speaker,
        session_id=row.session_id,
        source=row.source,
        position=row.source_position,
        origin=row.origin,
        occurred_at=row.occurred_at,
    )


def headings(context: str, speaker: str | None) -> str:
    """What stands around a memory without its speaker, who is stored before it."""
    return context.removeprefix(speaker).removeprefix(" · ") if speaker else context


def picked_in_scope(scope: Scope) -> ColumnElement[bool]:
    """The same predicate for rows that are picked by their numbers or ids."""
    return picked(memory, scope)


def within(scope: Scope, new: NewMemory) -> NewMemory:
    """A memory as a scope stores it: what is told within a session belongs to that session.

    Raises:
        MemoryStoreError: if it names another session than the scope's.
    """
    if not scope.session or new.session_id == scope.session:
        return new
    if new.session_id is not None:
        raise MemoryStoreError(
            f"This memory may be used for the session {scope.session!r} alone, not for {named(new.session_id)}; leave "
            "the session out."
        )
    return replace(new, session_id=scope.session)


def add_in(connection: Connection, scope: Scope, new: Iterable[NewMemory]) -> list[NewMemory]:
    """Store those that aren't there yet, within the caller's transaction; returns them."""
    wanted = {one.hash: one for one in (within(scope, each) for each in new)}
    present = present_in(connection, scope, list(wanted))
    fresh = [one for key, one in wanted.items() if key not in present]
    if fresh:
        now = datetime.now(UTC)
        insert_in(connection, [row_for(one, scope, now) for one in fresh])
    return fresh


def insert_in(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows of `row_for`, with what the text index holds of them. Every memory is inserted here."""
    connection.execute(insert(memory), rows)
    # SQLite has triggers for that.
    words: PostgresWords | None = connection.get_execution_options().get(OPTION)
    if words is not None:
        words.add(connection, rows)


def present_in(connection: Connection, scope: Scope, hashes: Sequence[str]) -> set[str]:
    """Those of the hashes whose memory is current."""
    present: set[str] = set()
    for start in range(0, len(hashes), _BATCH):
        part = hashes[start : start + _BATCH]
        query = select(memory.c.hash).where(
            owned(memory, scope), memory.c.recorded_to.is_(None), memory.c.hash.in_(part)
        )
        present.update(connection.execute(query).scalars())
    return present


def supersede_in(connection: Connection, scope: Scope, origin: str, kept: set[str]) -> int:
    """Close the current memories of an origin whose hash is not among `kept`; returns how many."""
    query = select(memory.c.seq, memory.c.hash).where(
        owned(memory, scope), memory.c.recorded_to.is_(None), memory.c.origin == origin
    )
    stale = [row.seq for row in connection.execute(query) if row.hash not in kept]
    close_in(connection, stale, "superseded", None, datetime.now(UTC))
    return len(stale)


def close_in(connection: Connection, seqs: Sequence[int], ending: Ending, reason: str | None, now: datetime) -> None:
    """End current memories: from now on the store doesn't believe them, and keeps that it did."""
    for start in range(0, len(seqs), _BATCH):
        part = seqs[start : start + _BATCH]
        values = {"recorded_to": now, "ending": ending, "ending_reason": reason}
        connection.execute(memory.update().where(memory.c.seq.in_(part)).values(values))


def check(new: NewMemory, limit: int, *, before: NewMemory | None = None) -> None:
    """Refuse what can't be stored whole and given back the same.

    Args:
        new: The memory.
        limit: Characters that its content may have.
        before: What it was, if it is stored already, here or where an export comes from: its names stay, as they may
            be from before names were bounded.

    Raises:
        MemoryStoreError: saying what is wrong with it.
    """
    if not new.content.strip():
        raise MemoryStoreError("A memory needs a content; it is empty.")
    if len(new.content) > limit:
        raise MemoryStoreError(
            f"The content has {len(new.content):,} characters; one memory may have {limit:,}. Store it in parts."
        )
    _check_names(new, before)
    try:
        if _is_deep(new.metadata):
            raise MemoryStoreError(
                f"The metadata is nested more than {METADATA_DEPTH} levels deep; flatten it, or store it as content."
            )
        encoded = json.dumps(dict(new.metadata), allow_nan=False, ensure_ascii=False)
        texts = "".join(
            filter(None, (new.content, new.context, new.speaker, new.session_id, new.source, new.memory_type))
        )
        size = len((texts + encoded).encode()) - len(texts.encode())
    except UnicodeEncodeError as error:
        raise MemoryStoreError("The text holds half of a surrogate pair, which is no character; remove it.") from error
    except (TypeError, ValueError, RecursionError) as error:
        raise MemoryStoreError(f"The metadata can't be written as JSON: {error}.") from error
    if "\x00" in texts:
        raise MemoryStoreError("The text holds a NUL character, which is not text; remove it.")
    if size > METADATA_LIMIT:
        raise MemoryStoreError(f"The metadata has {size:,} bytes as JSON; at most {METADATA_LIMIT:,} are kept.")


def _check_names(new: NewMemory, before: NewMemory | None) -> None:
    """Names stand in every result beside the content, and no page of results could hold long ones."""
    names = (("speaker", NAME_LIMIT), ("session_id", NAME_LIMIT), ("source", NAME_LIMIT), ("memory_type", TYPE_LIMIT))
    for name, limit in names:
        value: str | None = getattr(new, name)
        if value is not None and len(value) > limit and value != getattr(before, name, None):
            raise MemoryStoreError(
                f"The {name} has {len(value):,} characters; it may have {limit:,}. Put what is longer into the content."
            )


def _is_deep(value: Any) -> bool:
    """Whether a JSON value is nested too deep, found level by level: recursion would be what must be prevented."""
    level = [value]
    for _ in range(METADATA_DEPTH + 1):
        inner = (each.values() if isinstance(each, Mapping) else each for each in level)
        level = [each for values in inner for each in values if isinstance(each, Mapping | list | tuple)]
        if not level:
            return False
    return True


def to_record(row: Row[Any]) -> Memory:
    """A row as the record that leaves the store."""
    return Memory(
        id=row.id,
        content=row.content,
        memory_type=row.memory_type,
        importance=row.importance,
        metadata=row.metadata,
        speaker=row.speaker,
        session_id=row.session_id,
        source=cited(row.source, row.source_position),
        trust=trust_of(row),
        occurred_at=row.occurred_at,
        recorded_at=row.recorded_from,
        superseded_at=row.recorded_to,
        ended_as=None if row.recorded_to is None else row.ending or "superseded",
        ended_because=row.ending_reason,
    )


def trust_of(row: Row[Any]) -> Trust:
    """Whether it was read from a file or a history, or told by whoever may use the server."""
    return "told" if row.origin is None else "read"


def cited(source: str | None, position: str | None) -> str | None:
    """A source with the place within it, as it is quoted: `docs/queue.md:12-20`."""
    return f"{source}:{position}" if source and position else source


def row_for(new: NewMemory, scope: Scope, now: datetime) -> dict[str, Any]:
    """The values of a new row, with an id of its own."""
    return {
        "id": f"m-{secrets.token_hex(8)}",
        "tenant": scope.tenant,
        "project": scope.project,
        "owner": scope.user,
        "hash": new.hash,
        "content": new.content,
        "context": " · ".join(filter(None, (new.speaker, new.context))),
        "memory_type": new.memory_type,
        "importance": new.importance,
        "metadata": dict(new.metadata),
        "speaker": new.speaker,
        "session_id": new.session_id,
        "source": new.source,
        "source_position": new.position,
        "origin": new.origin,
        "occurred_at": new.occurred_at,
        "valid_from": new.occurred_at,
        "recorded_from": now,
    }
