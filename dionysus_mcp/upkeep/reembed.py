"""Giving vectors of the current model to what has none of it, after the model has changed or was missing.

Servers do it in the background too; both may be at it at once, and each batch is stored as it comes.
"""

from collections.abc import Callable

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, delete, func, select

from dionysus_mcp.embedding import DIMENSION, MODEL_ID, MiniLm
from dionysus_mcp.recall.embedder import embed_missing
from dionysus_mcp.recall.tables import piece
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.store.vectors import Vectors

_BATCH = 64
vector, passage, memory = schema.vector, schema.passage, schema.memory


class ReembedSummary(BaseModel):
    """What was done.

    Attributes:
        model: Of the vectors that there are now.
        embedded: Memories that got one.
        dropped: Vectors of other models that were deleted, as nothing reads them any more.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    embedded: int
    dropped: int


def reembed(store: Store, settings: MemorySettings, progress: Callable[[int, int], None]) -> ReembedSummary:
    """Embed what lacks a vector of the model, then drop the scope's vectors of other models.

    Args:
        store: Which one.
        settings: How many threads the model has.
        progress: Told how many of how many memories are embedded.

    Raises:
        EmbedderError: if there is no model.
        MemoryStoreError: if the store can't be written.
    """
    vectors = Vectors(store, MODEL_ID, DIMENSION)
    total, done = vectors.count_missing(), 0
    progress(0, total)
    if total:
        model, stemmer = MiniLm.load(settings.embedder_threads), Stemmer()
        while count := embed_missing(vectors, model, _BATCH, stemmer):
            done += count
            progress(done, max(total, done))
        stemmer.close()
    return ReembedSummary(model=MODEL_ID, embedded=done, dropped=_drop_others(store))


def _drop_others(store: Store) -> int:
    mine = select(memory.c.seq).where(owned(memory, store.scope))

    def work(connection: Connection) -> int:
        for table in (passage, piece):
            connection.execute(delete(table).where(table.c.model != MODEL_ID, table.c.memory_seq.in_(mine)))
        dropped = connection.execute(
            select(func.count()).select_from(vector).where(vector.c.model != MODEL_ID, vector.c.memory_seq.in_(mine))
        ).scalar_one()
        connection.execute(delete(vector).where(vector.c.model != MODEL_ID, vector.c.memory_seq.in_(mine)))
        return dropped

    return store.write(work)
