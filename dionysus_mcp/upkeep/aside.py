"""What an import has to remember until its end, in a temporary file: it may be as long as the export itself."""

import contextlib
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Mapping

from dionysus_mcp.errors import MemoryStoreError

_TABLES = (
    "CREATE TABLE renamed (id TEXT PRIMARY KEY, own TEXT NOT NULL) WITHOUT ROWID",
    "CREATE TABLE belief (number INTEGER PRIMARY KEY, model TEXT NOT NULL, line BLOB NOT NULL)",
    "CREATE INDEX belief_model ON belief (model, number)",
)


class Aside:
    """Names that memories have here, and the lines of beliefs, which make sense only together.

    Args:
        connection: Of an empty database.

    Raises:
        MemoryStoreError: by what it keeps or is opened with, if there is no space for it.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        with _space():
            for statement in _TABLES:
                connection.execute(statement)

    @classmethod
    @contextlib.contextmanager
    def opened(cls) -> "Generator[Aside]":
        """One that is gone afterwards."""
        # An empty name is a file of SQLite's own, which it deletes.
        with _space():
            connection = sqlite3.connect("", isolation_level=None)
        with contextlib.closing(connection):
            yield cls(connection)

    def rename(self, named: Mapping[str, str]) -> None:
        """Keep what memories of the export are called here."""
        with _space():
            self._connection.executemany("INSERT OR REPLACE INTO renamed VALUES (?, ?)", list(named.items()))

    def named(self, memory_id: str) -> str | None:
        """What a memory of the export is called here, if that was kept."""
        row = self._connection.execute("SELECT own FROM renamed WHERE id = ?", (memory_id,)).fetchone()
        return None if row is None else str(row[0])

    def put(self, lines: Iterable[tuple[int, str, bytes]]) -> None:
        """Keep lines of beliefs: their number in the export, the id of the mental model, and the line."""
        with _space():
            self._connection.executemany("INSERT INTO belief VALUES (?, ?, ?)", list(lines))

    def models(self) -> Iterator[str]:
        """Ids of the mental models that lines were kept for, in the order of their first lines."""
        query = "SELECT model FROM belief GROUP BY model ORDER BY min(number)"
        with _space():
            found = self._connection.execute(query).fetchall()
        yield from (str(row[0]) for row in found)

    def lines(self, model_id: str) -> list[tuple[int, bytes]]:
        """The lines of a mental model, with their numbers."""
        return self._connection.execute(
            "SELECT number, line FROM belief WHERE model = ? ORDER BY number", (model_id,)
        ).fetchall()


@contextlib.contextmanager
def _space() -> "Generator[None]":
    try:
        yield
    except sqlite3.OperationalError as error:
        raise MemoryStoreError(
            f"What the import must remember can't be kept in the folder for temporary files ({error}); make space "
            "there, or set SQLITE_TMPDIR to a folder that has some. Importing again stores nothing twice."
        ) from error
