"""Recall by words where others share the store: words are counted and ranked within the scope.

The text index counts over the whole store. Ranked by that, and told which words are rare by that, one scope would learn
what others write about. A scope that has the store to itself takes the index's own, quicker figures.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, not_, select, text

from dionysus_mcp.recall import postgres_words
from dionysus_mcp.recall.admitted import BOUND, Filter, conditions
from dionysus_mcp.recall.terms import Stemmer, Term
from dionysus_mcp.scope import Scope
from dionysus_mcp.store import schema
from dionysus_mcp.store.scoping import visible, visible_text

memory = schema.memory
_K1, _B = 1.2, 0.75
_COMMON = 20_000
"""Memories of the whole store above which those that hold a stem are not gone through one by one."""
_SOME = 2_000
"""Likewise in PostgreSQL, which samples instead."""
_SAMPLE = 500
"""Memories of the scope, the newest, in which such a stem is counted."""
# Of this connection alone: it reads the text index and stores nothing.
_INSTANCES = text(
    "CREATE VIRTUAL TABLE IF NOT EXISTS temp.memory_instances USING fts5vocab('main', 'memory_fts', 'instance')"
)


class Company:
    """Whether other scopes have memories in the same store. Once they have, they are taken to stay."""

    def __init__(self, scope: Scope) -> None:
        self._others = not_(visible(memory, scope))
        self._looked_up_to = 0
        self._found = False

    def is_there(self, connection: Connection, last: int) -> bool:
        """Look at what was stored since the last time, up to memory number `last`."""
        if not self._found and last > self._looked_up_to:
            new = select(memory.c.seq).where(memory.c.seq > self._looked_up_to, self._others).limit(1)
            self._found = connection.execute(new).first() is not None
            self._looked_up_to = last
        return self._found


@dataclass(frozen=True, slots=True)
class Counted:
    """How many memories a scope sees, superseded ones too, and how many of them hold each stem."""

    scope: Scope
    total: int
    stems: Mapping[str, str]
    frequencies: Mapping[str, int]

    def weigh(self, terms: Sequence[Term]) -> list[Term]:
        """The terms with their frequencies within the scope."""
        return [replace(term, frequency=sum(self.frequencies[one] for one in self.of(term))) for term in terms]

    def of(self, term: Term) -> list[str]:
        """The stems of a term's forms."""
        return list(dict.fromkeys(self.stems[form] for form in term.forms if form in self.stems))


def indexed(connection: Connection, last: int) -> int:
    """How many memories the store's text index counts over, given the number of the last one.

    Numbers have gaps where something was purged, which may have been others'. PostgreSQL keeps no count: there the
    numbers from the first one to the last have to do.
    """
    if connection.dialect.name != "sqlite":
        first = connection.execute(select(func.min(memory.c.seq))).scalar()
        return 0 if first is None else last - first + 1
    # The index's own record of sums, whose first number is that of its rows.
    block = connection.exec_driver_sql("SELECT block FROM memory_fts_data WHERE id = 1").scalar()
    return _varints(block)[0] if block else 0


def count(connection: Connection, scope: Scope, stemmer: Stemmer, terms: Sequence[Term]) -> Counted:
    """Count within a scope what the index counts over the store."""
    total = connection.execute(select(func.count()).select_from(memory).where(visible(memory, scope))).scalar_one()
    stems = stemmer.stems(sorted({form for term in terms for form in term.forms}))
    forms = {stem: form for form, stem in stems.items()}
    if connection.dialect.name == "postgresql":
        held = postgres_words.frequencies(connection, list(forms), _SOME, total, scope)
        return Counted(scope, total, stems, {stem: held.get(stem, 0) for stem in forms})
    connection.execute(_INSTANCES)
    counts = {stem: _frequency(connection, scope, stem, form, total) for stem, form in forms.items()}
    return Counted(scope, total, stems, counts)


