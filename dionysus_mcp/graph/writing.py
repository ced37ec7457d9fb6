"""What was found, stored in one transaction: entities, mentions, relations, the outbox, and the mark that it was read.

Everything has an id that is made of what it says, so whoever repeats a write changes nothing.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Table, and_, delete, exists, or_, select, update

from dionysus_mcp.errors import MemoryStoreError, named
from dionysus_mcp.graph import names, outbox
from dionysus_mcp.graph.reading import Found, Named
from dionysus_mcp.graph.tables import entity, mention, relation, seen
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.memories import in_scope
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.store.upserts import insert_new
from dionysus_mcp.texts import text_of

memory = schema.memory
TOLD = "told"
"""The extractor of what somebody said through a tool."""
_BATCH = 400


@dataclass(frozen=True, slots=True)
class NewRelation:
    """What somebody tells the graph; see `Relations.relate`."""

    subject: Named
    type: str
    object: Named
    memory_id: str | None = None
    told_by: str | None = None
    confidence: float = 1.0
    valid_from: datetime | None = None
    valid_to: datetime | None = None


def known_keys(connection: Connection, scope: Scope, keys: Collection[str]) -> set[str]:
    """Those of the keys that are entities of the scope, phrases aside."""
    listed, known = sorted(keys), set[str]()
    for start in range(0, len(listed), _BATCH):
        wanted = entity.c.key.in_(listed[start : start + _BATCH])
        query = select(entity.c.key).where(of_scope(scope), wanted, entity.c.kind != "concept")
        known.update(connection.execute(query).scalars())
    return known


def store(connection: Connection, scope: Scope, found: Sequence[Found], reader: str) -> None:
    """Store what some memories tell, and that this reader has read them; those that are gone are passed over."""
    here = present(connection, [one.memory.seq for one in found])
    kept = [one for one in found if one.memory.seq in here]
    _put_entities(connection, scope, [each for one in kept for each in one.names])
    mentions = [
        {"entity_id": names.entity_id(scope, each.key), "memory_seq": one.memory.seq, "how": each.how}
        for one in kept
        for each in one.names
    ]
    _insert(connection, mention, mentions)
    _insert(connection, relation, [row for one in kept for row in _relations(scope, one)])
    for start in range(0, len(kept), _BATCH):
        part = [one.memory.seq for one in kept[start : start + _BATCH]]
        connection.execute(delete(seen).where(seen.c.memory_seq.in_(part)))
    _insert(connection, seen, [{"memory_seq": one.memory.seq, "reader": reader} for one in kept])
    outbox.tell(connection, scope, "memory", [one.memory.id for one in kept if one.names])


def present(connection: Connection, seqs: Sequence[int]) -> set[int]:
    """Those of the numbers that are memories still."""
    here: set[int] = set()
    for start in range(0, len(seqs), _BATCH):
        query = select(memory.c.seq).where(memory.c.seq.in_(seqs[start : start + _BATCH]))
        here.update(connection.execute(query).scalars())
    return here


def relate(connection: Connection, scope: Scope, new: NewRelation, now: datetime) -> Row[Any]:
    """Store a relation that somebody tells, or find it; one that had ended is believed again, as a new row.

    Raises:
        MemoryStoreError: if the memory that it stands on is unknown or no longer believed.
    """
    ground = None if new.memory_id is None else _ground(connection, scope, new.memory_id)
    _put_entities(connection, scope, [new.subject, new.object])
    ends = [names.entity_id(scope, each.key) for each in (new.subject, new.object)]
    same = and_(
        owned(relation, scope),
        relation.c.subject_id == ends[0],
        relation.c.type == new.type,
        relation.c.object_id == ends[1],
        relation.c.extractor == TOLD,
        relation.c.recorded_to.is_(None),
        relation.c.memory_seq.is_(None) if ground is None else relation.c.memory_seq == ground.seq,
    )
    there = connection.execute(select(relation).where(same).limit(1)).first()
    if there is not None and _is_same(there, new):
        return there
    if there is not None:
        ended = {"recorded_to": now, "ending_reason": "told anew, with other times or another confidence"}
        connection.execute(update(relation).where(relation.c.id == there.id).values(ended))
        outbox.tell(connection, scope, "relation", [there.id] if ground is None else [])
    said = (ends[0], new.type, ends[1], new.memory_id, TOLD)
    key = names.relation_id(scope, *said, scope.user, scope.session, now.isoformat())
    row = {
        "id": key,
        **scope_values(scope),
        "subject_id": ends[0],
        "type": new.type,
        "object_id": ends[1],
        "memory_seq": None if ground is None else ground.seq,
        "extractor": TOLD,
        "told_by": new.told_by,
        "confidence": new.confidence,
        "valid_from": new.valid_from,
        "valid_to": new.valid_to,
        "recorded_from": now,
    }
    _insert(connection, relation, [row])
    if ground is None:
        outbox.tell(connection, scope, "relation", [key])
    else:
        outbox.tell(connection, scope, "memory", [ground.id])
    return connection.execute(select(relation).where(relation.c.id == key)).one()


def unrelate(connection: Connection, scope: Scope, new: NewRelation, reason: str, now: datetime) -> int:
    """End all of the scope's own that says a relation; returns how many pieces of evidence that were."""
    ends = [names.entity_id(scope, each.key) for each in (new.subject, new.object)]
    said = and_(
        owned(relation, scope),
        relation.c.subject_id == ends[0],
        relation.c.type == new.type,
        relation.c.object_id == ends[1],
        relation.c.recorded_to.is_(None),
    )
    query = select(relation.c.id, memory.c.id.label("memory_id")).select_from(
        relation.outerjoin(memory, memory.c.seq == relation.c.memory_seq)
    )
    rows = connection.execute(query.where(said)).all()
    connection.execute(update(relation).where(said).values(recorded_to=now, ending_reason=text_of("reason", reason)))
    outbox.tell(connection, scope, "relation", [row.id for row in rows if row.memory_id is None])
    outbox.tell(connection, scope, "memory", [row.memory_id for row in rows if row.memory_id is not None])
    return len(rows)


