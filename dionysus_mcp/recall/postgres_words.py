"""Recall by words in PostgreSQL: BM25 over the stems of `store.postgres_words`.

PostgreSQL ranks texts without regard to how common a word is, so the score is worked out here: first by which words a
memory holds, then, for the best of these, by how often it holds them. `keywords` does the same in SQLite.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ARRAY, BigInteger, BindParameter, Connection, Double, Text, bindparam, text

from dionysus_mcp.recall.admitted import BOUND
from dionysus_mcp.recall.terms import Term
from dionysus_mcp.scope import Scope
from dionysus_mcp.store.postgres_words import is_indexed, lexeme
from dionysus_mcp.store.scoping import visible_text

_WIDE = 4
_SAMPLED = 20_000
"""Memories that are looked at for the share of a common word."""
_SMALLEST = 1e-6
"""Weight of a word that most memories hold, as in SQLite's ranking."""

# As float8, since PostgreSQL works decimals out digit by digit. What stands in <> is put in for each query.
_SQL = {
    "held": "w.words, CAST(w.length AS float8) AS length, (<held>) AS held",
    "likely": "around AS (SELECT *, greatest(avg(length) OVER (), 1) AS mean FROM found), "
    "likely AS (SELECT * FROM around ORDER BY held * 2.2 / (1 + 1.2 * (0.25 + 0.75 * length / mean)) DESC, seq DESC "
    "LIMIT :wide)",
    "score": "LATERAL (SELECT sum(t.idf * o.tf * 2.2 / (o.tf + 1.2 * (0.25 + 0.75 * length / mean))) AS score "
    "FROM unnest(words) AS u(stem, places, weights) JOIN unnest(:stems, :idfs) AS t(stem, idf) ON t.stem = u.stem, "
    "LATERAL (SELECT CAST(cardinality(u.weights) AS float8) - 0.5 * cardinality(array_positions(u.weights, 'C')) "
    "AS tf) AS o) AS s ORDER BY score DESC, seq DESC LIMIT :count",
}
_ALL = (
    "WITH found AS (SELECT m.seq, {held} FROM memory_words w "
    # Each match looks up its memory: joined at will, all memories are read as soon as some thousand match.
    "CROSS JOIN LATERAL (SELECT m.seq FROM memory m WHERE m.seq = w.memory_seq AND <where> OFFSET 0) AS m "
    "WHERE w.words @@ CAST(:match AS tsquery)), {likely} SELECT seq, score FROM likely, {score}"
)
"""The best of all matches that are admitted."""
_BEST = (
    "WITH found AS (SELECT w.memory_seq AS seq, {held} FROM memory_words w WHERE w.words @@ CAST(:match AS tsquery)), "
    "{likely} SELECT likely.seq, score FROM likely "
    "CROSS JOIN LATERAL (SELECT 1 FROM memory m WHERE m.seq = likely.seq AND <where> OFFSET 0) AS m, {score}"
)
"""Those of the best matches that are admitted; there may be more."""


def frequencies(
    connection: Connection, stems: Sequence[str], common: int, total: int, scope: Scope | None = None
) -> dict[str, int]:
    """How many memories hold each stem: counted up to `common`, estimated from a sample beyond.

    Args:
        connection: In a transaction that reads.
        stems: Which; what no memory holds is left out.
        common: Counted at most so far.
        total: Memories of the store, or of the scope.
        scope: Whose memories; None for all of the store.
    """
    stems = [stem for stem in stems if is_indexed(stem)]
    if not stems:
        return {}
    mine, values = _among(scope)
    counted = text(
        f"SELECT s.number, (SELECT count(*) FROM (SELECT 1 FROM memory_words w {mine} "  # noqa: S608 -- constants; values are bound
        "w.words @@ CAST(s.query AS tsquery) LIMIT :most) AS few) AS held "
        "FROM unnest(:queries) WITH ORDINALITY AS s(query, number)"
    ).bindparams(bindparam("queries", type_=ARRAY(Text)))
    rows = connection.execute(counted, {"queries": [lexeme(stem) for stem in stems], "most": common + 1, **values})
    found = {str(stems[row.number - 1]): int(row.held) for row in rows if row.held}
    for stem in [stem for stem, held in found.items() if held > common]:
        found[stem] = max(common + 1, round(_share(connection, stem, total, scope) * total))
    return found


