"""Is this address a store that we can open? Asked before anything is imported, started or touched.

Needs the standard library alone, so that the server can refuse a wrong database at once, in one line.
"""

import os
import sqlite3
from importlib.util import find_spec
from pathlib import Path

from dionysus_mcp.errors import MemoryStoreError

APPLICATION_ID = 0x44494F4D
"""In the header of every memory store: "DIOM"."""
SCHEMA_VERSION = 5

_NAMES = {
    "mysql": "MySQL",
    "mariadb": "MariaDB",
    "oracle": "Oracle",
    "mssql": "SQL Server",
    "neo4j": "Neo4j",
    "bolt": "Neo4j",
}


def is_postgres(url: str) -> bool:
    """Whether this is the address of a PostgreSQL database."""
    return _dialect(url) in ("postgresql", "postgres")


def shown(url: str) -> str:
    """An address as it may be shown: without user, password and parameters, which may hold a password too."""
    if not is_postgres(url):
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def examine(url: str) -> None:
    """Refuse an address that is no store's, or a file that is none; connects to nothing.

    Raises:
        MemoryStoreError: saying what is wrong; passwords are never repeated.
    """
    if is_postgres(url):
        require_driver()
    else:
        is_new(database_path(url))


def require_driver() -> None:
    """See that PostgreSQL's driver is installed.

    Raises:
        MemoryStoreError: saying how to install it.
    """
    if find_spec("psycopg") is None:
        raise MemoryStoreError(
            "A memory store in PostgreSQL needs the driver psycopg, which is not installed; install it with "
            "`pip install 'dionysus-mind[postgres]'`, or use sqlite:///FILE."
        )


def database_path(url: str) -> Path:
    """The file of a `sqlite:///FILE` address.

    Raises:
        MemoryStoreError: for any other address; passwords are never repeated.
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise MemoryStoreError(
            f"{url.rpartition('@')[2]!r} is not the address of a memory store; give it as sqlite:///FILE or "
            "postgresql://USER:PASSWORD@HOST/DATABASE."
        )
    if _dialect(url) != "sqlite":
        name = _NAMES.get(_dialect(url), _dialect(url))
        raise MemoryStoreError(
            f"{name} is not supported as a memory store (the address starts with {scheme}://); use sqlite:///FILE or "
            "postgresql://…, in the setting memory.url or in DATABASE_URL."
        )
    file = rest.partition("?")[0].removeprefix("/")
    if not rest.startswith("/") or not file or file == ":memory:":
        raise MemoryStoreError(
            f"{url!r} names no file, and memory must outlive a process; give it as sqlite:///FILE "
            "(four slashes for an absolute path)."
        )
    return Path(file).expanduser()


def _dialect(url: str) -> str:
    return url.partition("://")[0].partition("+")[0].lower()


def is_new(path: Path) -> bool:
    """Whether a store must still be made here; leaves the file as it is in every case.

    Raises:
        MemoryStoreError: if the file is something else, or a store of a newer version.
    """
    try:
        if not path.exists() or (path.is_file() and path.stat().st_size == 0):
            return True
        return _empty_or_ours(path)  # asked of SQLite: a descriptor of ours would drop the locks of an open store
    except (OSError, sqlite3.Error) as error:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            raise MemoryStoreError(
                f"{path} is not a SQLite database; choose another file for the memory store."
            ) from error
        if _lacks_log(error) and path.is_file() and not os.access(path.parent, os.W_OK):
            raise MemoryStoreError(
                f"The memory store {path} can't be read: nothing may be written into its folder, where SQLite keeps a "
                "log beside the file, also for who only reads. Get the rights, or copy it to a folder that is not "
                "read-only."
            ) from error
        raise MemoryStoreError(
            f"The memory store {path} can't be read: {error}. Check the path, its rights and whether it is damaged."
        ) from error


def _lacks_log(error: Exception) -> bool:
    """Whether SQLite couldn't open or write something, rather than that it dislikes what it read."""
    code = getattr(error, "sqlite_errorcode", None)  # of which the lower byte is the kind
    return code is not None and code & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY)


def _empty_or_ours(path: Path) -> bool:
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        connection.close()
    check_identity(path, application, version, tables)
    return application == 0


def check_identity(path: Path, application: int, version: int, tables: int) -> None:
    """Refuse a database that is not ours, or newer than this code.

    Raises:
        MemoryStoreError: saying which, and what to do.
    """
    if application == 0 and version == 0 and tables == 0:
        return
    if application != APPLICATION_ID:
        raise MemoryStoreError(
            f"{path} is a SQLite database of another application, not a memory store; it was left as it is. "
            "Choose another file, or a new one."
        )
    if version > SCHEMA_VERSION:
        raise MemoryStoreError(
            f"{path} was written by a newer version (schema {version}, this version knows {SCHEMA_VERSION}); it was "
            "left as it is. Update Dionysus, or choose another file."
        )
