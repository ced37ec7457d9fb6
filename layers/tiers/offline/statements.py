"""Statements: quotes as layers pass them to each other in their reports, with what was judged about them.

A statement is a JSON object: `id`, `quote`, `source`, `when`, `speaker`, `similarity`, `score`, `part` (which part of the
question it answers), `strength`, `answered`, `absent` and `uncovered` (see `layers.analysis.answers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from layers.analysis import Excerpt, Passage, Question, answers, evidence_of, parts, rank, rarity, terms
from layers.analysis.facts import names
from layers.analysis.passages import widened
from layers.tiers.offline.moves import Call, recall

Statement = dict[str, Any]
_POINTING = re.compile(
    r"\b(?:it|its|she|her|he|him|his|they|them|their|this|that|these|those|there|then)\b", re.IGNORECASE
)
_FOLLOWING = re.compile(r"^(?:and|but|so|also|what about|how about|why|when|who|where)\b[^?]{0,25}\??$", re.IGNORECASE)


def hits_of(results: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the hits of several recalls, one after the other."""
    return [hit for result in results for hit in result.get("hits") or () if isinstance(hit, dict)]


def pool_of(
    asked: Iterable[Mapping[str, Any]],
    aside: Iterable[Mapping[str, Any]] = (),
    named: Iterable[Mapping[str, Any]] | None = None,
) -> list[Passage]:
    """Return the memories that recalls found.

    Args:
        asked: recalls of the question itself, whose similarity counts.
        aside: recalls of single words, whose similarity says nothing on the question.
        named: the recall of the question's names alone, `None` where it has none.
    """
    others = [{**hit, "similarity": None, "score": None} for hit in hits_of(aside)]
    return evidence_of([*hits_of(asked), *others], None if named is None else hits_of(named))


def probes(asked: Sequence[Question], top_k: int) -> list[Call]:
    """Return the recalls for the parts of a question, then for the names of each part that has some (see `Passage.gain`)."""
    named = [recall(" ".join(part.names), top_k) for part in asked if part.names]
    return [*(recall(part.text, top_k) for part in asked), *named]


def probed(
    asked: Sequence[Question], number: int, results: Sequence[Mapping[str, Any]]
) -> tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]] | None]:
    """Return, of what `probes` brought, the recall of one part and that of its names."""
    before = sum(bool(part.names) for part in asked[:number])
    place = len(asked) + before
    return results[number : number + 1], results[place : place + 1] if asked[number].names else None


def state(question: Question, pool: Sequence[Passage], part: int = 0, most: int = 1) -> list[Statement]:
    """Return the best statements on a question out of memories, the best first."""
    ranked = rank(question, pool)
    weights = rarity(question, pool)
    return [stated(question, excerpt, weights, part) for excerpt in ranked[:most]]


def stated(question: Question, excerpt: Excerpt, weights: Mapping[str, float], part: int) -> Statement:
    """Return an excerpt as a statement."""
    excerpt = widened(question, excerpt)
    judged = answers(question, [excerpt], weights)
    memory = excerpt.memory
    return {
        "id": memory.id,
        "quote": excerpt.quote,
        "source": memory.source,
        "when": memory.when,
        "speaker": memory.speaker,
        "similarity": memory.similarity,
        "score": round(excerpt.score, 3),
        "part": part,
        "strength": judged.strength,
        "answered": judged.answered,
        "absent": list(judged.absent),
        "uncovered": list(judged.uncovered),
    }


def excerpt_of(statement: Mapping[str, Any], pool: Mapping[str, Passage]) -> Excerpt:
    """Return a statement as the excerpt it was made of, with its whole memory where that was recalled."""
    memory = pool.get(str(statement.get("id"))) or Passage(
        id=str(statement.get("id", "")),
        content=str(statement.get("quote", "")),
        source=str(statement.get("source") or ""),
        when=str(statement.get("when") or ""),
        speaker=str(statement.get("speaker") or ""),
        similarity=statement.get("similarity"),
    )
    return Excerpt(memory, str(statement.get("quote", "")), 0.0, 0.0, float(statement.get("score") or 0.0))


def listed(report: Mapping[str, Any], key: str = "statements") -> list[dict[str, Any]]:
    """Return the objects under a key of a report, whatever a layer put there."""
    found = report.get(key)
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def words_of(report: Mapping[str, Any], key: str) -> list[str]:
    """Return the strings under a key of a report."""
    found = report.get(key)
    return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []


def flat(text: str) -> str:
    """Return a quote on one line."""
    return " ".join(text.split())


def question_of(task: str, context: Mapping[str, Any]) -> str:
    """Return the task as a question that stands alone: a follow-up is filled up with what the last turn was about."""
    turns = listed(context, "history")
    if not turns or names(task, opening=False) or not (_POINTING.search(task) or _FOLLOWING.match(task.strip())):
        return task
    last = str(turns[-1].get("task", ""))
    subject = [name for part in parts(last) for name in part.names] or list(terms(last))[:4]
    return f"{task} ({', '.join(dict.fromkeys(subject))})" if subject else task


def distinct(statements: Iterable[Statement]) -> list[Statement]:
    """Return statements without those whose quote is there already; the first of them stays."""
    found: dict[tuple[str, str], Statement] = {}
    for statement in statements:
        found.setdefault((str(statement.get("id")), flat(str(statement.get("quote", "")))), statement)
    return list(found.values())
