"""Looking after the graph: how much there is, whether Neo4j has the same, and making all of it anew.

Safe beside running servers: whatever is left half done, they finish.
"""

from collections.abc import Callable, Sequence

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection, and_, delete, select

from dionysus_mcp.errors import GraphUnavailable
from dionysus_mcp.graph import outbox
from dionysus_mcp.graph.records import GraphStats
from dionysus_mcp.graph.sql import SqlGraph
from dionysus_mcp.graph.tables import mention, relation, seen
from dionysus_mcp.graph.worker import GraphWorker
from dionysus_mcp.graph.writing import TOLD, sweep
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store import schema
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.scoping import owned
from dionysus_mcp.upkeep.verify import Check

memory = schema.memory
_BATCH = 500

Progress = Callable[[int, int], None]


class RebuildSummary(BaseModel):
    """What was made anew.

    Attributes:
        read: Memories that were read again.
        told: Changes that Neo4j was told of.
    """

    model_config = ConfigDict(frozen=True)

    read: int = 0
    told: int = 0


def stats(store: Store, worker: GraphWorker) -> GraphStats:
    """Count the graph, in the store and in its mirror."""
    counts = SqlGraph(store).counts()
    with store.read() as connection:
        waiting = outbox.waiting(connection, store.scope)
    found = GraphStats(
        entities=counts.entities,
        mentions=counts.mentions,
        relations=counts.relations,
        unread=worker.reader.unread(),
        waiting=waiting,
    )
    try:
        mirrored = worker.mirrored()
    except GraphUnavailable as error:
        return found.model_copy(update={"notice": str(error)})
    if mirrored is None:
        return found
    told = {"entities": mirrored.entities, "mentions": mirrored.mentions, "relations": mirrored.relations}
    return found.model_copy(update={"neo4j": told})


def counted_graph(store: Store, settings: MemorySettings) -> GraphStats:
    """The same for whoever has no worker."""
    worker = GraphWorker(store, settings)
    try:
        return stats(store, worker)
    finally:
        worker.close()


def mirror_check(store: Store, settings: MemorySettings) -> Check | None:
    """Whether Neo4j has as much as the store, if it was told of all; None where it can't be asked."""
    found = counted_graph(store, settings) if settings.graph_url else None
    if found is None or found.neo4j is None:
        return None
    if not found.differs:
        return Check(name="neo4j")
    own = {name: getattr(found, name) for name in found.neo4j}
    return Check(
        name="neo4j",
        problems=1,
        detail=f"it has {found.neo4j}, and the store has {own}",
        advice="`dionysus memory graph rebuild` makes Neo4j's graph anew.",
    )


def rebuild(store: Store, worker: GraphWorker, progress: Progress, *, reread: bool = False) -> RebuildSummary:
    """Make Neo4j's graph anew from the store's; with `reread`, that one from the memories first.

    What somebody told stays, and so does what was ended.

    Args:
        store: Whose project.
        worker: Its worker.
        progress: Told how many of how many memories are read, and then how many changes told.
        reread: Also read all memories again.

    Raises:
        GraphUnavailable: if Neo4j doesn't answer.
    """
    if reread:
        _unread(store)
    read, total = 0, worker.reader.unread()
    while count := worker.reader.read_some():
        read += count
        progress(read, max(total, read))
    told = 0 if worker.mirror is None else worker.mirror.rebuild(progress)
    return RebuildSummary(read=read, told=told)


def _unread(store: Store) -> None:
    """Take back what was read of the scope's own memories, in batches; servers may be reading them again meanwhile."""
    with store.read() as connection:
        seqs = connection.execute(select(memory.c.seq).where(owned(memory, store.scope))).scalars().all()
    for start in range(0, len(seqs), _BATCH):
        part = seqs[start : start + _BATCH]
        store.write(lambda connection, part=part: _take_back(connection, part))
    store.write(lambda connection: sweep(connection, store.scope))


def _take_back(connection: Connection, seqs: Sequence[int]) -> None:
    found = and_(relation.c.memory_seq.in_(seqs), relation.c.extractor != TOLD, relation.c.recorded_to.is_(None))
    connection.execute(delete(relation).where(found))
    connection.execute(delete(mention).where(mention.c.memory_seq.in_(seqs)))
    connection.execute(delete(seen).where(seen.c.memory_seq.in_(seqs)))
