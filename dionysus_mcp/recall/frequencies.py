"""How common the words of a query are: how many memories of the store hold each of them."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import Connection

from dionysus_mcp.recall import postgres_words
from dionysus_mcp.recall.terms import Stemmer, Term

_COMMON = 2000
"""Memories above which a stem's frequency is remembered."""


class Frequencies:
    """How many memories hold a stem. What is common is remembered: the text index counts it anew at every question.

    A rare stem is always looked up, as its first memory makes the difference; a common one changes little until the
    store has grown by a tenth. Not thread-safe in the strict sense: at worst two threads look up the same.
    """

    def __init__(self) -> None:
        self._common: dict[str, int] = {}
        self._total = 0

    def of(self, connection: Connection, stems: Collection[str], total: int) -> dict[str, int]:
        """Frequencies by stem; what no memory holds is left out. `total` is how many memories there are."""
        if not 0.9 * total <= self._total <= total:
            self._common, self._total = {}, total
        known = {stem: self._common[stem] for stem in stems if stem in self._common}
        found = _counted(connection, [stem for stem in stems if stem not in known], total)
        self._common |= {stem: count for stem, count in found.items() if count > _COMMON}
        return known | found


def _counted(connection: Connection, stems: Sequence[str], total: int) -> dict[str, int]:
    if connection.dialect.name == "postgresql":
        return postgres_words.frequencies(connection, stems, _COMMON, total)
    if not stems:
        return {}
    # Not built by SQLAlchemy: that takes longer than running it.
    marks = ", ".join("?" * len(stems))
    found = connection.exec_driver_sql(f"SELECT term, doc FROM memory_terms WHERE term IN ({marks})", tuple(stems))  # noqa: S608 -- marks alone
    return {row[0]: row[1] for row in found.all()}


def weigh(
    connection: Connection, stemmer: Stemmer, frequencies: Frequencies, of: Sequence[str], total: int
) -> list[Term]:
    """The words with their forms and document frequency, in their order; what is no word to the index is left out."""
    stems = stemmer.stems(of)
    forms = {word: stemmer.forms(word, stems[word]) for word in of if word in stems}
    stems |= stemmer.stems(sorted({form for family in forms.values() for form in family} - stems.keys()))
    counts = frequencies.of(connection, set(stems.values()), total)

    def term(word: str, family: Iterable[str]) -> Term:
        own = tuple(dict.fromkeys(stems[form] for form in family if form in stems))
        return Term(word, tuple(family), sum(counts.get(stem, 0) for stem in own), own)

    return [term(word, family) for word, family in forms.items()]
