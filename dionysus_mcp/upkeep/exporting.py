"""Export of one scope as JSON lines: complete, of one moment, and one row at a time however large the store is."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from dionysus_mcp.graph.carrying import relation_lines
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import headings
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.upkeep.lines import (
    EndLine,
    FileLine,
    Header,
    Held,
    MemoryLine,
    ModelLine,
    PredictionLine,
    RevisionLine,
)

memory, ingested = schema.memory, schema.ingested
model, revision, prediction = schema.mental_model, schema.model_revision, schema.prediction
_AT_A_TIME = 100


def export_lines(store: Store, progress: Callable[[int, int], None]) -> Iterator[str]:
    """The lines of an export, each with its line feed.

    Args:
        store: Whose scope is exported.
        progress: Told how many of how many memories have come.

    Raises:
        MemoryStoreError: if the store can't be read.
    """
    counts: Counter[str] = Counter()
    yield _written(Header())
    with store.read() as connection:
        total = connection.execute(
            select(func.count()).select_from(memory).where(owned(memory, store.scope))
        ).scalar_one()
        for line in _held(connection, store.scope):
            counts[line.kind] += 1
            if line.kind == "memory" and counts["memory"] % _AT_A_TIME == 0:
                progress(counts["memory"], total)
            yield _written(line)
        progress(total, total)
    yield _written(EndLine(counts=dict(counts)))


def _held(connection: Connection, scope: Scope) -> Iterator[Held]:
    held = owned(model, scope)
    # Which files were read is told by scope; an import reads those of another session anew.
    read = owned(ingested, scope) & (ingested.c.session_id == scope.session)
    # What others refer to comes before them: first versions, and models before their revisions and predictions.
    for row in _rows(connection, select(memory).where(owned(memory, scope)).order_by(memory.c.seq)):
        context = headings(row.context, row.speaker)
        yield MemoryLine.model_construct(None, **_values(row, MemoryLine) | {"context": context})
    for row in _rows(connection, select(ingested).where(read).order_by(ingested.c.origin)):
        yield FileLine.model_construct(None, **_values(row, FileLine))
    for row in _rows(connection, select(model).where(held).order_by(model.c.created_at, model.c.id)):
        yield ModelLine.model_construct(None, **_values(row, ModelLine))
    in_order = (model.c.created_at, revision.c.model_id, revision.c.version)
    revisions = select(revision).join(model).where(held).order_by(*in_order)
    for row in _rows(connection, revisions):
        yield RevisionLine.model_construct(None, **_values(row, RevisionLine))
    predictions = select(prediction).join(model).where(held).order_by(prediction.c.created_at, prediction.c.id)
    for row in _rows(connection, predictions):
        yield PredictionLine.model_construct(None, **_values(row, PredictionLine))
    yield from relation_lines(connection, scope)


def _rows(connection: Connection, query: Select[Any]) -> Iterator[Row[Any]]:
    yield from connection.execution_options(yield_per=_AT_A_TIME).execute(query)


def _values(row: Row[Any], line: type[Held]) -> dict[str, Any]:
    return {name: getattr(row, name) for name in line.model_fields if name != "kind"}


def _written(line: Held | Header | EndLine) -> str:
    return line.model_dump_json(exclude_none=True) + "\n"