def matches(
    connection: Connection,
    terms: Sequence[Term],
    conditions: tuple[str, dict[str, object]],
    count: int,
    total: int | None = None,
) -> dict[int, float]:
    """The `count` best memories that hold any of the terms, as BM25 score by memory number.

    Args:
        connection: In a transaction that reads.
        terms: With their stems.
        conditions: Which memories `m` may be returned, as SQL, and the values in it; see `admitted.conditions`.
        count: At most so many.
        total: Memories among which the terms' frequencies were counted; None for all of the store.
    """
    weights = _weights(connection, terms, total)
    if not weights:
        return {}
    if total is None:
        # A scope that has the store to itself: mostly the best few are admitted, so no others are looked up.
        found = _ranked(connection, weights, conditions, count, _BEST.format(**_SQL))
        if len(found) == count or sum(term.frequency for term in terms) <= _WIDE * count:
            return found
    return _ranked(connection, weights, conditions, count, _ALL.format(**_SQL))


def _ranked(
    connection: Connection,
    weights: Mapping[str, float],
    conditions: tuple[str, dict[str, object]],
    count: int,
    sql: str,
) -> dict[int, float]:
    where, values = conditions
    bound = {f"q{number}": lexeme(stem) for number, stem in enumerate(weights)}
    held = " + ".join(
        f"CASE WHEN w.words @@ CAST(:q{number} AS tsquery) THEN CAST({idf!r} AS float8) ELSE 0 END"
        for number, idf in enumerate(weights.values())
    )
    query = text(sql.replace("<held>", held).replace("<where>", where)).bindparams(
        bindparam("stems", type_=ARRAY(Text)), bindparam("idfs", type_=ARRAY(Double)), *_special(values)
    )
    given = {
        "match": " | ".join(map(lexeme, weights)),
        "wide": _WIDE * count,
        "count": count,
        "stems": list(weights),
        "idfs": list(weights.values()),
    }
    return {row[0]: float(row[1]) for row in connection.execute(query, bound | given | values).all()}


def covered(connection: Connection, terms: Sequence[Term], seqs: Collection[int]) -> set[int]:
    """Places of the terms that any of the memories holds in its content or in what stands around it."""
    query = text(
        "SELECT t.place FROM unnest(:matches) WITH ORDINALITY AS t(match, place) WHERE EXISTS (SELECT 1 "
        "FROM memory_words WHERE memory_seq = ANY(:seqs) AND words @@ CAST(t.match AS tsquery))"
    ).bindparams(bindparam("seqs", type_=ARRAY(BigInteger)), bindparam("matches", type_=ARRAY(Text)))
    matches = [" | ".join(f"{lexeme(stem)}:AB" for stem in term.stems if is_indexed(stem)) for term in terms]
    rows = connection.execute(query, {"seqs": list(seqs), "matches": matches}).scalars()
    return {place - 1 for place in rows}


def _special(values: Iterable[str]) -> list[BindParameter[Any]]:
    return [bindparam(name, **BOUND[name]) for name in values if name in BOUND]


def _weights(connection: Connection, terms: Sequence[Term], total: int | None) -> dict[str, float]:
    """Inverse document frequency by stem (Robertson and Zaragoza 2009)."""
    # Roughly, as counting takes long; numbers that a purge has freed are given to nobody again.
    all_of_them = text("SELECT coalesce(max(memory_seq) - min(memory_seq) + 1, 0) FROM memory_words")
    among = int(connection.execute(all_of_them).scalar_one()) if total is None else total
    return {
        stem: max(_SMALLEST, math.log((max(0, among - term.frequency) + 0.5) / (term.frequency + 0.5)))
        for term in terms
        for stem in term.stems
        if is_indexed(stem)
    }


def _among(scope: Scope | None) -> tuple[str, dict[str, object]]:
    """What follows `memory_words w` to count a scope's memories, or all, up to a further condition; and its values."""
    if scope is None:
        return "WHERE", {}
    mine, values = visible_text("m", scope)
    return f"JOIN memory m ON m.seq = w.memory_seq WHERE {mine} AND", values


def _share(connection: Connection, stem: str, total: int, scope: Scope | None) -> float:
    """The share of the memories that hold a stem, from a sample."""
    percent = min(100.0, 100.0 * _SAMPLED / max(1, total))
    mine, values = _among(scope)
    query = text(
        "SELECT count(*) FILTER (WHERE words @@ CAST(:stem AS tsquery)) AS held, count(*) AS seen "  # noqa: S608 -- constants; values are bound
        f"FROM memory_words w TABLESAMPLE SYSTEM (:percent) {mine} true"
    )
    row = connection.execute(query, {"stem": lexeme(stem), "percent": percent, **values}).one()
    return row.held / row.seen if row.seen else 0.0
