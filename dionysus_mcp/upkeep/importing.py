"""Import of an export into one scope: idempotent, in batches, each stored whole.

What is there already stays as it is, but for what the export knows to have ended since, and for beliefs, which go on
with the versions and predictions of both. Ids stay too, unless another scope of the same file has them, or what they
name is here under another one.
"""

import codecs
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic_core import from_json
from sqlalchemy import Connection, select

from dionysus_mcp.consolidation.following import is_extract, link_sources
from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.graph.carrying import carry_in
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, check, insert_in, row_for, within
from dionysus_mcp.store.scoping import owned, scope_values
from dionysus_mcp.store.upserts import insert_new
from dionysus_mcp.upkeep.aside import Aside
from dionysus_mcp.upkeep.beliefs import Belief, Beliefs
from dionysus_mcp.upkeep.identity import own_ids
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
    RevisionLine,
)

memory = schema.memory
_BATCH = 100
_TOGETHER = 500
"""Lines of beliefs that are stored at once."""
_SOURCES = 100
"""Of one extract, more than consolidation ever takes."""


_NO_EXPORT = (
    "an export begins with a line of kind `header`, so this is none. `dionysus remember FILE` reads texts, and JSON "
    "lines with a `content` each"
)


_lines: TypeAdapter[Any] = TypeAdapter(AnyLine)
_BELIEF = (ModelLine, RevisionLine, PredictionLine)


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
            MemoryStoreError: naming the line that is wrong. What came before it is stored, but for beliefs, which are
                stored once all lines are read; importing again goes on.
        """
        with Aside.opened() as aside:
            held = _checked(lines)
            done = 0
            while batch := list(islice(held, _BATCH)):
                self._store_batch(batch, aside)
                done += len(batch)
                self._progress(done)
            self._beliefs(aside)
        return ImportSummary(added=dict(+self._added), present=dict(+self._present))

    def _store_batch(self, batch: Sequence[_Numbered], aside: Aside) -> None:
        aside.put((one.number, _model_of(one.line), _raw(one.line)) for one in batch if isinstance(one.line, _BELIEF))
        rest = [one for one in batch if not isinstance(one.line, _BELIEF)]
        added, renamed = self._store.write(lambda connection: self._stored(connection, rest, aside))
        aside.rename(renamed)
        self._count(added, Counter(one.line.kind for one in rest))

    def _stored(
        self, connection: Connection, batch: Sequence[_Numbered], aside: Aside
    ) -> tuple[Counter[str], dict[str, str]]:
        memories = [(one, one.line) for one in batch if isinstance(one.line, MemoryLine)]
        made, renamed = self._memories(connection, memories)
        added = Counter(memory=made)
        for _, line in memories:
            if is_extract(line.source, line.metadata):
                self._sources(connection, line, lambda told: renamed.get(told) or aside.named(told) or told)
        for one in batch:
            if isinstance(one.line, FileLine):
                added["file"] += self._file(connection, one.line)
            elif isinstance(one.line, RelationLine):
                ground = one.line.memory_id
                named = None if ground is None else renamed.get(ground) or aside.named(ground) or ground
                added["relation"] += self._relation(connection, one.number, one.line, named)
        return added, renamed

    def _sources(self, connection: Connection, line: MemoryLine, named: Callable[[str], str]) -> None:
        """An extract's sources come before it in an export."""
        told = [one for one in line.metadata["drawn_from"] if isinstance(one, str)]
        sources = list(dict.fromkeys(map(named, told[:_SOURCES])))
        edited = line.metadata.get("method") == "edited"
        link_sources(connection, self._store.scope, named(line.id), sources, edited=edited)

    def _count(self, added: Counter[str], told: Counter[str]) -> None:
        self._added += added
        self._present += told - added

    def _beliefs(self, aside: Aside) -> None:
        """Once all is known that the export tells of each."""
        with self._store.read() as connection:
            brought = set(own_ids(connection, self._store.scope, schema.mental_model, list(aside.models())).values())
        for part in _parts(aside):
            added, joined = self._store.write(
                lambda connection, part=part: self._believed(connection, brought, part, aside)
            )
            brought.update(joined)  # only now: had it been tried again, what it had joined would have been shut out
            self._count(added, Counter(kind for one in part for kind in one.kinds))

    def _believed(
        self, connection: Connection, brought: Collection[str], part: Sequence[Belief], aside: Aside
    ) -> tuple[Counter[str], Collection[str]]:
        beliefs, added = Beliefs(connection, self._store.scope, brought), Counter[str]()
        for one in part:
            made = beliefs.take(one)
            if made is None:
                number = aside.lines(one.id)[0][0]
                raise _wrong(number, f"the mental model {one.id!r} that it belongs to is not in the file")
            added += made
        return added, beliefs.joined

    def _memories(
        self, connection: Connection, lines: Sequence[tuple[_Numbered, MemoryLine]]
    ) -> tuple[int, dict[str, str]]:
        """How many were stored, and what those are called here that have another id than in the export."""
        ids = {line.id for _, line in lines} | _lineages(lines)
        own = own_ids(connection, self._store.scope, memory, ids)
        rows = {own[line.id]: self._row(one, line, own) for one, line in lines}
        held = set(connection.execute(select(memory.c.id).where(memory.c.id.in_(list(rows)))).scalars())
        self._close(connection, [row for key, row in rows.items() if key in held and row["recorded_to"] is not None])
        current = [row["hash"] for row in rows.values() if row["recorded_to"] is None]
        taken = self._current(connection, current)
        fresh: list[dict[str, Any]] = []
        for key, row in rows.items():
            if key in held:
                continue
            if row["recorded_to"] is None and row["hash"] in taken:
                own |= {told: taken[row["hash"]] for told, name in own.items() if name == key}
                continue
            if row["recorded_to"] is None:
                taken[row["hash"]] = key
            fresh.append(row)
        if fresh:
            insert_in(connection, fresh)
        return len(fresh), {told: name for told, name in own.items() if told != name}

    def _current(self, connection: Connection, hashes: Sequence[str]) -> dict[str, str]:
        """Ids of the current memories with these hashes."""
        query = select(memory.c.hash, memory.c.id).where(
            owned(memory, self._store.scope), memory.c.recorded_to.is_(None), memory.c.hash.in_(hashes)
        )
        return {row.hash: row.id for row in connection.execute(query)}

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
            check(new, self._limit, before=new)
        except MemoryStoreError as error:
            raise _wrong(one.number, str(error)) from error
        stored = row_for(new, self._store.scope, line.recorded_from)
        names = ("valid_from", "valid_to", "recorded_to", "ending", "ending_reason")
        lineage = None if line.lineage is None else own[line.lineage]
        return stored | {name: getattr(line, name) for name in names} | {"id": own[line.id], "lineage": lineage}

    def _file(self, connection: Connection, line: FileLine) -> int:
        values = scope_values(self._store.scope) | line.model_dump(exclude={"kind"})
        return connection.execute(insert_new(connection, schema.ingested).values(values)).rowcount

    def _relation(self, connection: Connection, number: int, line: RelationLine, ground: str | None) -> int:
        try:
            return carry_in(connection, self._store.scope, line, ground)
        except MemoryStoreError as error:
            raise _wrong(number, str(error)) from error


