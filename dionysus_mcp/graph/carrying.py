"""What an export must carry of the graph: what somebody told or ended. All else is read from the memories again."""

from collections.abc import Iterator

from sqlalchemy import Connection, or_, select

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph import names, writing
from dionysus_mcp.graph.reading import Named
from dionysus_mcp.graph.tables import entity, relation
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.upkeep.lines import RelationLine

memory = schema.memory
_AT_A_TIME = 100
_PLAIN = (
    *("type", "extractor", "told_by", "confidence", "first", "last", "valid_from", "valid_to"),
    *("recorded_from", "recorded_to", "ending_reason"),
)


def relation_lines(connection: Connection, scope: Scope) -> Iterator[RelationLine]:
    """The relations of a scope that its memories don't tell by themselves."""
    subject, object_ = entity.alias("subject"), entity.alias("object")
    query = (
        select(
            *(relation.c[name] for name in _PLAIN),
            subject.c.name.label("subject"),
            subject.c.kind.label("subject_kind"),
            object_.c.name.label("object"),
            object_.c.kind.label("object_kind"),
            memory.c.id.label("memory_id"),
        )
        .select_from(
            relation.join(subject, subject.c.id == relation.c.subject_id)
            .join(object_, object_.c.id == relation.c.object_id)
            .outerjoin(memory, memory.c.seq == relation.c.memory_seq)
        )
        .where(owned(relation, scope))
        .where(or_(relation.c.extractor == writing.TOLD, relation.c.recorded_to.is_not(None)))
        .order_by(relation.c.recorded_from, relation.c.id)
    )
    for row in connection.execution_options(yield_per=_AT_A_TIME).execute(query):
        values = {name: getattr(row, name) for name in RelationLine.model_fields if name != "kind"}
        yield RelationLine.model_construct(None, **values)


def carry_in(connection: Connection, scope: Scope, line: RelationLine, memory_id: str | None) -> int:
    """Store what a line tells, unless it is there; returns how many rows that made.

    Args:
        connection: Of the transaction that imports.
        scope: Where to.
        line: Of an export.
        memory_id: What the memory that it stands on is called here. Where it was there under another id, what is told
            of it is left out.

    Raises:
        MemoryStoreError: if a name is none.
    """
    ground = None
    if memory_id is not None:
        query = select(memory.c.seq).where(owned(memory, scope), memory.c.id == memory_id)
        ground = connection.execute(query).scalar()
        if ground is None:
            return 0
    ends = [
        Named(names.checked_name("name", name), kind, writing.TOLD)
        for name, kind in ((line.subject, line.subject_kind), (line.object, line.object_kind))
    ]
    if ends[0].key == ends[1].key:
        raise MemoryStoreError(f"{line.subject!r} can't be related to itself")
    row = {name: getattr(line, name) for name in _PLAIN} | scope_values(scope)
    row["type"] = names.checked_type(line.type)
    return writing.put_told(connection, scope, ends[0], ends[1], row | {"memory_seq": ground}, memory_id)
