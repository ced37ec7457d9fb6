"""Everything behind the server's tools, opened in the background: the server can answer the handshake at once."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.settings import MemorySettings

if TYPE_CHECKING:
    from dionysus_mcp.beliefs.models import MentalModels
    from dionysus_mcp.beliefs.predictions import Predictions
    from dionysus_mcp.consolidation.recalled import RecallCounts
    from dionysus_mcp.embedding import MiniLm
    from dionysus_mcp.graph.worker import GraphWorker
    from dionysus_mcp.recall.embedder import BackgroundEmbedder
    from dionysus_mcp.recall.rerank import Reranker
    from dionysus_mcp.recall.search import Search
    from dionysus_mcp.store.access import Store
    from dionysus_mcp.store.memories import Memories
    from dionysus_mcp.store.versions import Versions


@dataclass(frozen=True, slots=True)
class Service:
    """One scope of a store, and what works on it. Thread-safe, as each part is."""

    settings: MemorySettings
    store: "Store"
    memories: "Memories"
    versions: "Versions"
    models: "MentalModels"
    predictions: "Predictions"
    embedder: "BackgroundEmbedder"
    search: "Search"
    graph: "GraphWorker"
    recalls: "RecallCounts"

    @classmethod
    def open(cls, settings: MemorySettings, load: "Callable[[int], MiniLm] | None" = None) -> "Service":
        """Open the store and begin to load the embedder.

        Args:
            settings: Of the memory; they name the scope.
            load: Gives the model for a number of threads; None loads one of its own.

        Raises:
            MemoryStoreError: if the store can't be opened.
        """
        from dionysus_mcp.beliefs.models import MentalModels
        from dionysus_mcp.beliefs.predictions import Predictions
        from dionysus_mcp.consolidation.recalled import RecallCounts
        from dionysus_mcp.consolidation.shadows import shadowed
        from dionysus_mcp.graph.worker import GraphWorker
        from dionysus_mcp.recall.embedder import BackgroundEmbedder
        from dionysus_mcp.recall.search import Search
        from dionysus_mcp.store.access import Store
        from dionysus_mcp.store.memories import Memories
        from dionysus_mcp.store.versions import Versions

        store = Store(settings)
        embedder = BackgroundEmbedder(store, settings, load)
        embedder.start()
        graph = GraphWorker(store, settings)
        graph.start()
        search = Search(store, embedder, shadowed, reranker=_reranker(settings))
        recalls = RecallCounts(store)
        if settings.count_recalls:
            recalls.start()
        return cls(
            settings=settings,
            store=store,
            memories=Memories(store),
            versions=Versions(store),
            models=MentalModels(store),
            predictions=Predictions(store),
            embedder=embedder,
            search=search,
            graph=graph,
            recalls=recalls,
        )

    def close(self) -> None:
        """Stop what works in the background and let go of the store; what was stored is on disk already."""
        self.embedder.close()
        self.graph.close()
        self.recalls.close()
        self.search.close()
        self.store.close()


def _reranker(settings: MemorySettings) -> "Reranker | None":
    if settings.rerank_model is None:
        return None
    from dionysus_mcp.recall.rerank import Reranker

    reranker = Reranker(settings.rerank_model, settings)
    reranker.warm()
    return reranker


class Closing(Protocol):
    """A part that can be closed, more than once."""

    def close(self) -> None:
        """End."""
        ...


class Opening:
    """A service that is being opened by a thread; whoever needs it waits for it.

    Args:
        settings: Of the memory.
        failed: Called, in that thread, with the error if it can't be opened.
    """

    def __init__(self, settings: MemorySettings, failed: Callable[[MemoryStoreError], None]) -> None:
        self._settings = settings
        self._failed = failed
        self._opened: Future[Service] = Future()
        self._models: dict[int, MiniLm] = {}
        self._loading = threading.Lock()
        self._starting = threading.Lock()
        self._beside: list[Closing] = []
        self._thread = threading.Thread(target=self._open, name="opening", daemon=True)

    def closes(self, part: "Closing") -> None:
        """Close a part that works on the service before the service itself."""
        self._beside.append(part)

    def close_beside(self) -> None:
        """Close those parts."""
        for part in self._beside:
            part.close()

    def start(self) -> None:
        """Begin, unless it has begun."""
        with self._starting:
            if self._thread.ident is None:
                self._thread.start()

    def service(self) -> Service:
        """The service, waited for.

        Raises:
            MemoryStoreError: if it could not be opened.
        """
        self.start()
        return self._opened.result()

    def model(self, threads: int) -> "MiniLm":
        """The embedding model for a number of threads, loaded once, for all services of this process."""
        from dionysus_mcp.embedding import MiniLm

        with self._loading:
            if threads not in self._models:
                self._models[threads] = MiniLm.load(threads)
            return self._models[threads]

    def reason(self) -> str | None:
        """Why there is no service yet, or never will be; None when it is there."""
        if not self._opened.done():
            return "the store is being opened"
        error = self._opened.exception()
        return None if error is None else str(error)

    def close(self) -> None:
        """Close the service if it was opened."""
        self.close_beside()
        if self._thread.ident is not None:
            self._thread.join()
        if self._opened.done() and self._opened.exception() is None:
            self._opened.result().close()

    def _open(self) -> None:
        try:
            self._opened.set_result(Service.open(self._settings, self.model))
        except MemoryStoreError as error:
            self._opened.set_exception(error)
            self._failed(error)
        except BaseException as error:  # noqa: BLE001 -- callers wait for the future: it must always get an end
            wrapped = MemoryStoreError(f"The memory store could not be opened: {type(error).__name__}: {error}")
            self._opened.set_exception(wrapped)
            self._failed(wrapped)
