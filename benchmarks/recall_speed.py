"""Time and memory of a recall in large stores, and how fast memories are indexed.

    python benchmarks/recall_speed.py --memories 10000 100000 1000000 [--url postgresql://...]

Up to `--real` memories are indexed by the server's own embedder in the background, on one core, and timed. Larger
stores get seeded random vectors, as recall's time doesn't depend on what they mean. Texts are seeded too: words of a
made-up vocabulary by Zipf's law, as common and as rare as in English, in sessions of two speakers. A query holds common
words and rare ones of one memory. Each store is measured in a process of its own, so that its memory is a server's.
Beside the time of a call its processor time is told: on a busy machine that is the sounder figure.
With `--url`, of a PostgreSQL server where the user may make databases, each store is a database of its own there, which
is dropped afterwards. Processor time and memory are then the caller's alone. Random vectors are stored first and their
index is made afterwards, as that is quicker; how fast more are stored once it is there is told too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, make_url, text

from dionysus_mcp.consolidation.shadows import shadowed
from dionysus_mcp.embedding import DIMENSION, MODEL_ID, Pieces
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.pieces import MOST, MOST_TELLING, put
from dionysus_mcp.recall.postgres_index import index_of
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.recall.terms import Stemmer
from dionysus_mcp.recall.views import number_of
from dionysus_mcp.serving.threads import one_thread_each
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in
from dionysus_mcp.store.postgres_tables import INDEXES
from dionysus_mcp.store.vectors import Indexed, Vectors

VOCABULARY = 60_000
WORDS = 20
"""Words of an average memory."""
PART = 10_000
MORE = 1_000
"""Vectors that are stored once more when PostgreSQL has its index of them."""
SPEAKERS = ("Ann", "Bo")
_SOUNDS = ["ba", "ke", "li", "mo", "nu", "ra", "se", "ti", "vo", "zu", "da", "fe", "gi", "ho", "ju", "pa"]


class Texts:
    """Seeded texts whose words are as common and as rare as those of a language."""

    def __init__(self, seed: int = 7) -> None:
        self._random = np.random.default_rng(seed)
        ranks = np.arange(1, VOCABULARY + 1)
        # Zipf's law as Mandelbrot put it (1953), with his constants for English.
        share = 1 / (ranks + 2.7) ** 1.07
        self._bounds = np.cumsum(share / share.sum())
        self._words = [self._word(rank) for rank in range(VOCABULARY)]

    def texts(self, count: int) -> list[str]:
        """Return texts of 5 to 35 words."""
        lengths = self._random.integers(5, 2 * WORDS - 4, size=count)
        drawn = self._drawn(int(lengths.sum()))
        ends = np.cumsum(lengths)
        return [" ".join(drawn[end - size : end]) for size, end in zip(lengths, ends, strict=True)]

    def query(self, text: str) -> str:
        """A question about a text: four of its words among four of the language's."""
        own = text.split()
        picked = self._random.choice(own, size=min(4, len(own)), replace=False).tolist()
        return " ".join([*self._drawn(4), *picked]) + "?"

    def _drawn(self, count: int) -> list[str]:
        return [self._words[place] for place in np.searchsorted(self._bounds, self._random.random(count))]

    def _word(self, rank: int) -> str:
        parts = []
        while rank or not parts:
            rank, rest = divmod(rank, len(_SOUNDS))
            parts.append(_SOUNDS[rest])
        return "".join(parts) + "n"


class Known:
    """In place of the model: vectors that were worked out before, so that a recall's own time is what is measured."""

    model_id = MODEL_ID
    dimension = DIMENSION

    def __init__(self, vectors: np.ndarray[Any, Any]) -> None:
        self._vectors = vectors

    def embed(self, texts: list[str]) -> np.ndarray[Any, Any]:
        """As many vectors as there are texts."""
        return self._vectors[: len(texts)]

    def embed_with_pieces(self, texts: list[str]) -> tuple[np.ndarray[Any, Any], list[Pieces]]:
        """Likewise, with a vector for each word."""
        words, own = texts[0].split(), self._vectors[2:]
        return self.embed(texts), [Pieces(words, own[: len(words)], own[-1])] * len(texts)


