"""The embedder's life in a server: loaded in the background, then kept busy with memories that lack a vector.

Keyword recall serves from the first moment; `Recall.notice` says what it misses until the model is there.
"""

import logging
import math
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import Connection

from dionysus_mcp.embedding import DIMENSION, MODEL_ID
from dionysus_mcp.errors import EmbedderError, MemoryStoreError
from dionysus_mcp.recall.index import MemoryIndex
from dionysus_mcp.recall.passages import spans
from dionysus_mcp.recall.pieces import put, signs
from dionysus_mcp.recall.postgres_index import PostgresIndex, index_of
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.recall.views import Told, name_words, views
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import headings
from dionysus_mcp.store.vectors import Indexed, PassageVectors, Vectors

if TYPE_CHECKING:
    import numpy as np

    from dionysus_mcp.embedding import MiniLm

_AT_A_TIME = 64
_AT_ONCE = 4
"""Memories that one store call embeds itself; a longer backlog is left to the thread."""
_AT_ONE_STOP = 64
"""Texts that are embedded between two looks at whether to stop."""
_LAST_BATCH = 30.0
"""Seconds that closing waits for the model to load or for the texts at hand; on an idle machine they take tenths."""
_RARELY = 100
"""A look at every memory, for vectors that a repair dropped, comes after so many times the time that the last took."""
_LOOK_AGAIN = 15.0
"""Seconds until the store is searched again for memories that other processes stored without a vector."""

_log = logging.getLogger(__name__)


