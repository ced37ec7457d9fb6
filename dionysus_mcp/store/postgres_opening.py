"""Opening a store in PostgreSQL: are there tables, of which version, and does pgvector fit them?"""

from sqlalchemy import Connection, exc, text

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.store import postgres_tables
from dionysus_mcp.store.migration import create, upgrade
from dionysus_mcp.store.postgres_errors import SCHEMA, reason
from dionysus_mcp.store.preflight import SCHEMA_VERSION

PGVECTOR = (0, 8)
"""The first version of pgvector that goes on searching when a filter leaves too few."""
# pgvector may have been installed where everybody finds it, or in a schema of extensions.
SEARCHED = (SCHEMA, "public", "extensions")
"""Schemas in which names are looked up."""


def version_of(connection: Connection, name: str) -> int | None:
    """The version of the tables; None where there are none.

    Args:
        connection: To the database.
        name: How the database is called in errors.

    Raises:
        MemoryStoreError: if they are newer or not ours, or pgvector doesn't fit them.
    """
    if connection.execute(text(f"SELECT to_regclass('{SCHEMA}.alembic_version')")).scalar() is None:
        if connection.execute(text(f"SELECT to_regclass('{SCHEMA}.memory')")).scalar() is not None:
            raise MemoryStoreError(
                f"The schema {SCHEMA!r} in PostgreSQL on {name} holds tables of another application; it was left as it "
                "is. Choose another database."
            )
        return None
    version = connection.execute(text(f"TABLE {SCHEMA}.alembic_version")).scalar_one()
    if int(version) > SCHEMA_VERSION:
        raise MemoryStoreError(
            f"The memory store in PostgreSQL on {name} was written by a newer version (schema {version}, this version "
            f"knows {SCHEMA_VERSION}); it was left as it is. Update Dionysus, or choose another database."
        )
    _check_pgvector(connection, name)
    return int(version)


def prepare(connection: Connection, name: str) -> None:
    """Make the tables where there are none, and bring up older ones; in a transaction that nobody else has beside it.

    Raises:
        MemoryStoreError: as `version_of`, or if the user may not make what is missing.
    """
    version = version_of(connection, name)
    if version is None:
        _make_schema(connection, name)
        _make_pgvector(connection, name)
        _check_pgvector(connection, name)
        create(connection)
        postgres_tables.create(connection)
    elif version < SCHEMA_VERSION:
        upgrade(connection, version)


def _make_schema(connection: Connection, name: str) -> None:
    # Asked first: where an administrator has made the schema, the user need not be allowed to make one.
    if connection.execute(text(f"SELECT to_regnamespace('{SCHEMA}')")).scalar() is not None:
        return
    try:
        with connection.begin_nested():
            connection.execute(text(f"CREATE SCHEMA {SCHEMA}"))
    except exc.DBAPIError as error:
        user = connection.execute(text("SELECT quote_ident(current_user)")).scalar_one()
        raise MemoryStoreError(
            f"The memory store in PostgreSQL on {name} needs a schema of its own, which could not be made there: "
            f"{reason(error)}. Have the administrator run CREATE SCHEMA {SCHEMA} AUTHORIZATION {user} in this database."
        ) from error


def _make_pgvector(connection: Connection, name: str) -> None:
    if connection.execute(text("SELECT 1 FROM pg_extension WHERE extname = 'vector'")).first() is not None:
        return
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION vector SCHEMA public"))
    except exc.DBAPIError as error:
        raise MemoryStoreError(
            f"The memory store in PostgreSQL on {name} needs the extension pgvector, which could not be made there: "
            f"{reason(error)}. Install pgvector on the server, and have its administrator run CREATE EXTENSION vector "
            "in this database."
        ) from error


def _check_pgvector(connection: Connection, name: str) -> None:
    installed = text(
        "SELECT extversion, nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = extnamespace "
        "WHERE extname = 'vector'"
    )
    found = connection.execute(installed).one_or_none()
    if found is None:
        raise MemoryStoreError(
            f"The memory store in PostgreSQL on {name} has lost the extension pgvector, and all vectors with it; bring "
            "back a backup of the database."
        )
    version, schema = found
    needed = ".".join(map(str, PGVECTOR))
    if tuple(int(part) for part in version.split(".")[:2]) < PGVECTOR:
        raise MemoryStoreError(
            f"pgvector {version} in PostgreSQL on {name} is too old; {needed} or later is needed. "
            "Install it on the server, and have its administrator run ALTER EXTENSION vector UPDATE in this database."
        )
    if schema not in SEARCHED:
        raise MemoryStoreError(
            f"pgvector in PostgreSQL on {name} lies in the schema {schema!r}, where it is not looked for. Have the "
            "administrator run ALTER EXTENSION vector SET SCHEMA public in this database."
        )
