"""What a consolidation finds, what it costs, and that recall is as good after it as before.

    python benchmarks/consolidation.py --data FILE [--only KIND] [--differences FILE]   # LoCoMo's JSON
    python benchmarks/consolidation.py --memories 100000

With a file: R@10 of the questions before and after, with a turn that stays standing for those it superseded. And the
same of another store, where variants of every twentieth turn are planted, each spelt otherwise in one of several ways
or changed in one fact; they are counted by what becomes of them. `--differences` writes each question that found other
evidence afterwards, with what it found. `--only supersede` (or extract) does but
these actions. With a number: so many synthetic memories, of which one in ten is a duplicate.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import statistics
import tempfile
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, replace
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
KINDS = ("supersede", "extract", "link", "retire", "fade")
WHEN = ("before", "after")
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


@dataclass(frozen=True)
class Answer:
    """What a question found: the best ten in order, each with the names of the turns that it stands for."""

    question: str
    evidence: set[str]
    hits: list[tuple[str, list[str]]]

    @property
    def found(self) -> set[str]:
        """The evidence among the hits."""
        return self.evidence & {name for _, names in self.hits for name in names}

    @property
    def recall(self) -> float:
        """The share of the evidence that was found."""
        return len(self.found) / len(self.evidence)


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


def measured(
    turns: list[NewMemory], questions: list, folder: Path, number: int, kinds: set[str]
) -> tuple[Counter, dict[str, list[Answer]]]:
    """What became of the planted, and what each question found before and after, without and with the planted."""
    ids = {turn.hash: turn.metadata["id"] for turn in turns}
    turns = [replace(turn, metadata={}) for turn in turns]
    extra, ways = planted(turns, number)
    found, answers = Counter(), {}
    # A store each: what was undone in one isn't done again, and what is restored stands at the end of its session.
    for name, held in (("", turns), ("planted ", [*turns, *extra])):
        settings = MemorySettings(url=f"sqlite:///{folder / f'{name}memory.db'}", embedder_threads=1)
        with closing(Store(settings)) as store:
            store.write(lambda connection, held=held: add_in(connection, store.scope, held))
            answers[f"{name}before"] = recalled(store, settings, questions, ids, {})
            consolidation = Consolidation(store)
            plan = consolidation.plan(limit=ALL)
            plan = plan.model_copy(update={"actions": [one for one in plan.actions if one.kind in kinds]})
            consolidation.apply(plan)
            found += Counter(f"{name}did {one.kind}" for one in plan.actions)
            found += judged(store, plan.actions, ways) if name else Counter()
            survivors = {one.memory_id: one.survivor_id for one in plan.actions if one.kind == "supersede"}
            answers[f"{name}after"] = recalled(store, settings, questions, ids, survivors)
    return found, answers


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
) -> list[Answer]:
    """The best ten of each question."""
    embedder = embedded(store, settings)
    search = Search(store, embedder, hide=shadowed)
    with store.read() as connection:
        named = {row.id: ids.get(row.hash) for row in connection.execute(select(memory.c.id, memory.c.hash))}
    stands_for: dict[str, list[str]] = {}
    for key, name in named.items():
        if name is not None:
            stands_for.setdefault(survivors.get(key, key), []).append(name)
    found = []
    for text, _, evidence in questions:
        hits = search.recall(Query(text, 10, ALL)).hits
        shown = [(f"{hit.memory_type}: {hit.content}", stands_for.get(hit.id, [])) for hit in hits]
        found.append(Answer(text, evidence, shown))
    search.close()
    return found


COMPARED = {
    "consolidation": ("before", "after"),
    "planting": ("before", "planted before"),
    "consolidation of the planted": ("planted before", "planted after"),
}


def write_differences(path: Path, answers: dict[str, list[Answer]]) -> None:
    """Write the questions whose evidence was found before and not after, or the other way round."""
    with path.open("a", encoding="utf-8") as file:
        for name, (first, second) in COMPARED.items():
            for one, other in zip(answers[first], answers[second], strict=True):
                if one.found != other.found:
                    told = {"by": name, "question": one.question}
                    told |= {"lost": sorted(one.found - other.found), "gained": sorted(other.found - one.found)}
                    file.write(json.dumps(told | {"before": one.hits, "after": other.hits}) + "\n")


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
    parser.add_argument("--only", action="append", choices=KINDS, help="actions that are done; all, if not given")
    parser.add_argument("--differences", type=Path, help="append what questions found otherwise to this file")
    given = parser.parse_args()
    if given.memories:
        scale(given.memories)
    if not given.data:
        return
    total, answers = Counter(), {}
    for number, (turns, questions) in enumerate(collections(given.data)):
        with tempfile.TemporaryDirectory() as folder:
            found, those = measured(turns, questions, Path(folder), number, set(given.only or KINDS))
        total += found
        for name, some in those.items():
            answers.setdefault(name, []).extend(some)
        if given.differences:
            write_differences(given.differences, those)
    show(total, answers)


def show(total: Counter, answers: dict[str, list[Answer]]) -> None:
    """Print the figures of all collections together."""
    for name in ("", "planted "):
        before, after = (statistics.mean(one.recall for one in answers[f"{name}{when}"]) for when in WHEN)
        did = ", ".join(f"{total[f'{name}did {kind}']} {kind}" for kind in KINDS)
        count = len(answers[f"{name}before"])
        print(f"{name or 'as it is '}{count} questions: R@10 before {before:.4f}, after {after:.4f}; did {did}")
    right, others = total["superseded rightly"], total["superseded, not planted as same"]
    print(f"planted: {right} superseded that are the same, {others} others")
    for name in (*SAME, *OTHER):
        print(f"  {name:18s} {total[f'superseded {name}']:4d} of {total[f'planted {name}']:4d} superseded")


if __name__ == "__main__":
    main()