class Ready:
    """In place of the background's embedder, with a model that is there."""

    status = "ready"

    def __init__(self, store: Store) -> None:
        self.model = Known(np.zeros((2, DIMENSION), np.float32))
        self._vectors = Vectors(store, MODEL_ID, DIMENSION)
        self.index = index_of(self._vectors)
        self._vectors.missing(1)

    def notice(self) -> None:
        """Nothing is to be said."""

    def backlog(self, connection: Connection, last: int) -> None:
        """Look whether any memory waits for a vector, as a server does."""
        assert not self._vectors.lacks(connection, last)


def unit(vectors: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Vectors of length 1."""
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fill(store: Store, count: int) -> list[str]:
    """Store memories in sessions of 40; returns some of their texts."""
    made, some = Texts(), []
    for start in range(0, count, PART):
        texts = made.texts(min(PART, count - start))
        new = [
            NewMemory(f"{text} {start + n}", speaker=SPEAKERS[n % 2], session_id=f"s{(start + n) // 40}")
            for n, text in enumerate(texts)
        ]
        store.write(lambda connection, new=new: add_in(connection, store.scope, new))
        some += texts[:: max(1, len(texts) // 20)]
    return some


def index_at_random(store: Store) -> None:
    """Give all memories vectors and pieces that mean nothing, and the stems of their words."""
    rows, random, stemmer = Vectors(store, MODEL_ID, DIMENSION), np.random.default_rng(11), Stemmer()
    while missing := rows.missing(PART):
        vectors = unit(random.standard_normal((len(missing), DIMENSION), dtype=np.float32))
        words = [one.content.split() for one in missing]
        numbers = {word: number_of(stem) for word, stem in stemmer.stems(sorted({*chain(*words)})).items()}
        terms = [np.array([numbers[word] for word in own if word in numbers], "<u4") for own in words]
        indexed = [Indexed(one.seq, *rest, 0) for one, *rest in zip(missing, vectors, terms, strict=True)]
        kept = {one.seq: _pieces(random, len(own)) for one, own in zip(missing, terms, strict=True)}
        rows.put(indexed, lambda connection, kept=kept: put(connection, MODEL_ID, kept))


def index_afterwards(store: Store) -> str:
    """Store random vectors, then make PostgreSQL's index of them; tells how long that took, and how fast more come."""
    with store.postgres.outside_transactions(lambda _: None) as connection:
        connection.execute(text("DROP INDEX vector_nearest"))
        index_at_random(store)
        began = time.perf_counter()
        connection.execute(text("SET maintenance_work_mem = '2GB'"))
        connection.execute(text("SET max_parallel_maintenance_workers = 0"))
        connection.execute(text(next(one for one in INDEXES if "vector_nearest" in one)))
        made = time.perf_counter() - began
        last = "(SELECT seq FROM vector ORDER BY seq DESC LIMIT :more)"
        connection.execute(text(f"DELETE FROM vector WHERE seq IN {last}"), {"more": MORE})
        began = time.perf_counter()
        index_at_random(store)
        more = MORE / (time.perf_counter() - began)
        # As the server does by itself after some minutes.
        connection.execute(text("ANALYZE"))
    return f"; index of vectors made in {made:,.0f} s, then {more:,.0f} vectors/s more"


def _pieces(random: np.random.Generator, words: int) -> bytes:
    """Signs as `recall.pieces` keeps them, as many as a turn of LoCoMo of so many words has."""
    # 1.4 a word, two of five of them with content. Each bit of a random vector's signs is as likely set as not.
    total = min(MOST, words * 7 // 5)
    return bytes([max(1, min(MOST_TELLING, total * 2 // 5))]) + random.bytes(DIMENSION // 8 * (1 + total))


def index_for_real(store: Store, settings: MemorySettings) -> str:
    """Let the server's embedder index all memories; tells how many a second, and a second of the processor."""
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(60)
    count, began, used = embedder.pending(), time.perf_counter(), time.process_time()
    while embedder.pending():
        time.sleep(0.2)
    busy, passed = time.process_time() - used, time.perf_counter() - began
    embedder.close()
    return f"; indexed {count / passed:.0f}/s on one core, {count / busy:.0f} in a second of the processor"


def measure(url: str, queries: list[str]) -> dict[str, float]:
    """Time recalls over a store; run in a process of its own."""
    store, random = Store(MemorySettings(url=url)), np.random.default_rng(13)
    ready, began = Ready(store), time.perf_counter()
    ready.index.catch_up()
    load = time.perf_counter() - began
    search = Search(store, ready, shadowed)  # type: ignore[arg-type]
    times, busy = [], []
    for query in queries:
        ready.model = Known(unit(random.normal(size=(2 + len(query.split()), DIMENSION)).astype(np.float32)))
        began, used = time.perf_counter(), time.process_time()
        search.recall(Query(query, 10, 8000))
        times.append(time.perf_counter() - began)
        busy.append(time.process_time() - used)
    store.close()
    fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
    held, peak = (int(fields[name].split()[0]) / 2**20 for name in ("VmRSS", "VmHWM"))
    centiles = statistics.quantiles(times, n=20)
    return {
        "load": load,
        "p50": statistics.median(times),
        "p95": centiles[18],
        "busy": statistics.median(busy),
        "held": held,
        "peak": peak,
    }


@contextlib.contextmanager
def database(server: str) -> Generator[str]:
    """The address of an empty database of our own on a server."""
    import psycopg

    name = f"dionysus_speed_{os.getpid()}"
    url = make_url(server).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE template0")  # a number ends it
        try:
            yield url.set(database=name).render_as_string(hide_password=False)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def measured(count: int, queries: int, folder: Path, url: str, *, real: bool) -> str:
    """Build a store, with the model's own vectors or random ones, measure it, and say what came out."""
    settings = MemorySettings(url=url, embedder_threads=1)
    store, began = Store(settings), time.perf_counter()
    some = fill(store, count)
    stored = count / (time.perf_counter() - began)
    if real:
        indexed = index_for_real(store, settings)
    else:
        indexed = index_afterwards(store) if store.in_postgres else index_at_random(store) or ""
    store.close()
    with contextlib.closing(Store(settings)) as store:
        size = store.size() / count
    made = Texts(seed=17)
    asked = [made.query(some[n % len(some)]) for n in range(queries)]
    (folder / "asked.json").write_text(json.dumps([url, asked]))  # no argument: it may hold a password
    one_thread_each()  # that process has no numpy yet, as a server has none when it does the same
    command = [sys.executable, __file__, "--measure", str(folder / "asked.json")]
    found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return (
        f"{count:>9,} memories: recall p50 {1e3 * found['p50']:.1f} ms, p95 {1e3 * found['p95']:.1f} ms, "
        f"of the processor {1e3 * found['busy']:.1f} ms; all vectors read in "
        f"{found['load']:.1f} s; memory {found['held']:.2f} GB, at most {found['peak']:.2f} GB; "
        f"{size:,.0f} bytes a memory on disk; stored {stored:,.0f}/s{indexed}"
    )


def main() -> None:
    """Measure stores of the sizes asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memories", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--real", type=int, default=10_000, help="memories up to which vectors are the model's own")
    parser.add_argument("--url", help="a PostgreSQL server to keep the stores on; SQLite files without")
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(measure(*json.loads(arguments.measure.read_text()))))
        return
    for count in arguments.memories:
        with contextlib.ExitStack() as kept:
            folder = Path(kept.enter_context(tempfile.TemporaryDirectory()))
            file = f"sqlite:///{folder / 'memory.db'}"
            url = kept.enter_context(database(arguments.url)) if arguments.url else file
            print(measured(count, arguments.queries, folder, url, real=count <= arguments.real), flush=True)


if __name__ == "__main__":
    main()
