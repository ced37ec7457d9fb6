"""Making the tables of a store, and bringing older ones up, within the transaction that opens it.

A new store gets the tables as they are declared; an older one goes through the revisions in `migrations`. Alembic is
imported for that alone: a store of this version, and a new one, open without it.
"""

import threading
from pathlib import Path

from sqlalchemy import Connection, text

from dionysus_mcp.store.preflight import SCHEMA_VERSION
from dionysus_mcp.store.tables import all_tables

FOLDER = Path(__file__).with_name("migrations")
_FIRST = 2
"""The revision that the first stores are taken for; both of them go on alike."""
_one_at_a_time = threading.Lock()
"""Alembic's `op` is one for the whole process."""


def create(connection: Connection) -> None:
    """Make all tables of this version, and note it."""
    # Not asked first: elsewhere on PostgreSQL's search path another application may have tables of the same names.
    all_tables().create_all(connection, checkfirst=False)
    _stamp(connection, SCHEMA_VERSION)


def upgrade(connection: Connection, version: int) -> None:
    """Bring the tables up from a version; what was remembered stays as it was.

    Args:
        connection: In the transaction of whoever opens the store, which holds off others who would do the same.
        version: Of the store, older than `SCHEMA_VERSION`.
    """
    from alembic import command
    from alembic.config import Config

    _stamp(connection, max(version, _FIRST))
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with _one_at_a_time:
        command.upgrade(config, str(SCHEMA_VERSION))


def _stamp(connection: Connection, version: int) -> None:
    """Note the version where alembic looks for it."""
    connection.execute(
        text(
            "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL, "
            "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
        )
    )
    connection.execute(text("DELETE FROM alembic_version"))
    connection.execute(text("INSERT INTO alembic_version (version_num) VALUES (:version)"), {"version": str(version)})
