"""The text index of a store in PostgreSQL: the stems of each memory as a `tsvector`, in a table of their own.

PostgreSQL would find other words in a text and give them other stems than SQLite does. So the stems are made here, by
the same tokenizer for both, and one memory is found by the same words wherever it is kept. Stems of the content have
weight A, of what stands around it B, of its source C.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, text

from dionysus_mcp.store.tokenizer import Tokenizer

OPTION = "postgres_words"
"""Execution option of a connection under which whoever inserts memories finds a `PostgresWords`."""
TABLES = (
    "CREATE TABLE memory_words (memory_seq bigint PRIMARY KEY REFERENCES memory (seq) ON DELETE CASCADE, "
    "length integer NOT NULL, words tsvector NOT NULL)",
    # A pending list would have to be searched word by word at each recall.
    "CREATE INDEX memory_words_stems ON memory_words USING gin (words) WITH (fastupdate = off)",
)

_MOST_STEMS = 50_000
_MOST_BYTES = 400_000
"""Of one memory's stems together: a `tsvector` holds a megabyte, places included."""
_LONGEST = 2_000
"""Bytes of one stem; PostgreSQL takes 2,046."""
_LAST_PLACE = 16_383
_PLACES = 255
"""Places of one stem that a `tsvector` keeps."""
_INSERT = text(
    "INSERT INTO memory_words (memory_seq, length, words) "
    "SELECT seq, :length, CAST(:words AS tsvector) FROM memory WHERE id = :id ON CONFLICT DO NOTHING"
)


class PostgresWords:
    """Makes the stems of memories. Thread-safe."""

    def __init__(self) -> None:
        self._tokenizer = Tokenizer()

    def add(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Index memories that were just inserted; their rows have `id`, `content`, `context` and `source`."""
        if rows:
            connection.execute(_INSERT, self.values(rows))

    def values(self, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """What the index holds of memories: their `id`, their `length` in stems, and their `words`."""
        texts = [part for row in rows for part in (row["content"], row["context"], row["source"] or "")]
        stems = self._tokenizer.stems(texts)
        return [
            {"id": row["id"]} | _vector(zip("ABC", stems[3 * number : 3 * number + 3], strict=True))
            for number, row in enumerate(rows)
        ]

    def close(self) -> None:
        """Free the tokenizer."""
        self._tokenizer.close()


def is_indexed(stem: str) -> bool:
    """Whether the index holds a stem; PostgreSQL refuses one that is too long, in a query as well."""
    return len(stem.encode()) <= _LONGEST


def lexeme(stem: str) -> str:
    """A stem as PostgreSQL reads it in a `tsvector` or `tsquery`, where nothing in it is an operator."""
    return "'" + stem.replace("\\", "\\\\").replace("'", "''") + "'"


def _vector(parts: Iterable[tuple[str, Sequence[str]]]) -> dict[str, Any]:
    places: dict[str, list[str]] = {}
    length = size = 0
    for weight, stems in parts:
        for stem in stems:
            # What is longer is found by its beginning, and by its vectors.
            if length >= _MOST_STEMS or size >= _MOST_BYTES:
                break
            if not is_indexed(stem):
                continue
            length += 1
            held = places.setdefault(stem, [])
            size += 0 if held else len(stem.encode())
            if len(held) < _PLACES:
                held.append(f"{min(length, _LAST_PLACE)}{weight}")
    return {"length": length, "words": " ".join(f"{lexeme(stem)}:{','.join(at)}" for stem, at in places.items())}