def _model_of(line: Held) -> str:
    return line.id if isinstance(line, ModelLine) else line.model_id  # pyright: ignore[reportAttributeAccessIssue] -- of a belief


def _raw(line: Held) -> bytes:
    return line.model_dump_json().encode()


def _parts(aside: Aside) -> Iterator[list[Belief]]:
    """Beliefs as they are stored together: not many lines, unless one has many by itself."""
    part: list[Belief] = []
    size = 0
    for key in list(aside.models()):
        lines = aside.lines(key)
        if part and size + len(lines) > _TOGETHER:
            yield part
            part, size = [], 0
        part.append(_belief(key, lines))
        size += len(lines)
    if part:
        yield part


def _belief(key: str, raw: Sequence[tuple[int, bytes]]) -> Belief:
    lines: list[Any] = [_lines.validate_json(line) for _, line in raw]
    return Belief(
        id=key,
        model=next((one for one in lines if isinstance(one, ModelLine)), None),
        revisions=[one for one in lines if isinstance(one, RevisionLine)],
        predictions=[one for one in lines if isinstance(one, PredictionLine)],
    )


def _checked(lines: Iterable[bytes]) -> Iterator[_Numbered]:
    """What the lines tell, between a header that we know and an end that counts them right."""
    counts: Counter[str] = Counter()
    number, ended = 0, False
    for number, raw in enumerate(lines, start=1):
        line = _first(raw) if number == 1 else _parsed(number, raw)
        if ended or (number > 1 and isinstance(line, Header)):
            raise _wrong(number, "the file goes on after `end`, or begins anew")
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
        raise _wrong(
            number + 1,
            "the file ends before its last line, so it was cut" if number else "the file is empty: perhaps it was cut",
        )


def _first(raw: bytes) -> Header:
    """The header; what begins with anything else was written by something else."""
    # Editors and shells of Windows put a mark before UTF-8.
    raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        told = from_json(raw[:LONGEST])
    except ValueError:
        told = None
    if not isinstance(told, dict) or cast("dict[str, Any]", told).get("kind") != "header":
        raise _wrong(1, _NO_EXPORT)
    return _parsed(1, raw)


def _parsed(number: int, raw: bytes) -> Any:
    if len(raw) > LONGEST:
        raise _wrong(number, f"it has more than {LONGEST:,} bytes")
    try:
        return _lines.validate_json(raw)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"][1:])
        # The parser is given one line, whose number it doesn't know.
        said = first["msg"].replace(" at line 1 column ", " at column ")
        raise _wrong(number, f"{place}: {said}" if place else said) from error


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
