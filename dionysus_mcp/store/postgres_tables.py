"""What a store in PostgreSQL has beside the tables of `schema`: the text index, indexes of its own, triggers."""

from sqlalchemy import Connection, text

from dionysus_mcp.store import postgres_words

# Half precision, as SQLite's. Of one model, as only vectors of one length can be in one index; it names no model, so
# that a successor of the same length is in it as well. Vectors are of length one: their inner product is the cosine.
DIMENSION = 384
INDEXES = (
    f"CREATE INDEX vector_nearest ON vector USING hnsw ((vector::halfvec({DIMENSION})) halfvec_ip_ops) "
    f"WITH (m = 16, ef_construction = 64) WHERE dimension = {DIMENSION}",
    # What stands beside a memory: those before and after it in its session, or in the document that it comes from.
    "CREATE INDEX memory_thread ON memory (tenant, project, (coalesce(session_id, origin)), seq)",
    # The latest ones, and whether there is a newer one than was seen.
    "CREATE INDEX memory_scope ON memory (tenant, project, seq)",
)


# As SQLite's: what ended is told in a table of its own, also when it is gone.
CLOSURES = (
    "CREATE FUNCTION memory_close() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN INSERT INTO closure (memory_seq) VALUES (old.seq); RETURN NULL; END $$",
    "CREATE TRIGGER memory_closed AFTER UPDATE OF recorded_to ON memory FOR EACH ROW "
    "WHEN (old.recorded_to IS NULL AND new.recorded_to IS NOT NULL) EXECUTE FUNCTION memory_close()",
    "CREATE TRIGGER memory_purged AFTER DELETE ON memory FOR EACH ROW WHEN (old.recorded_to IS NULL) "
    "EXECUTE FUNCTION memory_close()",
)
NAMES = ("memory_words", "memory_words_stems", "vector_nearest", "memory_thread", "memory_scope")
"""Of all of these."""


def create(connection: Connection) -> None:
    """Make all of it, in a store that has its tables."""
    for statement in (*postgres_words.TABLES, *INDEXES, *CLOSURES):
        connection.execute(text(statement))
