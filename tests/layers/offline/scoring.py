"""How the offline tier is scored on a corpus: strictly, by what a right answer must contain.

An answerable or conflicting question is right if the run answered and its answer contains every expected string; an
unanswerable one if the run abstained. A conflicting one asks which of two claims holds, so its answer must say that:
what holds comes before what it displaced, and the two are not left side by side. Case is ignored, nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cognition import Mind, StopReason, Thought

CORPORA = Path(__file__).resolve().parents[2] / "corpora"
UNSETTLED = "memory disagrees"
"""How an answer begins to list claims of which it can't say which holds."""
REMOVABLE = ("perceptual", "conceptual", "abstract", "metacognitive")


@dataclass(frozen=True)
class Outcome:
    """What came of one question."""

    question: Mapping[str, Any]
    thought: Thought

    @property
    def abstained(self) -> bool:
        return self.thought.stop_reason is StopReason.ABSTAINED

    @property
    def right(self) -> bool:
        if self.question["kind"] == "unanswerable":
            return self.abstained
        answer = str(self.thought.answer).lower()
        if self.abstained or not all(text.lower() in answer for text in self.question["expected"]):
            return False
        return self.question["kind"] != "conflicting" or says_which_holds(self.question, answer)

    @property
    def way(self) -> tuple[str, ...]:
        """The layers that made steps, in the order in which they began."""
        return tuple(layer for layer, steps in self.thought.steps.items() if steps)


def says_which_holds(question: Mapping[str, Any], answer: str) -> bool:
    """Whether an answer in lower case presents what is expected as what holds, and not what that displaced."""
    holds = min(answer.index(text.lower()) for text in question["expected"])
    displaced = [answer.find(text.lower()) for text in question["superseded"]]
    return UNSETTLED not in answer and all(place < 0 or holds < place for place in displaced)


def questions(corpus: str) -> list[dict[str, Any]]:
    return json.loads((CORPORA / corpus / "questions.json").read_text())


def open_mind(corpus: str, folder: Path, without: str | None = None) -> Mind:
    """A mind in the offline tier that has read a corpus; `folder` keeps the memory for the next one."""
    layers = {without: {"enabled": False}} if without else {}
    url = f"sqlite:///{folder / corpus}.db"
    mind = Mind(tier="offline", sandbox="monty", memory=url, layers=layers, trace={"enabled": False})
    texts = [p for p in (CORPORA / corpus).iterdir() if p.suffix in (".md", ".jsonl") and p.name != "README.md"]
    mind.remember(*texts)
    return mind


def ask_all(corpus: str, folder: Path, without: str | None = None) -> list[Outcome]:
    """Ask every question of a corpus over its memory."""
    with open_mind(corpus, folder, without) as mind:
        return [Outcome(question, mind.think(question["question"])) for question in questions(corpus)]


def score(outcomes: Sequence[Outcome]) -> float:
    """The share of right outcomes."""
    return sum(outcome.right for outcome in outcomes) / len(outcomes)


def of_kind(outcomes: Sequence[Outcome], kind: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.question["kind"] == kind]


def ways(outcomes: Sequence[Outcome]) -> Counter[tuple[str, ...]]:
    return Counter(outcome.way for outcome in outcomes)
