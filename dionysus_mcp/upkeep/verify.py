"""Is a store sound? Everything that must hold between its tables, indexes and texts, and what to do where it doesn't.

Reads the whole file, whatever scope it is opened for: damage knows no scopes. Running servers need not stop.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, func, select, text

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import new_of
from dionysus_mcp.upkeep import postgres
from dionysus_mcp.upkeep.purge import erase

memory = schema.memory
_AT_A_TIME = 1000
_SHOWN = 5
_RESTORE = "Restore a backup, or export what can still be read with `dionysus memory export` and import it elsewhere."
_REPAIR = "`dionysus memory verify --repair` sets it right."
_REBUILD = text("INSERT INTO memory_fts(memory_fts) VALUES ('rebuild')")
_IS_IN_STEP = text("INSERT INTO memory_fts(memory_fts, rank) VALUES ('integrity-check', 1)")

# Vectors whose bytes can't be what they say, and those of memories that are gone.
_BAD_VECTORS = (
    "FROM vector WHERE format != 'f2' OR dimension < 1 OR length(vector) != 2 * dimension OR length(terms) % 4 != 0 "
    "OR memory_seq NOT IN (SELECT seq FROM memory)"
)
_BAD_PASSAGES = (
    "FROM passage WHERE length(spans) % 8 != 0 OR length(vectors) * 4 != length(spans) * coalesce((SELECT dimension "
    "FROM vector WHERE vector.memory_seq = passage.memory_seq AND vector.model = passage.model), length(vectors) * 4 / "
    "max(1, length(spans))) OR memory_seq NOT IN (SELECT seq FROM memory)"
)
# What has no word piece has no signs at all; else there are a count, the gist and at least one piece.
_WIDE = (
    "coalesce((SELECT dimension FROM vector WHERE vector.memory_seq = piece.memory_seq AND "
    "vector.model = piece.model), 8)"
)
_BAD_PIECES = (
    "FROM piece WHERE (length(signs) > 0 AND ((length(signs) - 1) * 8 % "  # noqa: S608 -- of constants
    + _WIDE
    + " != 0 OR (length(signs) - 1) * 8 <= "
    + _WIDE
    + ")) OR memory_seq NOT IN (SELECT seq FROM memory)"
)
_BAD_CLOSURES = "FROM closure WHERE memory_seq IN (SELECT seq FROM memory WHERE recorded_to IS NULL)"
_BAD_SCOPES = "FROM memory WHERE tenant = '' OR project = ''"
_BAD_TIMES = "FROM memory WHERE recorded_to < recorded_from OR (recorded_to IS NULL AND ending IS NOT NULL)"
_BAD_METADATA = "FROM memory WHERE NOT json_valid(metadata)"

_Step = tuple[str, Callable[[], "Check"]]


class Check(BaseModel):
    """What one check found.

    Attributes:
        name: What was looked at.
        problems: How many things are wrong; 0 is sound.
        detail: Which, the first few of them.
        advice: What to do.
        repaired: Whether it was set right just now.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    problems: int = 0
    detail: str | None = None
    advice: str | None = None
    repaired: bool = False


class Verification(BaseModel):
    """What all checks found.

    Attributes:
        sound: Whether nothing is wrong, or all that was has been repaired.
    """

    model_config = ConfigDict(frozen=True)

    sound: bool
    checks: list[Check]


def verify(store: Store, progress: Callable[[int, int, str], None], *, repair: bool = False) -> Verification:
    """Check a store, and with `repair` set right what can be worked out from the memories themselves.

    Args:
        store: Which one.
        progress: Told how many of how many checks are done, and which comes.
        repair: Make the text index anew, drop damaged vectors (they are made again), and erase what purges left.

    Raises:
        MemoryStoreError: if the store can't be read at all.
    """
    checks: list[Check] = []
    kept = _in_postgres(store, repair=repair) if store.in_postgres else _in_file(store, repair=repair)
    steps = [
        *kept,
        ("scopes", partial(_rows, store, "scopes", _BAD_SCOPES, "id")),
        ("times", partial(_rows, store, "times", _BAD_TIMES, "id")),
        ("hashes", partial(_hashes, store)),
    ]
    for number, (name, step) in enumerate(steps):
        progress(number, len(steps), name)
        try:
            checks.append(step())
        except (MemoryStoreError, sqlite3.Error) as error:
            checks.append(Check(name=name, problems=1, detail=str(error), advice=_RESTORE))
    progress(len(steps), len(steps), "done")
    if repair and (left := erase(store)):
        checks.append(Check(name="erasing", problems=1, detail=left))
    return Verification(sound=all(not check.problems or check.repaired for check in checks), checks=checks)


def _in_file(store: Store, *, repair: bool) -> list[_Step]:
    return [
        ("file", partial(_file, store)),
        ("tables", partial(_tables, store)),
        ("references", partial(_references, store)),
        ("text index", partial(_text_index, store, repair=repair)),
        ("vectors", partial(_rows, store, "vectors", _BAD_VECTORS, "memory_seq", repair=repair)),
        ("passages", partial(_rows, store, "passages", _BAD_PASSAGES, "memory_seq", repair=repair)),
        ("pieces", partial(_rows, store, "pieces", _BAD_PIECES, "memory_seq", repair=repair)),
        ("closures", partial(_rows, store, "closures", _BAD_CLOSURES, "memory_seq", repair=repair)),
        ("metadata", partial(_rows, store, "metadata", _BAD_METADATA, "id")),
    ]


