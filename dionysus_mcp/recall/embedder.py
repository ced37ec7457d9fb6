"""The embedder's life in a server: loaded in the background, then kept busy with memories that lack a vector.

Keyword recall serves from the first moment; `Recall.notice` says what it misses until the model is there.
"""

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from dionysus_mcp.errors import EmbedderError, MemoryStoreError
from dionysus_mcp.recall.passages import spans
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.sqlite import Store
from dionysus_mcp.store.vectors import PassageVectors, Vectors

if TYPE_CHECKING:
    from dionysus_mcp.embedding import MiniLm

_AT_A_TIME = 32
_AT_ONCE = 4
"""Memories that one store call embeds itself; a longer backlog is left to the thread."""
_LOOK_AGAIN = 15.0
"""Seconds until the store is searched again for memories that other processes stored without a vector."""

_log = logging.getLogger(__name__)


class BackgroundEmbedder:
    """Loads the model in a thread of its own and gives vectors to what lacks them.

    Attributes:
        status: "loading", then "ready" or "failed"; "off" by the settings.
        detail: Why it failed.
    """

    def __init__(self, store: Store, settings: MemorySettings, load: "Callable[[int], MiniLm] | None" = None) -> None:
        self._store = store
        self._settings = settings
        self._load = load
        self._model: MiniLm | None = None
        self._settled = threading.Event()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.status: Literal["loading", "ready", "failed", "off"] = "loading"
        self.detail: str | None = None
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)

    def start(self) -> None:
        """Begin loading, unless the settings say "none"."""
        if self._settings.embedder == "none":
            self.status, self.detail = "off", "memory.embedder is none"
            self._settled.set()
        else:
            self._thread.start()

    @property
    def model(self) -> "MiniLm | None":
        """The model, once it is there."""
        return self._model

    def wait(self, seconds: float) -> None:
        """Wait until loading has ended, well or not, or the time is over."""
        self._settled.wait(seconds)

    def pending(self) -> int:
        """Memories that wait for a vector."""
        if self.status == "off":
            return 0
        from dionysus_mcp.embedding import DIMENSION, MODEL_ID

        return Vectors(self._store, MODEL_ID, DIMENSION).count_missing()

    def notice(self) -> str | None:
        """What a reader of hits should know about it; None when it is ready."""
        if self.status == "loading":
            return "The embedding model is still loading: these hits were found by their words alone."
        if self.status == "failed":
            return f"There is no embedding model, these hits were found by their words alone: {self.detail}"
        return "The embedder is off: these hits were found by their words alone." if self.status == "off" else None

    def follow(self) -> None:
        """Something was stored: give it its vector now where the model is there, so that the next recall finds it."""
        if self._model is not None:
            embed_missing(Vectors(self._store, self._model.model_id, self._model.dimension), self._model, _AT_ONCE)
        self._wake.set()

    def close(self) -> None:
        """Stop after the batch at hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout=2.0)

    def _run(self) -> None:
        from dionysus_mcp.embedding import MiniLm

        try:
            self._model = (self._load or MiniLm.load)(self._settings.embedder_threads)
            self.status = "ready"
        except EmbedderError as error:
            self.status, self.detail = "failed", str(error)
        except Exception as error:  # noqa: BLE001 -- onnxruntime raises its own kinds; keyword recall must go on
            self.status, self.detail = "failed", f"{type(error).__name__}: {error}"
        self._settled.set()
        if self._model is not None:
            self._catch_up(self._model)

    def _catch_up(self, model: "MiniLm") -> None:
        vectors = Vectors(self._store, model.model_id, model.dimension)
        while not self._stop.is_set():
            self._wake.clear()
            try:
                busy = embed_missing(vectors, model, _AT_A_TIME) > 0
            except MemoryStoreError as error:
                # A full disk or a locked file may pass; the memories themselves are safe, so try again later.
                _log.warning("Vectors could not be stored: %s", error)
                busy = False
            if not busy:
                self._wake.wait(_LOOK_AGAIN)


def embed_missing(vectors: Vectors, model: "MiniLm", count: int) -> int:
    """Embed up to `count` memories that lack a vector; returns how many."""
    missing = vectors.missing(count)
    if not missing:
        return 0
    places = [spans(one.content) for one in missing]
    pieces = [
        one.content[first:last]
        for one, found in zip(missing, places, strict=True)
        if len(found) > 1
        for first, last in found
    ]
    embedded = model.embed([*(one.text for one in missing), *pieces])
    passages, start = [], len(missing)
    for found in places:
        several = len(found) > 1
        passages.append(PassageVectors(found, embedded[start : start + len(found)]) if several else None)
        start += len(found) if several else 0
    vectors.put([one.seq for one in missing], embedded[: len(missing)], passages)
    return len(missing)
