"""What a consolidation finds, what it costs, and that recall is as good after it as before.

    python benchmarks/consolidation.py --data FILE      # LoCoMo's JSON, as of benchmarks/recall.py
    python benchmarks/consolidation.py --memories 100000

With a file: R@10 of the questions before and after, with a turn that stays standing for those it superseded; then
that is undone, and variants of every twentieth turn are planted, each spelt otherwise in one of several ways or
changed in one fact, and counted by what would become of them. With a number: so many synthetic memories, of which one
in ten is a duplicate.
"""

from __future__ import annotations

import argparse
import random
import re
import resource
import statistics
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
from recall import collections
from sqlalchemy import select

from dionysus_mcp.consolidation.consolidation import Consolidation
from dionysus_mcp.consolidation.shadows import shadowed
from dionysus_mcp.embedding import DIMENSION, MODEL_ID
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in, memory
from dionysus_mcp.store.vectors import Indexed, Vectors

ALL = 10**6
SAME = {
    "mark at the end": lambda text: text.rstrip(".!") + ("." if text.endswith("!") else "!"),
    "blanks and quotes": lambda text: text.replace("'", "’").replace(" ", "  ", 3),
    "contraction": lambda text: text.replace("'m ", " am ").replace("'re ", " are ").replace("n't ", " not "),
    "opening": lambda text: f"By the way, {text}",
    "addition": lambda text: f"{text.rstrip('.!')}. The weather is fine here.",
}
OTHER = {
    "negation": lambda text: re.sub(r"\b(is|are|was|have|am|like|love)\b", r"\1 not", text, count=1),
    "number": lambda text: re.sub(r"\b(\d+|two|three|four|five)\b", "17", text, count=1),
    "a word less": lambda text: re.sub(r"\b(really|my|new|the|so)\s", "", text, count=1),
    "a word more": lambda text: re.sub(r"\b(I|we|my|the)\s", r"\1 hardly ", text, count=1),
    "reworded": lambda text: re.sub(r"\b(great|awesome|amazing|love|enjoy)\b", "adore", text, count=1),
}


