"""Import of an export into one scope: idempotent, in batches, each stored whole.

What is there already stays as it is, but for what the export knows to have ended since. Ids stay too, unless another
scope of the same file has them: then each gets one that is made of it and of the scope, so that the same import again
finds what the first one stored.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from sqlalchemy import Connection, select

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph.carrying import carry_in
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, check, insert_in, present_in, row_for, within
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.store.upserts import insert_new
from dionysus_mcp.upkeep.lines import (
    FORMAT_VERSION,
    LONGEST,
    AnyLine,
    EndLine,
    FileLine,
    Header,
    Held,
    MemoryLine,
    ModelLine,
    PredictionLine,
    RelationLine,
)

memory = schema.memory
_BATCH = 100


_lines: TypeAdapter[Any] = TypeAdapter(AnyLine)


class ImportSummary(BaseModel):
    """What an import did.

    Attributes:
        added: Lines by kind that were stored.
        present: Lines by kind whose content was there already.
    """

    model_config = ConfigDict(frozen=True)

    added: dict[str, int] = {}
    present: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class _Numbered:
    number: int
    line: Held


class Import:
    """One import into the scope of a store.

    Args:
        store: Where to.
        limit: Characters that a content may have.
        progress: Told how many lines were taken in.
    """

    def __init__(self, store: Store, limit: int, progress: Callable[[int], None]) -> None:
        self._store = store
        self._limit = limit
        self._progress = progress
        self._added: Counter[str] = Counter()
        self._present: Counter[str] = Counter()

    def take(self, lines: Iterable[bytes]) -> ImportSummary:
        """Store what an export's lines tell.

        Raises:
            MemoryStoreError: naming the line that is wrong; what came before it is stored, and importing again goes on.
        """
        held = _checked(lines)
        done = 0
        while batch := list(islice(held, _BATCH)):
            added = self._store.write(lambda connection, batch=batch: self._store_batch(connection, batch))
            self._added += added
            self._present += Counter(one.line.kind for one in batch) - added
            done += len(batch)
            self._progress(done)
        return ImportSummary(added=dict(self._added), present=dict(self._present))

    def _store_batch(self, connection: Connection, batch: Sequence[_Numbered]) -> Counter[str]:
        added: Counter[str] = Counter()
        memories = [(one, one.line) for one in batch if isinstance(one.line, MemoryLine)]
        added["memory"] += self._memories(connection, memories)
        for one in batch:
            if not isinstance(one.line, MemoryLine):
                added[one.line.kind] += self._other(connection, one)
        return +added

    def _memories(self, connection: Connection, lines: Sequence[tuple[_Numbered, MemoryLine]]) -> int:
        own = self._own_ids(connection, schema.memory, {line.id for _, line in lines} | _lineages(lines))
        rows = {own[line.id]: self._row(one, line, own) for one, line in lines}
        held = set(connection.execute(select(memory.c.id).where(memory.c.id.in_(list(rows)))).scalars())
        self._close(connection, [row for key, row in rows.items() if key in held and row["recorded_to"] is not None])
        current = [row["hash"] for row in rows.values() if row["recorded_to"] is None]
        taken = present_in(connection, self._store.scope, current)
        fresh: list[dict[str, Any]] = []
        for key, row in rows.items():
            if key in held or (row["recorded_to"] is None and row["hash"] in taken):
                continue
            if row["recorded_to"] is None:
                taken.add(row["hash"])
            fresh.append(row)
        if fresh:
            insert_in(connection, fresh)
        return len(fresh)

    def _close(self, connection: Connection, ended: Sequence[dict[str, Any]]) -> None:
        """End what the export knows to have ended, or its next version would be a second current one."""
        for row in ended:
            values = {name: row[name] for name in ("recorded_to", "ending", "ending_reason")}
            still = memory.update().where(memory.c.id == row["id"], memory.c.recorded_to.is_(None))
            connection.execute(still.values(values))

    def _row(self, one: _Numbered, line: MemoryLine, own: dict[str, str]) -> dict[str, Any]:
        new = NewMemory(
            **{name: getattr(line, name) for name in NewMemory.__dataclass_fields__ if name != "position"},
            position=line.source_position,
        )
        try:
            new = within(self._store.scope, new)
            check(new, self._limit)
        except MemoryStoreError as error:
            raise _wrong(one.number, str(error)) from error
        stored = row_for(new, self._store.scope, line.recorded_from)
        names = ("valid_from", "valid_to", "recorded_to", "ending", "ending_reason")
        lineage = None if line.lineage is None else own[line.lineage]
        return stored | {name: getattr(line, name) for name in names} | {"id": own[line.id], "lineage": lineage}

    def _other(self, connection: Connection, one: _Numbered) -> int:
        line, scope = one.line, scope_values(self._store.scope)
        values = {name: getattr(line, name) for name in type(line).model_fields if name != "kind"}
        if isinstance(line, FileLine):
            return self._put(connection, schema.ingested, scope | values)
        if isinstance(line, RelationLine):
            return self._relation(connection, one.number, line)
        owner = line.id if isinstance(line, ModelLine) else line.model_id  # pyright: ignore[reportAttributeAccessIssue] -- no memory
        own = self._own_ids(connection, schema.mental_model, {owner})
        if isinstance(line, ModelLine):
            return self._put(connection, schema.mental_model, scope | values | {"id": own[owner]})
        if not self._holds(connection, own[owner]):
            raise _wrong(one.number, f"the mental model {owner!r} that it belongs to is not in the file")
        if isinstance(line, PredictionLine):
            values["id"] = self._own_ids(connection, schema.prediction, {line.id})[line.id]
        table = schema.prediction if isinstance(line, PredictionLine) else schema.model_revision
        return self._put(connection, table, values | {"model_id": own[owner]})

    def _relation(self, connection: Connection, number: int, line: RelationLine) -> int:
        ground = line.memory_id
        own = None if ground is None else self._own_ids(connection, schema.memory, {ground})[ground]
        try:
            return carry_in(connection, self._store.scope, line, own)
        except MemoryStoreError as error:
            raise _wrong(number, str(error)) from error

    def _holds(self, connection: Connection, model_id: str) -> bool:
        query = select(schema.mental_model.c.id).where(schema.mental_model.c.id == model_id)
        return connection.execute(query).first() is not None

    def _put(self, connection: Connection, table: schema.Table, values: dict[str, Any]) -> int:
        return connection.execute(insert_new(connection, table).values(values)).rowcount

    def _own_ids(self, connection: Connection, table: schema.Table, ids: set[str]) -> dict[str, str]:
        """The id that each has in this scope: its own, unless it is another scope's."""
        query = select(table.c.id).where(table.c.id.in_(ids), ~self._mine(table))
        foreign = set(connection.execute(query).scalars())
        scope = self._store.scope
        named = (("user", scope.user), ("session", scope.session))
        whose = [scope.tenant, scope.project, *(pair for pair in named if pair[1])]
        return {
            one: f"{one[:2]}{hashlib.sha256(repr((*whose, one)).encode()).hexdigest()[:16]}" if one in foreign else one
            for one in ids
        }

    def _mine(self, table: schema.Table) -> Any:
        scope = self._store.scope
        if table is schema.memory:
            return owned(table, scope)
        model = schema.mental_model
        mine = owned(model, scope)
        return mine if table is model else table.c.model_id.in_(select(model.c.id).where(mine))