class BackgroundEmbedder:
    """Loads the model in a thread of its own and gives vectors to what lacks them.

    Args:
        store: Whose memories.
        settings: Of the memory.
        load: Makes the model, for so many threads; the real one unless given.
        clock: Tells the moment, in seconds, by which the store is looked through again now and then.
        wait: Waits until an event is set or so many seconds are over.

    Attributes:
        status: "loading", then "ready" or "failed"; "off" by the settings.
        detail: Why it failed.
    """

    def __init__(
        self,
        store: Store,
        settings: MemorySettings,
        load: "Callable[[int], MiniLm] | None" = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[threading.Event, float], bool] = threading.Event.wait,
    ) -> None:
        self._store = store
        self._clock, self._wait_for = clock, wait
        self._settings = settings
        self._stemmer = Stemmer()
        self._load = load
        self._vectors = Vectors(store, MODEL_ID, DIMENSION)
        self._model: MiniLm | None = None
        self._index: MemoryIndex | PostgresIndex | None = None
        self._settled = threading.Event()
        self._wake = threading.Event()
        self._stop = threading.Event()
        self.status: Literal["loading", "ready", "failed", "off"] = "loading"
        self.detail: str | None = None
        self._outdated: dict[str, int] = {}
        self._doubt_at = 0.0
        self._thread = threading.Thread(target=self._run, name="embedder", daemon=True)

    def start(self) -> None:
        """Begin loading, unless the settings say "none"."""
        if self._settings.embedder == "none":
            self.status, self.detail = "off", "memory.embedder is none"
            self._settled.set()
        else:
            self._thread.start()

    @property
    def index(self) -> MemoryIndex | PostgresIndex | None:
        """What is indexed, in memory, once the model is there."""
        return self._index

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
        return self._vectors.count_missing()

    def notice(self) -> str | None:
        """What a reader of hits should know about it; None when it is ready and all was embedded with this model."""
        if self._outdated:
            models = ", ".join(f"{count:,} with {model}" for model, count in self._outdated.items())
            return (
                f"Some memories were embedded with another model ({models}) and are found by their words alone until "
                "they are embedded anew, which goes on in the background; `dionysus memory reembed` does it at once."
            )
        if self.status == "loading":
            return "The embedding model is still loading: these hits were found by their words alone."
        if self.status == "failed":
            return f"There is no embedding model, these hits were found by their words alone: {self.detail}"
        return "The embedder is off: these hits were found by their words alone." if self.status == "off" else None

    def backlog(self, connection: Connection, last: int) -> str | None:
        """What a reader of hits should know where memories up to number `last` still wait for a vector."""
        if self._model is None or not self._vectors.lacks(connection, last):
            return None
        return "Some memories wait for their vectors, which they get in the background; their words alone find them."

    def follow(self) -> None:
        """Something was stored: give it its vector now where the model is there, so that the next recall finds it."""
        if self._model is not None:
            embed_missing(self._vectors, self._model, _AT_ONCE, self._stemmer)
        self._wake.set()

    def close(self) -> None:
        """Stop after the batch at hand."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            # A daemon thread that comes back from onnxruntime while Python ends takes the whole process down (SIGABRT).
            self._thread.join(timeout=_LAST_BATCH)

    def _run(self) -> None:
        from dionysus_mcp.embedding import MiniLm

        try:
            model = (self._load or MiniLm.load)(self._settings.embedder_threads)
            # Reading a million vectors takes long: it is done here, while keyword recall serves, not in a first recall.
            index = index_of(self._vectors)
            index.catch_up()
            self._index, self._model, self.status = index, model, "ready"
        except EmbedderError as error:
            self.status, self.detail = "failed", str(error)
        except Exception as error:  # noqa: BLE001 -- onnxruntime raises its own kinds; keyword recall must go on
            self.status, self.detail = "failed", f"{type(error).__name__}: {error}"
        self._settled.set()
        if self._model is not None:
            self._catch_up(self._model)

    def _catch_up(self, model: "MiniLm") -> None:
        started = False
        while not self._stop.is_set():
            self._wake.clear()
            began = self._clock()
            self._doubt(began)
            try:
                if not started:
                    # Counted once: it looks at every memory.
                    self._outdated, started = self._vectors.outdated(), True
                busy = embed_missing(self._vectors, model, _AT_A_TIME, self._stemmer, self._stop) > 0
            except MemoryStoreError as error:
                # A full disk or a locked file may pass; the memories themselves are safe, so try again later.
                _log.warning("Vectors could not be stored: %s", error)
                busy = False
            else:
                if not busy:
                    self._outdated = {}
            self._took(self._clock() - began)
            if not busy:
                self._wait_for(self._wake, _LOOK_AGAIN)

    def _doubt(self, now: float) -> None:
        if now >= self._doubt_at:
            self._vectors.look_again()
            self._doubt_at = math.inf

    def _took(self, seconds: float) -> None:
        if self._doubt_at == math.inf:
            self._doubt_at = self._clock() + max(_LOOK_AGAIN, _RARELY * seconds)


def embed_missing(
    vectors: Vectors,
    model: "MiniLm",
    count: int,
    stemmer: Stemmer,
    stop: threading.Event | None = None,
    *,
    newest: bool = False,
) -> int:
    """Index up to `count` memories that lack a vector; returns how many, none if `stop` was set meanwhile.

    A server begins with the oldest. Whoever works beside it begins with the newest, so that the two meet in the middle
    and don't do the same twice.
    """
    missing = vectors.missing(count, newest=newest)
    if not missing:
        return 0
    told = [
        Told(one.content, headings(one.context, one.speaker), name_words({one.speaker, *one.speakers}))
        for one in missing
    ]
    seen = views(told, stemmer)
    places = [found if len(found := spans(one.content)) > 1 else [] for one in missing]
    pieces = [one.content[first:last] for one, found in zip(missing, places, strict=True) for first, last in found]
    if stop is not None and stop.is_set():
        return 0
    whole, words = model.embed_with_pieces([view.plain for view in seen])
    embedded = _embedded(model, pieces, stop)
    if embedded is None:
        return 0
    indexed: list[Indexed] = []
    start = 0
    for number, (one, view, found) in enumerate(zip(missing, seen, places, strict=True)):
        passages = PassageVectors(found, embedded[start : start + len(found)]) if found else None
        indexed.append(Indexed(one.seq, whole[number], view.terms, view.traits, passages))
        start += len(found)
    kept = {one.seq: signs(own) for one, own in zip(missing, words, strict=True) if one.speaker is not None}
    vectors.put(indexed, lambda connection: put(connection, model.model_id, kept))
    return len(missing)


def _embedded(model: "MiniLm", texts: list[str], stop: threading.Event | None) -> "np.ndarray[Any, Any] | None":
    """Vectors of some texts; None if it was stopped on the way."""
    import numpy as np

    # Texts of like length together, as the model pads a batch to its longest.
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    found = np.zeros((len(texts), model.dimension), dtype=np.float32)
    for start in range(0, len(order), _AT_ONE_STOP):
        if stop is not None and stop.is_set():
            return None
        part = order[start : start + _AT_ONE_STOP]
        found[part] = model.embed([texts[index] for index in part])
    return found
