"""What looking after a store takes in PostgreSQL: its checks, its text index made anew, erasing what was purged."""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from sqlalchemy import ARRAY, BigInteger, Connection, Text, bindparam, delete, select, text

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.postgres_tables import NAMES
from dionysus_mcp.store.postgres_words import OPTION, PostgresWords

memory = schema.memory
# SQLite's and these say the same of the same columns; the words for it differ.
BAD_VECTORS = "FROM vector WHERE format != 'f2' OR dimension != vector_dims(vector) OR octet_length(terms) % 4 != 0"
BAD_PASSAGES = (
    "FROM passage WHERE octet_length(spans) % 8 != 0 OR octet_length(vectors) * 4 != octet_length(spans) * coalesce(("
    "SELECT dimension FROM vector WHERE vector.memory_seq = passage.memory_seq AND vector.model = passage.model), "
    "octet_length(vectors) * 4 / greatest(1, octet_length(spans)))"
)
_WIDE = (
    "coalesce((SELECT dimension FROM vector WHERE vector.memory_seq = piece.memory_seq AND "
    "vector.model = piece.model), 8)"
)
BAD_PIECES = (
    "FROM piece WHERE octet_length(signs) > 0 AND ((octet_length(signs) - 1) * 8 % " + _WIDE + " != 0 OR "
    "(octet_length(signs) - 1) * 8 <= " + _WIDE + ")"
)

_ERASED = ("memory", "memory_words", "vector", "passage", "ingested", "mental_model", "model_revision", "prediction")
_KEPT = re.compile(r"(\d+) dead row versions cannot be removed yet")
_AT_A_TIME = 500
_WRONG = text(
    "SELECT x.seq FROM unnest(:seqs, :words) AS x(seq, words) LEFT JOIN memory_words w ON w.memory_seq = x.seq "
    "WHERE w.words IS DISTINCT FROM CAST(x.words AS tsvector)"
).bindparams(bindparam("seqs", type_=ARRAY(BigInteger)), bindparam("words", type_=ARRAY(Text)))


def missing_parts(connection: Connection) -> list[str]:
    """Tables and indexes that should be there and aren't."""
    tables = [table.name for table in schema.metadata.sorted_tables]
    indexes = [str(index.name) for table in schema.metadata.sorted_tables for index in table.indexes]
    query = text("SELECT relname FROM pg_class WHERE relnamespace = CAST(current_schema() AS regnamespace)")
    present = set(connection.execute(query).scalars())
    return [name for name in [*tables, *indexes, *NAMES] if name not in present]


def out_of_step(store: Store, *, repair: bool) -> int:
    """How many memories the text index holds otherwise than they are, or not at all; with `repair` it is set right."""
    with store.read() as connection:
        wrong = [seq for rows in _batches(connection) for seq in _wrong(connection, rows)]
    for start in range(0, len(wrong) if repair else 0, _AT_A_TIME):
        part = wrong[start : start + _AT_A_TIME]
        store.write(lambda connection, part=part: _index_anew(connection, part))
    return len(wrong)


def erase(store: Store) -> str | None:
    """Make the tables anew without what was deleted; returns why that wasn't possible, or None.

    The server's log of writes, its archives and its backups are its administrator's.
    """
    notices: list[str] = []
    try:
        with store.postgres.outside_transactions(notices.append) as connection:
            for table in _ERASED:
                connection.execute(text(f"VACUUM (FULL, VERBOSE) {table}"))
    except MemoryStoreError as error:
        return str(error)
    kept = sum(int(found) for notice in notices for found in _KEPT.findall(notice))
    return f"{kept} deleted rows may still be seen by a transaction that began before" if kept else None


def _batches(connection: Connection) -> Iterator[list[Any]]:
    columns = memory.c.seq, memory.c.id, memory.c.content, memory.c.context, memory.c.source
    rows = connection.execution_options(yield_per=_AT_A_TIME).execute(select(*columns).order_by(memory.c.seq))
    while batch := list(islice(rows, _AT_A_TIME)):
        yield batch


def _wrong(connection: Connection, rows: Sequence[Any]) -> list[int]:
    words = PostgresWords()
    values = words.values([row._mapping for row in rows])  # noqa: SLF001 -- SQLAlchemy's own name for it
    words.close()
    given = {"seqs": [row.seq for row in rows], "words": [value["words"] for value in values]}
    return list(connection.execute(_WRONG, given).scalars())


def _index_anew(connection: Connection, seqs: Sequence[int]) -> None:
    held = schema.Table("memory_words", schema.MetaData(), schema.Column("memory_seq", BigInteger))
    connection.execute(delete(held).where(held.c.memory_seq.in_(seqs)))
    words: PostgresWords = connection.get_execution_options()[OPTION]
    columns = memory.c.id, memory.c.content, memory.c.context, memory.c.source
    rows = connection.execute(select(*columns).where(memory.c.seq.in_(seqs))).mappings().all()
    words.add(connection, [dict(row) for row in rows])