def planted(turns: list[NewMemory], seed: int) -> tuple[list[NewMemory], dict[str, tuple[str, str]]]:
    """Variants of some turns, by hash with the way they were made and the turn they were made from."""
    chance, made, ways = random.Random(seed), [], {}
    known = {turn.hash for turn in turns}
    for turn in chance.sample(turns, len(turns) // 20):
        for name, change in chance.sample([*SAME.items(), *OTHER.items()], 3):
            new = replace(turn, content=change(turn.content))
            if new.content != turn.content and new.hash not in known:
                known.add(new.hash)
                made.append(new)
                ways[new.hash] = name, turn.hash
    return made, ways


def measured(turns: list[NewMemory], questions: list, folder: Path, number: int) -> tuple[Counter, list[list[float]]]:
    """What became of the planted, and R@10 of each question before and after."""
    ids = {turn.hash: turn.metadata["id"] for turn in turns}
    turns = [replace(turn, metadata={}) for turn in turns]
    extra, ways = planted(turns, number)
    settings = MemorySettings(url=f"sqlite:///{folder / 'memory.db'}", embedder_threads=1)
    with closing(Store(settings)) as store:
        store.write(lambda connection: add_in(connection, store.scope, turns))
        before = recalled(store, settings, questions, ids, {})
        consolidation = Consolidation(store)
        plan = consolidation.plan(limit=ALL)
        run = consolidation.apply(plan)
        survivors = {one.memory_id: one.survivor_id for one in plan.actions if one.kind == "supersede"}
        after = recalled(store, settings, questions, ids, survivors)
        consolidation.undo(run.id)
        store.write(lambda connection: add_in(connection, store.scope, extra))
        embedded(store, settings)
        found = judged(store, consolidation.plan(limit=ALL).actions, ways)
    return found + Counter(f"did {one.kind}" for one in plan.actions), [before, after]


def judged(store: Store, actions: list, ways: dict[str, tuple[str, str]]) -> Counter:
    """How many of each kind of planted turns there are, and were superseded or have superseded their model."""
    with store.read() as connection:
        hashes = dict(connection.execute(select(memory.c.id, memory.c.hash)).all())
    found = Counter(f"planted {name}" for name, _ in ways.values())
    for one in actions:
        if one.kind != "supersede":
            continue
        pair = [hashes[one.memory_id], hashes[one.survivor_id]]
        names = [ways[key][0] for key in pair if key in ways]
        origins = {ways[key][1] if key in ways else key for key in pair}
        right = bool(names) and len(origins) == 1 and all(name in SAME for name in names)
        found["superseded rightly" if right else "superseded, not planted as same"] += 1
        for name in names:
            found[f"superseded {name}"] += 1
        if not right:
            print("   ", repr(one.content[:90]), "->", repr(one.survivor[:90]))
    return found


def embedded(store: Store, settings: MemorySettings) -> BackgroundEmbedder:
    """Give all memories their vectors."""
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(60)
    while embedder.pending():
        time.sleep(0.2)
    embedder.close()
    return embedder


def recalled(
    store: Store, settings: MemorySettings, questions: list, ids: dict[str, str], survivors: dict[str, str]
) -> list[float]:
    """R@10 of each question."""
    embedder = embedded(store, settings)
    search = Search(store, embedder, hide=shadowed)
    with store.read() as connection:
        named = {row.id: ids.get(row.hash) for row in connection.execute(select(memory.c.id, memory.c.hash))}
    stands_for: dict[str, set[str]] = {}
    for key, name in named.items():
        if name is not None:
            stands_for.setdefault(survivors.get(key, key), set()).add(name)
    found = []
    for text, _, evidence in questions:
        hits = {name for hit in search.recall(Query(text, 10, ALL)).hits for name in stands_for.get(hit.id, ())}
        found.append(len(evidence & hits) / len(evidence))
    search.close()
    return found


def scale(count: int) -> None:
    """Time and memory of a plan and of doing it, over synthetic memories."""
    chance = random.Random(1)
    numbers = np.random.default_rng(1)
    words = [f"w{number:05d}x" for number in range(20_000)]
    texts = [" ".join(chance.choices(words, k=12)).capitalize() for _ in range(count - count // 10)]
    texts += [f"{text}!" for text in texts[: count // 10]]
    with tempfile.TemporaryDirectory() as folder:
        settings = MemorySettings(url=f"sqlite:///{folder}/memory.db", embedder="none")
        with closing(Store(settings)) as store:
            new = [NewMemory(text, speaker=f"s{number % 50}") for number, text in enumerate(texts)]
            by_text = {text: one.speaker for text, one in zip(texts, new, strict=True)}
            new = [replace(one, speaker=by_text[one.content.rstrip("!")]) for one in new]
            for start in range(0, count, 5000):
                part = new[start : start + 5000]
                store.write(lambda connection, part=part: add_in(connection, store.scope, part))
                vectors = numbers.standard_normal((len(part), DIMENSION), dtype=np.float32)
                vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
                none = np.zeros(0, dtype=np.uint32)
                rows = [Indexed(start + place + 1, vector, none, 0) for place, vector in enumerate(vectors)]
                Vectors(store, MODEL_ID, DIMENSION).put(rows)
            consolidation = Consolidation(store)
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            started = time.perf_counter(), time.process_time()
            plan = consolidation.plan(limit=ALL)
            planned = time.perf_counter() - started[0], time.process_time() - started[1]
            more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held
            started = time.perf_counter(), time.process_time()
            run = consolidation.apply(plan)
            done = time.perf_counter() - started[0], time.process_time() - started[1]
    print(f"{count:,} memories, {count // 10:,} duplicates: {run.done}")
    print(f"plan: {planned[0]:.1f} s, {planned[1]:.1f} s of processor, {more / 1024:.0f} MB more than before")
    print(f"apply: {done[0]:.1f} s, {done[1]:.1f} s of processor")


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--memories", type=int)
    given = parser.parse_args()
    if given.memories:
        scale(given.memories)
    if not given.data:
        return
    total, before, after = Counter(), [], []
    for number, (turns, questions) in enumerate(collections(given.data)):
        with tempfile.TemporaryDirectory() as folder:
            found, (first, second) = measured(turns, questions, Path(folder), number)
        total += found
        before += first
        after += second
    print(f"{len(before)} questions: R@10 before {statistics.mean(before):.4f}, after {statistics.mean(after):.4f}")
    right, others = total["superseded rightly"], total["superseded, not planted as same"]
    did = ", ".join(f"{total[f'did {kind}']} {kind}" for kind in ("supersede", "extract", "link"))
    print(f"  by a run that did {did}")
    print(f"planted: {right} superseded that are the same, {others} others")
    for name in (*SAME, *OTHER):
        print(f"  {name:18s} {total[f'superseded {name}']:4d} of {total[f'planted {name}']:4d} superseded")


if __name__ == "__main__":
    main()
