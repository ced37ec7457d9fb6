"""Recall by words: the text index, ranked by BM25 (Robertson and Zaragoza 2009)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, text

from dionysus_mcp.recall.terms import Term
from dionysus_mcp.store.schema import Moment
from dionysus_mcp.store.sqlite import Scope

# bm25() weighs content and headings alike; a word of the file's name counts half. Its values are negative, best lowest.
_SCORE = "-bm25(memory_fts, 1.0, 1.0, 0.5)"


_BELIEVED_NOW = "m.recorded_to IS NULL"
_BELIEVED_THEN = "m.recorded_from <= :as_of AND (m.recorded_to IS NULL OR m.recorded_to > :as_of)"
_BOUND: dict[str, dict[str, Any]] = {
    "types": {"expanding": True},
    "excluded": {"expanding": True},
    "as_of": {"type_": Moment()},
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which memories a recall may return; None means all."""

    memory_types: frozenset[str] | None = None
    exclude_types: frozenset[str] = frozenset()
    session_id: str | None = None

    def admits(self, memory_type: str, session_id: str | None) -> bool:
        """Whether a memory of this type and session may be returned."""
        return (
            (self.memory_types is None or memory_type in self.memory_types)
            and memory_type not in self.exclude_types
            and (self.session_id is None or session_id == self.session_id)
        )


def matches(
    connection: Connection,
    scope: Scope,
    terms: Sequence[Term],
    admitted: Filter,
    count: int,
    as_of: datetime | None = None,
) -> dict[int, float]:
    """The `count` best memories that hold any of the terms, as BM25 score by memory number.

    Args:
        connection: In a transaction that reads.
        scope: Whose memories.
        terms: Words to search for.
        admitted: Which memories may be returned.
        count: At most so many.
        as_of: Search what the store believed then; None for now.
    """
    if not terms:
        return {}
    conditions, values = _conditions(scope, admitted, as_of)
    query = text(
        f"SELECT m.seq AS seq, {_SCORE} AS score FROM memory_fts JOIN memory m ON m.seq = memory_fts.rowid "  # noqa: S608 -- constants; values are bound
        f"WHERE memory_fts MATCH :match AND {conditions} ORDER BY score DESC, m.seq DESC LIMIT :count"
    ).bindparams(*(bindparam(name, **_BOUND[name]) for name in values if name in _BOUND))
    rows = connection.execute(query, {"match": any_of(terms), "count": count, **values})
    return {row.seq: row.score for row in rows}


def covered(connection: Connection, term: Term, seqs: Collection[int]) -> bool:
    """Whether any of the memories holds the term, whatever its ending, in its content or in what stands around it."""
    query = text("SELECT 1 FROM memory_fts WHERE memory_fts MATCH :match AND rowid IN :seqs LIMIT 1").bindparams(
        bindparam("seqs", expanding=True)
    )
    found = connection.execute(query, {"match": f"{{content context}} : ({any_of([term])})", "seqs": list(seqs)})
    return found.first() is not None


def any_of(terms: Sequence[Term]) -> str:
    """The index's query for memories that hold any of the terms."""
    return " OR ".join(_quoted(form) for term in terms for form in term.forms)


def _quoted(word: str) -> str:
    """A word as a string of the index's query language, where nothing in it is an operator."""
    return '"' + word.replace('"', '""') + '"'


def _conditions(scope: Scope, admitted: Filter, as_of: datetime | None) -> tuple[str, dict[str, object]]:
    conditions = [_BELIEVED_NOW if as_of is None else _BELIEVED_THEN, "m.tenant = :tenant", "m.project = :project"]
    values: dict[str, object] = {"tenant": scope.tenant, "project": scope.project}
    if as_of is not None:
        values["as_of"] = as_of
    if admitted.memory_types is not None:
        conditions.append("m.memory_type IN :types")
        values["types"] = sorted(admitted.memory_types)
    if admitted.exclude_types:
        conditions.append("m.memory_type NOT IN :excluded")
        values["excluded"] = sorted(admitted.exclude_types)
    if admitted.session_id is not None:
        conditions.append("m.session_id = :session")
        values["session"] = admitted.session_id
    return " AND ".join(conditions), values
