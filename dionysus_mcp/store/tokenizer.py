"""Words and stems by SQLite's own tokenizer, so that they are the very ones of its text index, in every database."""

import sqlite3
import threading
from collections.abc import Sequence

TOKENIZER = "porter unicode61 remove_diacritics 2"


class Tokenizer:
    """Stems of texts, by a database of its own in memory. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._connection.execute(f"CREATE VIRTUAL TABLE w USING fts5(x, tokenize='{TOKENIZER}')")
        self._connection.execute("CREATE VIRTUAL TABLE v USING fts5vocab(w, instance)")

    def stems(self, texts: Sequence[str]) -> list[list[str]]:
        """The stems of each text, in their order."""
        with self._lock:
            # One transaction, never committed: each text in one of its own takes fifty times as long.
            self._connection.execute("BEGIN")
            try:
                self._connection.executemany("INSERT INTO w(rowid, x) VALUES (?, ?)", enumerate(texts))
                found = self._connection.execute("SELECT doc, term FROM v ORDER BY doc, offset").fetchall()
            finally:
                self._connection.execute("ROLLBACK")
        by_text: list[list[str]] = [[] for _ in texts]
        for number, stem in found:
            by_text[number].append(stem)
        return by_text

    def close(self) -> None:
        """Free the database."""
        with self._lock:
            self._connection.close()
