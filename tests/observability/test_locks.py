"""A trace store that is open keeps its locks, however often this process opens it again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from observability.schema import open_to_read, open_to_write

WRITER = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], timeout=0.1, isolation_level=None)
try:
    other.execute("PRAGMA locking_mode=EXCLUSIVE")
    other.execute("PRAGMA journal_mode=DELETE")
    print("took it")
except sqlite3.OperationalError as error:
    print(error)
"""


def test_opening_it_again_lets_no_other_process_take_the_log_away(tmp_path: Path):
    path = tmp_path / "trace.db"
    first = open_to_write(path)
    first.execute("SELECT count(*) FROM span").fetchone()
    open_to_write(path).close()
    open_to_read(path).close()
    done = subprocess.run([sys.executable, "-c", WRITER, str(path)], capture_output=True, text=True, check=True)
    first.close()
    assert "locked" in done.stdout