def put_told(
    connection: Connection, scope: Scope, subject: Named, object_: Named, row: dict[str, Any], memory_id: str | None
) -> int:
    """Store a relation of another store as it was there, unless it is here; returns how many rows that made.

    Args:
        connection: Of the transaction.
        scope: Where to.
        subject: Of the relation.
        object_: Of the relation.
        row: The other columns, `id` aside.
        memory_id: Of the memory that it stands on, if any.
    """
    _put_entities(connection, scope, [subject, object_])
    ends = [names.entity_id(scope, each.key) for each in (subject, object_)]
    said = (ends[0], row["type"], ends[1], memory_id, row["extractor"])
    key = names.relation_id(scope, *said)
    if row["extractor"] == TOLD:
        key = names.relation_id(scope, *said, scope.user, scope.session, row["recorded_from"].isoformat())
    whole = row | {"id": key, "subject_id": ends[0], "object_id": ends[1]}
    ended = {"recorded_to": row["recorded_to"], "ending_reason": row["ending_reason"]}
    made = connection.execute(select(relation.c.id).where(relation.c.id == key)).first() is None
    _insert(connection, relation, [whole])
    if not made and row["recorded_to"] is not None:
        still = and_(relation.c.id == key, relation.c.recorded_to.is_(None))
        connection.execute(update(relation).where(still).values(ended))
    outbox.tell(connection, scope, *(("relation", [key]) if memory_id is None else ("memory", [memory_id])))
    return int(made)


