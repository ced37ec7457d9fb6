"""How the tables came to be what they are: one revision a schema version, run by `store.migration` through alembic."""
