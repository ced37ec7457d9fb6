"""Fits the few weights of recall to judged questions, and says what they are worth on what they haven't seen.

    python benchmarks/fit_recall.py --data LOCOMO.json --data CRANFIELD.json --out weights.json [--apart FOLDER]

Files are those of `recall.py`. Memories with speakers give the weights `told`, others `written`. The candidates and
features of every question come from the server's own search; a linear listwise softmax with an L2 penalty, a convex
function, is then brought to its minimum by Newton's steps. Figures are printed for each conversation with the weights
of all the others (told), and for each half of the queries with the weights of the other half (written). `--apart`
writes the former down, a file a conversation, for `recall.py --weights` to judge by.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from recall import Question, collections
from sqlalchemy import select

from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import NewMemory, add_in, memory

if TYPE_CHECKING:
    from dionysus_mcp.recall.index import MemoryIndex

Scaled = list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]
"""Features of every question's candidates, each of spread 1, and which of them answer, with a sum of 1."""
_MOST_STEPS = 50
WRITTEN = ("plain_i", "passage_i", "words", "covers", "feedback")
"""With some hundred queries of documents, more features than these fit noise."""
PENALTY = {"told": 0.02, "written": 0.1}


@dataclass(frozen=True)
class Judged:
    """One question: its category, how many memories answer it, features by name of its candidates, which answer."""

    category: int
    wanted: int
    features: dict[str, Any]
    answers: np.ndarray[Any, Any]


class Watched(Search):
    """A search that keeps the candidates of its last recall and their features."""

    def _scored(
        self, index: MemoryIndex, seqs: list[int], found: dict[str, Any], by_words: dict[int, float]
    ) -> dict[int, float]:
        self.last = (seqs, found)
        return super()._scored(index, seqs, found, by_words)


def judged(memories: list[NewMemory], questions: list[Question], folder: Path) -> list[Judged]:
    """What the server's search finds for every question."""
    settings = MemorySettings(url=f"sqlite:///{folder / 'memory.db'}", embedder_threads=1)
    store = Store(settings)
    store.write(lambda connection: add_in(connection, store.scope, memories))
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(60)
    while embedder.pending():
        time.sleep(0.2)
    search = Watched(store, embedder)
    with store.read() as connection:
        ids = {row.seq: row.metadata["id"] for row in connection.execute(select(memory.c.seq, memory.c.metadata))}
    found = []
    for text, category, evidence in questions:
        search.recall(Query(text, 10, 10**6))
        seqs, features = search.last
        answers = np.array([ids[seq] in evidence for seq in seqs], dtype=float)
        found.append(Judged(category, len(evidence), features, answers))
    search.close()
    embedder.close()
    store.close()
    return found


def table(one: Judged, names: Sequence[str]) -> np.ndarray[Any, Any]:
    """Features of a question's candidates, shape `(candidates, features)`."""
    return np.stack([np.asarray(one.features[name], dtype=float) for name in names], axis=1)


def fit(questions: Sequence[Judged], names: Sequence[str], penalty: float) -> np.ndarray[Any, Any]:
    """Weights under which the softmax over a question's candidates gives its answers the most, shape `(features,)`."""
    kept = [(table(one, names), one.answers / one.answers.sum()) for one in questions if one.answers.any()]
    spread = np.concatenate([rows for rows, _ in kept]).std(axis=0) + 1e-6
    scaled = [(rows / spread, target) for rows, target in kept]
    weights = np.zeros(len(names))
    for _ in range(_MOST_STEPS):
        gradient, curve = slopes(scaled, weights, penalty)
        step, before = np.linalg.solve(curve, gradient), loss(scaled, weights, penalty)
        downhill = float(gradient @ step)
        if downhill < 1e-12:
            break
        # Far from the minimum a whole step overshoots: halve it until it leads down.
        size = 1.0
        while size > 1e-6 and loss(scaled, weights - size * step, penalty) > before - 1e-4 * size * downhill:
            size /= 2
        weights = weights - size * step
    return weights / spread


def loss(scaled: Scaled, weights: np.ndarray[Any, Any], penalty: float) -> float:
    """Mean cross entropy of the softmax, with the penalty."""
    total = penalty * float(weights @ weights) / 2
    for rows, target in scaled:
        scores = rows @ weights
        scores -= scores.max()
        total -= float(target @ scores - np.log(np.exp(scores).sum())) / len(scaled)
    return total


def slopes(scaled: Scaled, weights: np.ndarray[Any, Any], penalty: float) -> tuple[Any, Any]:
    """Gradient of the loss, shape `(features,)`, and its second derivatives, `(features, features)`."""
    gradient, curve = penalty * weights, penalty * np.eye(len(weights))
    for rows, target in scaled:
        odds = rows @ weights
        odds = np.exp(odds - odds.max())
        odds /= odds.sum()
        mean = odds @ rows
        gradient = gradient + (odds - target) @ rows / len(scaled)
        curve = curve + (rows.T @ (odds[:, None] * rows) - np.outer(mean, mean)) / len(scaled)
    return gradient, curve


