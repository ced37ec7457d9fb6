"""Recall by words: the text index, ranked by BM25 (Robertson and Zaragoza 2009)."""

from collections.abc import Collection, Sequence
from datetime import datetime
from functools import lru_cache

from sqlalchemy import Connection, TextClause, bindparam, text

from dionysus_mcp.recall import postgres_words
from dionysus_mcp.recall.admitted import BOUND, Filter, conditions
from dionysus_mcp.recall.terms import Term
from dionysus_mcp.scope import Scope

# bm25() weighs content and headings alike; a word of the file's name counts half. Its values are negative, best lowest.
_SCORE = "-bm25(memory_fts, 1.0, 1.0, 0.5)"

_WIDE = 4
_FEW = 2000
"""Memories with a word that are gone through in less time than the index takes to look ten numbers up among them."""


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
    if connection.dialect.name == "postgresql":
        return postgres_words.matches(connection, terms, conditions(scope, admitted, as_of), count)
    wide = _WIDE * count
    found = _ranked(connection, scope, terms, admitted, count, wide, as_of)
    # Mostly the best few are of this scope and admitted; only where they aren't, all that match are looked at.
    if len(found) < count and sum(term.frequency for term in terms) > wide:
        return _ranked(connection, scope, terms, admitted, count, -1, as_of)
    return found


def _ranked(
    connection: Connection,
    scope: Scope,
    terms: Sequence[Term],
    admitted: Filter,
    count: int,
    wide: int,
    as_of: datetime | None,
) -> dict[int, float]:
    """The best of the `wide` best matches of the whole store; -1 stands for all."""
    where, values = conditions(scope, admitted, as_of)
    rows = connection.execute(
        _ranking(where, frozenset(values)), {"match": any_of(terms), "count": count, "wide": wide, **values}
    )
    return {row[0]: row[1] for row in rows.all()}


@lru_cache(maxsize=32)
def _ranking(where: str, names: frozenset[str]) -> TextClause:
    """The query for the best matches; kept, as to build one takes longer than to match some words."""
    return text(
        "SELECT m.seq AS seq, best.score AS score FROM "  # noqa: S608 -- constants; values are bound
        f"(SELECT rowid AS seq, {_SCORE} AS score FROM memory_fts WHERE memory_fts MATCH :match "
        "ORDER BY score DESC, rowid DESC LIMIT :wide) AS best JOIN memory m ON m.seq = best.seq "
        f"WHERE {where} ORDER BY best.score DESC, m.seq DESC LIMIT :count"
    ).bindparams(*(bindparam(name, **BOUND[name]) for name in sorted(names) if name in BOUND))


def covered(connection: Connection, term: Term, seqs: Collection[int]) -> bool:
    """Whether any of the memories holds the term, whatever its ending, in its content or in what stands around it."""
    if connection.dialect.name == "postgresql":
        return bool(postgres_words.covered(connection, [term], seqs))
    # Not built by SQLAlchemy: that takes longer than running it, and there is one for each term.
    found = connection.exec_driver_sql(f"{_one_of(term, seqs)} LIMIT 1", (_covering(term),))
    return found.first() is not None


def uncovered(connection: Connection, terms: Sequence[Term], seqs: Collection[int]) -> list[Term]:
    """The terms that none of the memories holds."""
    if connection.dialect.name == "postgresql" and terms:
        known = postgres_words.covered(connection, terms, seqs)
        return [term for place, term in enumerate(terms) if place not in known]
    if len(terms) < 2:
        return [term for term in terms if not covered(connection, term, seqs)]
    # Asked at once: what goes around a query takes longer than the query.
    asked = " UNION ALL ".join(
        f"SELECT {number} WHERE EXISTS ({_one_of(term, seqs)})" for number, term in enumerate(terms)
    )
    found = connection.exec_driver_sql(asked, tuple(_covering(term) for term in terms))
    held = {row[0] for row in found.all()}
    return [term for number, term in enumerate(terms) if number not in held]


def _one_of(term: Term, seqs: Collection[int]) -> str:
    """The query for a memory among these that holds what is bound to it."""
    numbers = ",".join(str(int(seq)) for seq in seqs)
    row = "+rowid" if term.frequency <= _FEW else "rowid"  # the sign keeps SQLite from looking up number by number
    return f"SELECT 1 FROM memory_fts WHERE memory_fts MATCH ? AND {row} IN ({numbers})"  # noqa: S608 -- whole numbers


def _covering(term: Term) -> str:
    return f"{{content context}} : ({any_of([term])})"


def any_of(terms: Sequence[Term]) -> str:
    """The index's query for memories that hold any of the terms."""
    return " OR ".join(_quoted(form) for term in terms for form in term.forms)


def _quoted(word: str) -> str:
    """A word as a string of the index's query language, where nothing in it is an operator."""
    return '"' + word.replace('"', '""') + '"'