def _checked(lines: Iterable[bytes]) -> Iterator[_Numbered]:
    """What the lines tell, between a header that we know and an end that counts them right."""
    counts: Counter[str] = Counter()
    number, ended = 0, False
    for number, raw in enumerate(lines, start=1):
        line = _parsed(number, raw)
        if ended or (number == 1) != isinstance(line, Header):
            raise _wrong(number, "the file begins with another line than `header`, or goes on after `end`")
        if isinstance(line, Header):
            _check_version(line)
        elif isinstance(line, EndLine):
            ended = True
            if line.counts != dict(counts):
                raise _wrong(number, f"the file lacks lines: it should have {line.counts} and has {dict(counts)}")
        else:
            counts[line.kind] += 1
            yield _Numbered(number, line)
    if not ended:
        raise _wrong(number + 1, "the file ends before its last line, so it was cut")


def _parsed(number: int, raw: bytes) -> Any:
    if len(raw) > LONGEST:
        raise _wrong(number, f"it has more than {LONGEST:,} bytes")
    try:
        return _lines.validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        raise _wrong(number, f"{place}: {first['msg']}" if place else first["msg"]) from error


def _check_version(header: Header) -> None:
    if header.version > FORMAT_VERSION:
        raise _wrong(1, f"it is of version {header.version}, this version knows {FORMAT_VERSION}; update Dionysus")


def _lineages(lines: Sequence[tuple[_Numbered, MemoryLine]]) -> set[str]:
    return {line.lineage for _, line in lines if line.lineage is not None}


def _wrong(number: int, why: str) -> MemoryStoreError:
    return MemoryStoreError(
        f"Line {number} can't be imported: {why.rstrip('.')}. What was stored before stays, and importing "
        "again stores nothing twice."
    )