def figures(questions: Sequence[Judged], names: Sequence[str], weights: np.ndarray[Any, Any]) -> list[list[float]]:
    """Of each question category, R@5, R@10, MRR of the first ten, nDCG@10, share of answers among the candidates."""
    rows = []
    for one in questions:
        order = np.argsort(-(table(one, names) @ weights), kind="stable")
        places = np.flatnonzero(one.answers[order])
        ten = places[places < 10]
        gain = (1 / np.log2(ten + 2)).sum() / (1 / np.log2(np.arange(min(10, one.wanted)) + 2)).sum()
        first = 1 / (ten[0] + 1) if len(ten) else 0.0
        five = (ten < 5).sum() / one.wanted
        rows.append([one.category, five, len(ten) / one.wanted, first, gain, len(places) / one.wanted])
    return rows


def show(title: str, rows: list[list[float]]) -> None:
    """Print figures: of all questions, and R@10 by category where there are several."""
    values = np.array(rows)
    names = ("R@5", "R@10", "MRR", "nDCG@10", "candidates")
    means = "  ".join(f"{name} {mean:.3f}" for name, mean in zip(names, values[:, 1:].mean(axis=0), strict=True))
    kinds = sorted(set(values[:, 0]))
    parts = [f"{kind:.0f}: {values[values[:, 0] == kind, 2].mean():.3f}" for kind in kinds] if len(kinds) > 1 else []
    print(f"{title} ({len(rows)} questions): {means}" + (f"  R@10 by category {', '.join(parts)}" if parts else ""))


def told(held: list[list[Judged]], apart_in: Path | None = None) -> dict[str, float]:
    """Weights for what was told; figures of each conversation come from the weights of the others."""
    names, penalty = list(held[0][0].features), PENALTY["told"]
    if len(held) > 1:
        rows = []
        for number, apart in enumerate(held):
            others = [one for other, part in enumerate(held) if other != number for one in part]
            weights = fit(others, names, penalty)
            rows += figures(apart, names, weights)
            if apart_in is not None:
                apart_in.mkdir(parents=True, exist_ok=True)
                by_name = {
                    "from": f"fitted without collection {number}",
                    "told": rounded(names, weights),
                    "written": {},
                }
                (apart_in / f"{number}.json").write_text(json.dumps(by_name), encoding="utf-8")
        show("told, each conversation by the weights of the others", rows)
    everything = [one for part in held for one in part]
    weights = fit(everything, names, penalty)
    show("told, on what it was fitted to", figures(everything, names, weights))
    return rounded(names, weights)


def written(held: list[list[Judged]]) -> dict[str, float]:
    """Weights for what was written; figures of each half of the queries come from the weights of the other."""
    everything, penalty = [one for part in held for one in part], PENALTY["written"]
    halves = everything[::2], everything[1::2]
    rows = []
    for apart, other in (halves, halves[::-1]):
        rows += figures(apart, WRITTEN, fit(other, WRITTEN, penalty))
    show("written, each half by the weights of the other", rows)
    return rounded(WRITTEN, fit(everything, WRITTEN, penalty))


def rounded(names: Sequence[str], weights: np.ndarray[Any, Any]) -> dict[str, float]:
    """Weights by name, with as many digits as the file has."""
    return {name: round(float(weight), 4) for name, weight in zip(names, weights, strict=True)}


def main() -> None:
    """Fit, print figures, write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--out", type=Path, help="where to write the weights; without it, figures alone are printed")
    parser.add_argument("--apart", type=Path, help="folder for the weights of each conversation, fitted on the others")
    parser.add_argument("--origin", default="", help="what the data is and its licence, for the file of weights")
    arguments = parser.parse_args()
    held: dict[str, list[list[Judged]]] = {"told": [], "written": []}
    for memories, questions in (one for path in arguments.data for one in collections(path)):
        with tempfile.TemporaryDirectory() as folder:
            kind = "told" if any(each.speaker for each in memories) else "written"
            held[kind].append(judged(memories, questions, Path(folder)))
    weights = {"told": told(held["told"], arguments.apart)} if held["told"] else {}
    weights |= {"written": written(held["written"])} if held["written"] else {}
    if arguments.out:
        counts = ", ".join(f"{kind} on {sum(map(len, parts))} questions" for kind, parts in held.items() if parts)
        said = f"Linear listwise softmax (L2) by benchmarks/fit_recall.py, {counts}. {arguments.origin}".strip()
        arguments.out.write_text(json.dumps({"from": said} | weights, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