def matches(
    connection: Connection,
    counted: Counted,
    terms: Sequence[Term],
    admitted: Filter,
    most: int,
    as_of: datetime | None = None,
) -> dict[int, float]:
    """The `most` best memories that hold any of the terms, as BM25 score by memory number; see `keywords.matches`."""
    if connection.dialect.name == "postgresql":
        return postgres_words.matches(
            connection, terms, conditions(counted.scope, admitted, as_of), most, counted.total
        )
    held = {
        stem: _held(connection, counted.scope, stem, admitted, as_of)
        for stem in dict.fromkeys(stem for term in terms for stem in counted.of(term))
    }
    lengths = _lengths(connection, {seq for found in held.values() for seq in found})
    mean = sum(lengths.values()) / max(1, len(lengths))
    scores: dict[int, float] = dict.fromkeys(lengths, 0.0)
    for stem, found in held.items():
        frequency = counted.frequencies[stem]
        weight = max(1e-6, math.log((counted.total - frequency + 0.5) / (frequency + 0.5)))
        for seq, times in found.items():
            norm = _K1 * (1 - _B + _B * lengths[seq] / max(1.0, mean))
            scores[seq] += weight * times * (_K1 + 1) / (times + norm)
    best = sorted(scores, key=lambda seq: (scores[seq], seq), reverse=True)
    return {seq: scores[seq] for seq in best[:most]}


def _frequency(connection: Connection, scope: Scope, stem: str, form: str, total: int) -> int:
    of_all = connection.execute(text("SELECT doc FROM memory_terms WHERE term = :stem"), {"stem": stem}).scalar() or 0
    mine, values = visible_text("m", scope)
    if of_all <= _COMMON:
        query = (
            "SELECT count(DISTINCT i.doc) FROM temp.memory_instances i CROSS JOIN memory m ON m.seq = i.doc "  # noqa: S608 -- constants
            f"WHERE i.term = :stem AND {mine}"
        )
        return connection.execute(text(query), {"stem": stem, **values}).scalar_one()
    query = (
        "SELECT count(*) FROM (SELECT 1 FROM "  # noqa: S608 -- constants
        f"(SELECT m.seq FROM memory m WHERE {mine} ORDER BY m.seq DESC LIMIT {_SAMPLE}) AS own "
        "WHERE EXISTS (SELECT 1 FROM memory_fts f WHERE f.memory_fts MATCH :word AND f.rowid = own.seq))"
    )
    found = connection.execute(text(query), {"word": f'"{form}"', **values}).scalar_one()
    return round(found * total / max(1, min(total, _SAMPLE)))


def _held(
    connection: Connection, scope: Scope, stem: str, admitted: Filter, as_of: datetime | None
) -> dict[int, float]:
    """How often a stem stands in each memory that holds it; a word of the file's name counts half."""
    where, values = conditions(scope, admitted, as_of)
    query = text(
        "SELECT i.doc, sum(CASE i.col WHEN 'source' THEN 0.5 ELSE 1.0 END) "  # noqa: S608 -- constants
        "FROM temp.memory_instances i CROSS JOIN memory m ON m.seq = i.doc "
        f"WHERE i.term = :stem AND {where} GROUP BY i.doc"
    ).bindparams(*(bindparam(name, **BOUND[name]) for name in values if name in BOUND))
    return {row[0]: row[1] for row in connection.execute(query, {"stem": stem, **values})}


def _lengths(connection: Connection, seqs: set[int]) -> dict[int, int]:
    """Words of memories, as the text index has counted them."""
    numbers = ",".join(str(int(seq)) for seq in seqs)
    rows = connection.exec_driver_sql(f"SELECT id, sz FROM memory_fts_docsize WHERE id IN ({numbers})")  # noqa: S608 -- whole numbers
    return {row[0]: sum(_varints(row[1])) for row in rows}


def _varints(block: Any) -> list[int]:
    """Numbers in SQLite's variable-length form: seven bits a byte, the high bit says that more follow."""
    found: list[int] = []
    value = 0
    for byte in bytes(block):
        value = value << 7 | byte & 127
        if byte < 128:
            found.append(value)
            value = 0
    return found
