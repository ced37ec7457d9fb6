"""All tables of a store: those of `schema`, and those that other parts of the package keep in it."""

from importlib import import_module

from sqlalchemy import MetaData

from dionysus_mcp.store import schema

# By name, since these modules build on `schema`: importing them here would make a circle of packages.
PARTS = ("dionysus_mcp.recall.tables", "dionysus_mcp.graph.tables", "dionysus_mcp.consolidation.tables")


def all_tables() -> MetaData:
    """The one metadata, with the tables of every part declared on it."""
    for part in PARTS:
        import_module(part)
    return schema.metadata
