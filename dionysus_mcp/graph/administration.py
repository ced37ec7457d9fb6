"""The graph as `dionysus memory graph` works on it: on the store itself, beside running servers."""

import contextlib
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Literal

from dionysus_mcp.admin import Progress, opened
from dionysus_mcp.graph import upkeep
from dionysus_mcp.graph.exploring import Asked
from dionysus_mcp.graph.records import Exploration
from dionysus_mcp.graph.upkeep import GraphStats, RebuildSummary
from dionysus_mcp.graph.worker import GraphWorker
from dionysus_mcp.settings import MemorySettings

if TYPE_CHECKING:
    from dionysus_mcp.store.access import Store

Report = Callable[[Progress], None] | None


def explore(settings: MemorySettings, asked: Asked, token_budget: int, report: Report) -> Exploration:
    """What surrounds an entity or a memory, after what nobody has read yet was read.

    Raises:
        MemoryStoreError: if there is no store, it can't be read or written, or the memory is unknown.
    """
    with _working(settings) as (_, worker):
        _caught_up(worker, settings, report)
        worker.sync_once()
        return worker.explore(asked, token_budget)


def stats(settings: MemorySettings) -> GraphStats:
    """How large the graph is, and what waits.

    Raises:
        MemoryStoreError: if there is no store, or it can't be read.
    """
    with _working(settings) as (store, worker):
        return upkeep.stats(store, worker)


def rebuild(settings: MemorySettings, report: Report, *, reread: bool) -> RebuildSummary:
    """Make Neo4j's graph anew, and with `reread` the store's before.

    Raises:
        GraphUnavailable: if Neo4j doesn't answer.
        MemoryStoreError: if there is no store, or it can't be written.
    """
    with _working(settings) as (store, worker):
        return upkeep.rebuild(store, worker, _steps(report, "reading"), reread=reread)


def sync(settings: MemorySettings, report: Report) -> int:
    """Tell Neo4j what waits for it; returns how many changes that were.

    Raises:
        GraphUnavailable: if Neo4j doesn't answer.
        MemoryStoreError: if there is no store, or it can't be written.
    """
    with _working(settings) as (_, worker):
        _caught_up(worker, settings, report)
        told = 0
        while worker.mirror is not None and (count := worker.mirror.deliver()):
            told += count
            _steps(report, "writing")(told, told + worker.mirror.waiting())
        return told


def _caught_up(worker: GraphWorker, settings: MemorySettings, report: Report) -> None:
    if settings.graph == "none":
        return
    done, total = 0, worker.reader.unread()
    while count := worker.reader.read_some():
        done += count
        _steps(report, "reading")(done, max(total, done))


def _steps(report: Report, what: Literal["reading", "writing"]) -> Callable[[int, int], None]:
    return lambda done, total: None if report is None else report(Progress(what, done, total))


@contextlib.contextmanager
def _working(settings: MemorySettings) -> "Generator[tuple[Store, GraphWorker]]":
    with opened(settings) as store:
        worker = GraphWorker(store, settings)
        try:
            yield store, worker
        finally:
            worker.close()
