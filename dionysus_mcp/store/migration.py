"""From the tables of earlier versions to those of `schema`, within the transaction that opens a store."""

from sqlalchemy import Connection, text

from dionysus_mcp.store import schema


def migrate(connection: Connection, version: int) -> None:
    """Bring the tables up from a version; what was remembered stays as it was."""
    if version < 3:
        _describe_anew(connection)
    if version < 4:
        _keep_versions(connection)
    if version < 5:
        from dionysus_mcp.consolidation.tables import TABLES

        schema.metadata.create_all(connection, tables=TABLES)


def _describe_anew(connection: Connection) -> None:
    """What recall knows of a memory changed its form; it is worked out again in the background."""
    schema.vector.drop(connection)
    schema.metadata.create_all(connection, tables=[schema.vector, schema.passage])


def _keep_versions(connection: Connection) -> None:
    for name in ("lineage", "ending", "ending_reason"):
        column = schema.memory.c[name]
        connection.execute(text(f"ALTER TABLE memory ADD COLUMN {name} {column.type.compile(connection.dialect)}"))
    next(each for each in schema.memory.indexes if each.name == "memory_lineage").create(connection)
    # A foreign key can't be dropped, so the table is made anew. Its numbers stay: caches know how far they have read.
    connection.execute(text("DROP TRIGGER memory_closed"))
    connection.execute(text("ALTER TABLE closure RENAME TO closure_3"))
    schema.closure.create(connection)
    connection.execute(text("INSERT INTO closure (seq, memory_seq) SELECT seq, memory_seq FROM closure_3"))
    connection.execute(text("DROP TABLE closure_3"))
    for statement in schema.CLOSURES:
        connection.execute(statement)
