"""Reading and writing a store of one scope, whichever database keeps it.

Everything that is stored goes through `Store.read` and `Store.write`. What differs between the databases is in `sqlite`
and `postgres`; a third of their kind would be a third `Database`.
"""

import contextlib
import random
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

from sqlalchemy import Connection, exc

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.scope import Scope
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.preflight import is_postgres

if TYPE_CHECKING:
    from dionysus_mcp.store.postgres import PostgresDatabase
    from dionysus_mcp.store.sqlite import SqliteDatabase

T = TypeVar("T")


class Database(Protocol):
    """What a store needs of a database.

    Attributes:
        attempts: Tries of one write.
        pause: Seconds that the first pause between them lasts at most, and half of that at least; each is twice as long
            as the one before.
        name: The file, or the host and database, without a password.
    """

    name: str
    attempts: int
    pause: float

    def reading(self) -> AbstractContextManager[Connection]:
        """A transaction that sees one state and writes nothing."""
        ...

    def writing(self, scope: Scope, *, alone: bool) -> AbstractContextManager[Connection]:
        """A transaction that may write; with `alone` nobody else writes to the same tenant's project meanwhile."""
        ...

    def may_pass(self, error: exc.DBAPIError) -> bool:
        """Whether the same write may come through when it is tried again."""
        ...

    def explained(self, error: exc.DBAPIError) -> MemoryStoreError:
        """What happened, where, and what to do."""
        ...

    def size(self) -> int:
        """Bytes that it takes."""
        ...

    def close(self) -> None:
        """Let go of it."""
        ...


class Store:
    """An open memory store. Thread-safe; several processes may have the same one open.

    Args:
        settings: The address, the scope, and how long to wait for another process's write.
        make: Whether to make a store where there is none.
        sleep: Lets so many seconds pass between two tries of a write.

    Attributes:
        scope: Whose memories it reads and writes.
        in_postgres: Whether PostgreSQL keeps it; otherwise a SQLite file does.

    Raises:
        MemoryStoreError: if the address is no store's, its database can't be reached, is not ours or newer, or the
            scope has an empty name.
        NoStoreYet: if there is none, and none is to be made.
    """

    def __init__(
        self, settings: MemorySettings, *, make: bool = True, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self._sleep = sleep
        self.scope = Scope.of(settings)
        if not (settings.tenant and settings.project):
            raise MemoryStoreError("A scope has a tenant and a project, and one of them is empty; name it.")
        self.in_postgres = is_postgres(settings.url)
        self._database = _database(settings, make=make)

    @property
    def name(self) -> str:
        """Where it is, as it may be shown: the file, or the host and database."""
        return self._database.name

    @property
    def sqlite(self) -> "SqliteDatabase":
        """The file and what SQLite does with it as a whole; only where a file is the store."""
        from dionysus_mcp.store.sqlite import SqliteDatabase

        if not isinstance(self._database, SqliteDatabase):
            raise TypeError("this store is no file")
        return self._database

    @property
    def postgres(self) -> "PostgresDatabase":
        """The server and what PostgreSQL does with tables as a whole; only where it keeps the store."""
        from dionysus_mcp.store.postgres import PostgresDatabase

        if not isinstance(self._database, PostgresDatabase):
            raise TypeError("this store is not in PostgreSQL")
        return self._database

    @property
    def path(self) -> Path:
        """The file, where one is the store."""
        return self.sqlite.path

    @contextlib.contextmanager
    def read(self) -> Generator[Connection]:
        """A transaction that reads one state of the store, whatever others write meanwhile.

        Raises:
            MemoryStoreError: if the database refuses, or can't be reached.
        """
        try:
            with self._database.reading() as connection:
                yield connection
        except exc.DBAPIError as error:
            raise self._database.explained(error) from error
        except UnicodeEncodeError as error:
            raise _no_text(error) from error

    def write(self, work: Callable[[Connection], T], *, alone: bool = True) -> T:
        """Run `work` in a transaction that may write; all of it is stored, or nothing.

        `work` may run more than once, when others hold a lock for long or the connection is lost, so it must do nothing
        else. A connection may be lost after all was stored, so its second run must find that and change nothing.

        Args:
            work: What reads and writes.
            alone: Whether what it reads must stay as it is until it has written. Without, it must be right whatever
                others write to the same tables meanwhile. SQLite has one writer in any case.

        Raises:
            MemoryStoreError: if the database can't be written: locked for a minute, out of reach, read-only, full.
        """
        for attempt in range(self._database.attempts):
            try:
                with self._database.writing(self.scope, alone=alone) as connection:
                    return work(connection)
            except exc.DBAPIError as error:
                if attempt == self._database.attempts - 1 or not self._database.may_pass(error):
                    raise self._database.explained(error) from error
            except UnicodeEncodeError as error:
                raise _no_text(error) from error
            # Jitter: writers that were refused together must not come back together. Of half the pause alone, or all
            # tries could be used up before a server that is started anew is back.
            self._sleep(random.uniform(0.5, 1.0) * self._database.pause * 2**attempt)  # noqa: S311 -- no secret
        raise AssertionError("unreachable")  # pragma: no cover

    def size(self) -> int:
        """Bytes that it takes, with the scopes of others."""
        return self._database.size()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()


def _database(settings: MemorySettings, *, make: bool) -> Database:
    if is_postgres(settings.url):
        from dionysus_mcp.store.postgres import PostgresDatabase

        return PostgresDatabase(settings, make=make)
    from dionysus_mcp.store.sqlite import SqliteDatabase

    return SqliteDatabase(settings, make=make)


def _no_text(error: UnicodeEncodeError) -> MemoryStoreError:
    return MemoryStoreError(
        f"A text holds half of a surrogate pair, which is no character; remove it. ({error.reason})"
    )