def sweep(connection: Connection, scope: Scope, *, everything: bool = False) -> None:
    """Delete entities that nothing names any more, after memories were purged: a name is content, too.

    Args:
        connection: Of the transaction that purges.
        scope: Whose graph.
        everything: Also delete what was told without a memory.
    """
    if everything:
        told = connection.execute(select(relation.c.id).where(owned(relation, scope))).scalars().all()
        outbox.tell(connection, scope, "relation", told)
        connection.execute(delete(relation).where(owned(relation, scope)))
    connection.execute(delete(entity).where(of_scope(scope), ~is_named()))


def is_named() -> ColumnElement[bool]:
    """Whether anything at all refers to an entity."""
    return or_(
        exists().where(mention.c.entity_id == entity.c.id),
        exists().where(relation.c.subject_id == entity.c.id),
        exists().where(relation.c.object_id == entity.c.id),
    )


def of_scope(scope: Scope) -> ColumnElement[bool]:
    """The predicate for entities of a scope's project; who may see one depends on the memories that name it."""
    return and_(entity.c.tenant == scope.tenant, entity.c.project == scope.project)


def _insert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert what isn't there yet."""
    if rows:
        connection.execute(insert_new(connection, table), list(rows))


def _put_entities(connection: Connection, scope: Scope, named: Iterable[Named]) -> None:
    # In the order of their ids: two processes that insert the same ones must not wait for each other crosswise.
    wanted = {names.entity_id(scope, one.key): one for one in reversed([*named])}
    rows = [
        {
            "id": key,
            "tenant": scope.tenant,
            "project": scope.project,
            "key": one.key,
            "head": one.key.partition(" ")[0],
            "name": one.name,
            "kind": one.kind,
        }
        for key, one in sorted(wanted.items())
    ]
    _insert(connection, entity, rows)
    for kind in sorted({one.kind for one in wanted.values()} - {"thing", "concept"}):
        # What an entity is may be told later than its name; what was told first stays.
        keys = [key for key, one in sorted(wanted.items()) if one.kind == kind]
        for start in range(0, len(keys), _BATCH):
            vague = and_(entity.c.id.in_(keys[start : start + _BATCH]), entity.c.kind.in_(("thing", "concept")))
            connection.execute(update(entity).where(of_scope(scope), vague).values(kind=kind))


def _relations(scope: Scope, found: Found) -> list[dict[str, Any]]:
    rows: dict[str, dict[str, Any]] = {}
    for one in found.relations:
        ends = [names.entity_id(scope, names.key_of(end)) for end in (one.subject, one.object)]
        key = names.relation_id(scope, ends[0], one.type, ends[1], found.memory.id, one.extractor)
        rows.setdefault(
            key,
            {
                "id": key,
                "tenant": scope.tenant,
                "project": scope.project,
                "owner": found.memory.owner,
                "session_id": found.memory.session_id or "",
                "subject_id": ends[0],
                "type": one.type,
                "object_id": ends[1],
                "memory_seq": found.memory.seq,
                "extractor": one.extractor,
                "confidence": one.confidence,
                "first": one.first,
                "last": one.last,
                "valid_from": found.memory.valid_from,
                # What follows from a memory was believed as soon as the memory was, whenever it was read.
                "recorded_from": found.memory.recorded_from,
            },
        )
    return list(rows.values())


def _is_same(row: Row[Any], new: NewRelation) -> bool:
    return (row.valid_from, row.valid_to, row.confidence) == (new.valid_from, new.valid_to, new.confidence)


def _ground(connection: Connection, scope: Scope, memory_id: str) -> Row[Any]:
    query = select(memory).where(in_scope(scope), memory.c.id == memory_id)
    row = connection.execute(query).first()
    if row is None:
        raise MemoryStoreError(f"Unknown memory id {named(memory_id)}. Ids come from recall.")
    if row.recorded_to is not None:
        raise MemoryStoreError(f"{memory_id!r} is no longer believed, so nothing can stand on it; use a current one.")
    return row


def now() -> datetime:
    """The moment at hand."""
    return datetime.now(UTC)