def _in_postgres(store: Store, *, repair: bool) -> list[_Step]:
    """PostgreSQL itself sees to references and to what is JSON."""
    return [
        ("tables", partial(_tables, store)),
        ("text index", partial(_text_index, store, repair=repair)),
        ("vectors", partial(_rows, store, "vectors", postgres.BAD_VECTORS, "memory_seq", repair=repair)),
        ("passages", partial(_rows, store, "passages", postgres.BAD_PASSAGES, "memory_seq", repair=repair)),
        ("pieces", partial(_rows, store, "pieces", postgres.BAD_PIECES, "memory_seq", repair=repair)),
        ("closures", partial(_rows, store, "closures", _BAD_CLOSURES, "memory_seq", repair=repair)),
    ]


def _file(store: Store) -> Check:
    with store.sqlite.alone() as connection:
        found = [row[0] for row in connection.execute("PRAGMA integrity_check")]
    # It looks into the text index too, which can be repaired and has its own check.
    wrong = [one for one in found if one != "ok" and "memory_fts" not in one]
    return _check("file", wrong, _RESTORE)


def _tables(store: Store) -> Check:
    if store.in_postgres:
        with store.read() as connection:
            gone = postgres.missing_parts(connection)
        return _check("tables", [f"{name} is missing" for name in gone], _RESTORE)
    tables = [table.name for table in schema.metadata.sorted_tables]
    indexes = [str(index.name) for table in schema.metadata.sorted_tables for index in table.indexes]
    made = [
        str(statement).split()[2 + ("VIRTUAL" in str(statement))] for statement in schema.TEXT_INDEX + schema.CLOSURES
    ]
    with store.read() as connection:
        present = set(connection.execute(text("SELECT name FROM sqlite_master")).scalars())
    return _check(
        "tables", [f"{name} is missing" for name in [*tables, *indexes, *made] if name not in present], _RESTORE
    )


def _references(store: Store) -> Check:
    with store.read() as connection:
        found = connection.execute(text("PRAGMA foreign_key_check")).all()
    # Vectors, passages and pieces of memories that are gone are found, and dropped, by their own checks.
    wrong = [
        f"{row[0]} {row[1]} refers to no {row[2]}" for row in found if row[0] not in ("vector", "passage", "piece")
    ]
    return _check("references", wrong, _RESTORE)


def _text_index(store: Store, *, repair: bool) -> Check:
    if store.in_postgres:
        wrong = postgres.out_of_step(store, repair=repair)
        if not wrong:
            return Check(name="text index")
        detail = f"{wrong} memories are not in it as they are"
        return Check(name="text index", problems=wrong, detail=detail, advice=_REPAIR, repaired=repair)
    try:
        store.write(lambda connection: connection.execute(_IS_IN_STEP))
    except MemoryStoreError:
        if repair:
            store.write(lambda connection: connection.execute(_REBUILD))
        found = Check(name="text index", problems=1, detail="it is out of step with the memories", advice=_REPAIR)
        return found.model_copy(update={"repaired": repair})
    return Check(name="text index")


def _rows(store: Store, name: str, wrong: str, key: str, *, repair: bool | None = None) -> Check:
    """Count rows that should not be; `repair` is None where they can't be dropped."""
    with store.read() as connection:
        count = connection.execute(text(f"SELECT count(*) {wrong}")).scalar_one()
        shown = connection.execute(text(f"SELECT {key} {wrong} LIMIT {_SHOWN}")).scalars().all()
    if not count:
        return Check(name=name)
    if repair:
        store.write(partial(_dropped, name=name, wrong=wrong))
    detail = f"{count} wrong, of memories {', '.join(map(str, shown))}"
    advice = _RESTORE if repair is None else _REPAIR
    return Check(name=name, problems=count, detail=detail, advice=advice, repaired=bool(repair))


def _dropped(connection: Connection, name: str, wrong: str) -> None:
    """Drop rows; memories that lose their pieces lose their vectors too, which has both made anew."""
    lost = connection.execute(text(f"SELECT memory_seq {wrong}")).scalars().all() if name == "pieces" else []
    connection.execute(text(f"DELETE {wrong}"))
    if lost:
        connection.execute(text("DELETE FROM vector WHERE memory_seq = :seq"), [{"seq": seq} for seq in lost])


def _hashes(store: Store) -> Check:
    """Contents that aren't what was stored: changed past us, or damaged on the disk."""
    with store.read() as connection:
        wrong = [row.id for row in _all(connection) if new_of(row).hash != row.hash]
    return _check("hashes", [f"{one} is not what was stored" for one in wrong], _RESTORE)


def _all(connection: Connection) -> Iterator[Any]:
    query = select(memory).order_by(memory.c.seq)
    if connection.dialect.name == "sqlite":
        # Rows with broken metadata have their own check, and could not be read here.
        query = query.where(func.json_valid(func.cast(memory.c.metadata, schema.Text())))
    yield from connection.execution_options(yield_per=_AT_A_TIME).execute(query)


def _check(name: str, wrong: Iterable[str], advice: str) -> Check:
    found = list(wrong)
    if not found:
        return Check(name=name)
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return Check(name=name, problems=len(found), detail="; ".join(found[:_SHOWN]) + more, advice=advice)
