"""Words in scripts that put no blanks between them, or glue endings on: Chinese, Japanese, Korean.

The text index takes what stands between two marks there for one word, so nobody finds it again by a word in it. Two
characters that follow each other do instead of words (as in Lucene's CJKAnalyzer), and are looked for in the texts
themselves, once a query and only where one has such characters.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from sqlalchemy import Connection, bindparam, text

from dionysus_mcp.recall.admitted import BOUND
from dionysus_mcp.recall.terms import Term, is_unspaced

_MOST_PAIRS = 24
"""Of one query that are looked for; a longer one is found by its beginning and by its vectors."""
_MOST_FOUND = 2_000
"""Memories that are ranked, the newest."""
_LOOKED_AT = 200_000
"""Numbers of memories, the last of the store, that are gone through,"""
_CHARACTERS = 20_000_000
"""and of long ones only as many as hold about so many characters."""
_SAMPLED = 500
"""Of the last memories, from which the length of all is guessed."""
_K1, _B = 1.2, 0.75

Conditions = tuple[str, dict[str, object]]


@dataclass(frozen=True, slots=True)
class Found:
    """Which memories hold which pairs of characters.

    Attributes:
        times: By pair and memory number, how often.
        lengths: Characters of these memories.
        whole: Whether no other memory holds any of them; where some were not looked at, the text index, which knows
            what stands alone, is asked as well.
    """

    times: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    lengths: Mapping[int, int] = field(default_factory=dict)
    whole: bool = True

    def weigh(self, terms: Sequence[Term]) -> list[Term]:
        """The terms, those of pairs with the number of memories that hold them."""
        return [replace(term, frequency=self._frequency(term)) if term.word in self.times else term for term in terms]

    def left_to_index(self, terms: Iterable[Term]) -> list[Term]:
        """Those of the terms that the text index is to be asked for."""
        return [term for term in terms if not self.whole or term.word not in self.times]

    def scores(self, terms: Sequence[Term], total: int) -> dict[int, float]:
        """BM25 (Robertson and Zaragoza 2009) by memory number; `total` is of how many memories there are."""
        mean = sum(self.lengths.values()) / max(1, len(self.lengths))
        scores: dict[int, float] = {}
        for term in terms:
            held = self.times.get(term.word, {})
            weight = max(1e-6, math.log(1 + (max(0, total - len(held)) + 0.5) / (len(held) + 0.5)))
            for seq, times in held.items():
                norm = _K1 * (1 - _B + _B * self.lengths[seq] / max(1.0, mean))
                scores[seq] = scores.get(seq, 0.0) + weight * times * (_K1 + 1) / (times + norm)
        return scores

    def uncovered(self, terms: Iterable[Term], shown: Mapping[int, str]) -> list[Term]:
        """Those of the terms that none of some memories, here with their contents, holds."""
        return [
            term
            for term in terms
            if shown.keys().isdisjoint(self.times.get(term.word, ()))
            # Not each pair and each memory was looked at.
            and not any(term.word in content for content in shown.values())
        ]

    def _frequency(self, term: Term) -> int:
        found = len(self.times[term.word])
        return found if self.whole else max(found, term.frequency)


NOTHING = Found()


def find(connection: Connection, terms: Sequence[Term], admitted: Conditions, last: int) -> Found:
    """Look for the pairs among a query's terms.

    Args:
        connection: In a transaction that reads.
        terms: Of the query; others than pairs are passed over.
        admitted: Which memories `m` may be returned, from `admitted.conditions`.
        last: Number of the newest memory of the store.
    """
    pairs = [term.word for term in terms if is_unspaced(term.word)][:_MOST_PAIRS]
    if not pairs:
        return NOTHING
    where, values = admitted
    bound = {f"pair{number}": pair for number, pair in enumerate(pairs)}
    there = connection.dialect.name == "postgresql"
    place, size = ("strpos", "octet_length(t.told)") if there else ("instr", "length(CAST(t.told AS blob))")
    any_of = " OR ".join(f"{place}(t.told, CAST(:{name} AS text)) > 0" for name in bound)
    times = ", ".join(
        f"(length(t.told) - length(replace(t.told, CAST(:{name} AS text), ''))) / {len(pair)}"
        for name, pair in bound.items()
    )
    before = last - _looked_at(connection, last)
    query = text(
        f"SELECT t.seq, length(t.told), {times} FROM (SELECT m.seq, m.content || ' ' || m.context AS told "  # noqa: S608 -- numbers and constants; values are bound
        f"FROM memory m WHERE m.seq > {before} AND {where}) AS t "
        # A text with no more bytes than characters is ASCII: that is seen sooner than that it holds none of the pairs.
        f"WHERE {size} > length(t.told) AND ({any_of}) "
        f"ORDER BY t.seq DESC LIMIT {_MOST_FOUND}"
    ).bindparams(*(bindparam(name, **BOUND[name]) for name in values if name in BOUND))
    rows = connection.execute(query, bound | values).all()
    held = {pair: {row[0]: row[2 + at] for row in rows if row[2 + at]} for at, pair in enumerate(pairs)}
    return Found(held, {row[0]: row[1] for row in rows}, before <= 0 and len(rows) < _MOST_FOUND)


def _looked_at(connection: Connection, last: int) -> int:
    """How many of the last memories are gone through."""
    sample = text("SELECT avg(length(content)) FROM memory WHERE seq > :after")
    mean = float(connection.execute(sample, {"after": last - _SAMPLED}).scalar() or 0)
    return min(_LOOKED_AT, int(_CHARACTERS / max(1.0, mean)))
