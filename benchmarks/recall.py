"""Recall quality beside BM25, the embedding alone and reciprocal rank fusion, over one run and one store a collection.

    python benchmarks/recall.py --data FILE [--weights PATH] [--rerank MODEL] [--json] [--url postgresql://...]

FILE is LoCoMo's JSON (github.com/snap-research/locomo, CC BY-NC 4.0): every turn becomes a memory with its speaker,
session and date, and a question is answered by the turns named as its evidence. Or a JSON object with `documents`
(id, text) and `queries` (query, relevant ids). The installed weights were fitted on five of LoCoMo's conversations and
half of Cranfield's queries, so figures on these flatter them. `fit_recall.py --apart FOLDER` fits weights for each
conversation on all others; with `--weights FOLDER` each is judged by its own. `--weights` may name one file as well.
With `--rerank MODEL`, a model as LiteLLM names it, figures with its order are shown apart; settings such as
`DIONYSUS_MEMORY__RERANK_API_BASE` say how it is reached.
With `--url` memories are kept in that PostgreSQL database, which must hold none; they are deleted afterwards.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select

from dionysus_mcp.consolidation.shadows import shadowed
from dionysus_mcp.recall import keywords, terms, weights
from dionysus_mcp.recall.admitted import Filter
from dionysus_mcp.recall.embedder import BackgroundEmbedder
from dionysus_mcp.recall.frequencies import Frequencies, weigh
from dionysus_mcp.recall.index import MemoryIndex
from dionysus_mcp.recall.rerank import Reranker
from dionysus_mcp.recall.search import Query, Search
from dionysus_mcp.settings import MemorySettings
from dionysus_mcp.store.access import Store
from dionysus_mcp.store.memories import Memories, NewMemory, add_in, memory
from dionysus_mcp.store.vectors import Vectors
from dionysus_mcp.upkeep.purge import Purge, Selection

Question = tuple[str, int, set[str]]


def conversation(sample: dict[str, Any]) -> tuple[list[NewMemory], list[Question]]:
    """Turns of a LoCoMo conversation as memories, and its questions (text, category, evidence) but the adversarial."""
    told = sample["conversation"]
    turns = []
    for number in sorted(int(key.split("_")[1]) for key in told if re.fullmatch(r"session_\d+", key)):
        when = datetime.strptime(told[f"session_{number}_date_time"] + " +0000", "%I:%M %p on %d %B, %Y %z")
        for turn in told[f"session_{number}"]:
            shown = f" [shares {turn['blip_caption']}]" if turn.get("blip_caption") else ""
            text, origin = turn["text"].strip() + shown, {"id": turn["dia_id"]}
            said = {"speaker": turn["speaker"], "session_id": f"session_{number}", "occurred_at": when}
            turns.append(NewMemory(text, metadata=origin, **said))
    known = {turn.metadata["id"] for turn in turns}
    questions = []
    for asked in sample["qa"]:
        named = re.findall(r"D:?(\d+):(\d+)", " ".join(asked.get("evidence", [])))
        evidence = {f"D{int(session)}:{int(turn)}" for session, turn in named} & known
        if asked["category"] != 5 and evidence:
            questions.append((asked["question"], asked["category"], evidence))
    return turns, questions


def collections(path: Path) -> list[tuple[list[NewMemory], list[Question]]]:
    """Memories and questions of a file."""
    held = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(held, list):
        return [conversation(sample) for sample in held]
    texts = [(one["id"], one["text"] or one.get("title") or "-") for one in held["documents"]]
    documents = [NewMemory(text, memory_type="document", metadata={"id": key}) for key, text in texts]
    return [(documents, [(one["query"], 0, set(one["relevant"])) for one in held["queries"]])]


def ranked(
    memories: list[NewMemory],
    questions: list[Question],
    url: str,
    fitted: dict[str, dict[str, float]],
    model_name: str | None = None,
) -> list[tuple[int, set[str], dict]]:
    """Ids in the order of each method, by question."""
    settings = MemorySettings(url=url, embedder_threads=1)
    store = Store(settings)
    if Memories(store).counts():
        raise SystemExit("There are memories in this database; name one without.")
    store.write(lambda connection: add_in(connection, store.scope, memories))
    embedder = BackgroundEmbedder(store, settings)
    embedder.start()
    embedder.wait(60)
    while embedder.pending():
        time.sleep(0.2)
    model, stemmer, search = embedder.model, terms.Stemmer(), Search(store, embedder, shadowed, fitted)
    assert model is not None, embedder.detail
    searches = {"recall": search}
    if model_name is not None:
        reranker = Reranker(model_name, settings)
        searches["reranked"] = Search(store, embedder, shadowed, fitted, reranker)
    index = MemoryIndex(Vectors(store, model.model_id, model.dimension))
    index.catch_up()
    found, frequencies = [], Frequencies()
    with store.read() as connection:
        ids = {row.seq: row.metadata["id"] for row in connection.execute(select(memory.c.seq, memory.c.metadata))}
        for text, category, evidence in questions:
            weighed = weigh(connection, stemmer, frequencies, terms.words(text), len(memories))
            words = list(keywords.matches(connection, store.scope, weighed, Filter(), 100))
            query = model.embed([text])[0]
            near = index.nearest(query, Filter(), 100)
            near = near[(-(index.matrix.rows(near) @ query)).argsort()]
            meaning = index.column("seqs", near).tolist()
            orders = {"BM25": words, "embedding": meaning, "rank fusion": fused(words, meaning)}
            by_id = {name: [ids[seq] for seq in order[:10]] for name, order in orders.items()}
            for name, each in searches.items():
                by_id[name] = [hit.metadata["id"] for hit in each.recall(Query(text, 10, 10**6)).hits]
            found.append((category, evidence, by_id))
    for each in searches.values():
        each.close()
    embedder.close()
    if store.in_postgres:
        Purge(store, Selection(everything=True)).run()
    store.close()
    return found


def fused(*orders: list[int]) -> list[int]:
    """Reciprocal rank fusion with k = 60 (Cormack et al. 2009)."""
    scores: dict[int, float] = {}
    for order in orders:
        for rank, seq in enumerate(order):
            scores[seq] = scores.get(seq, 0.0) + 1 / (61 + rank)
    return sorted(scores, key=lambda seq: -scores[seq])


def weights_for(number: int, path: Path | None) -> dict[str, dict[str, float]]:
    """Weights of a collection: of a file, of the file with its number in a folder, or those that are installed."""
    if path is None:
        return weights.load()
    return weights.load(path / f"{number}.json" if path.is_dir() else path)


def figures(chosen: list[tuple[int, set[str], dict]], method: str) -> dict[str, float]:
    """Means over questions; MRR is that of the first ten."""
    found = []
    for _, evidence, order in chosen:
        hits = [key in evidence for key in order[method]]
        best = sum(1 / math.log2(place + 2) for place in range(min(10, len(evidence))))
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
        first = 1 / (hits.index(True) + 1) if True in hits else 0.0
        found.append((sum(hits[:5]) / len(evidence), sum(hits) / len(evidence), first, gain / best))
    return dict(zip(("R@5", "R@10", "MRR", "nDCG@10"), map(statistics.mean, zip(*found, strict=True)), strict=True))


def main() -> None:
    """Print figures of all questions and of each category, by method."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, help="a file of weights, or a folder with one a collection")
    parser.add_argument("--rerank", metavar="MODEL", help="a model that orders the hits, shown apart")
    parser.add_argument("--url", help="keep the memories in this PostgreSQL database")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    arguments = parser.parse_args()
    rows = []
    for number, (memories, questions) in enumerate(collections(arguments.data)):
        with tempfile.TemporaryDirectory() as folder:
            url = arguments.url or f"sqlite:///{Path(folder) / 'memory.db'}"
            rows += ranked(memories, questions, url, weights_for(number, arguments.weights), arguments.rerank)
    kinds = {"all": rows} | {
        f"category {one}": [row for row in rows if row[0] == one] for one in {row[0] for row in rows}
    }
    found = {
        kind: {"questions": len(chosen)} | {method: figures(chosen, method) for method in chosen[0][2]}
        for kind, chosen in sorted(kinds.items())
    }
    print(json.dumps(found, indent=1) if arguments.json else shown(found))


def shown(found: dict[str, dict[str, Any]]) -> str:
    """Figures as lines."""
    lines = []
    for kind, held in found.items():
        lines.append(f"{kind}: {held['questions']} questions")
        for method in [name for name in held if name != "questions"]:
            lines.append(f"  {method:12s} " + "  ".join(f"{name} {value:.3f}" for name, value in held[method].items()))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
