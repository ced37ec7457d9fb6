"""The conceptual layer offline: one recall per part of the question, or per thing it names; the findings joined to claims."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.analysis import Question, parts
from layers.tiers.offline.conversation import Conversation
from layers.tiers.offline.moves import NOTE, Act, Call, Policy, report
from layers.tiers.offline.statements import (
    Statement,
    distinct,
    flat,
    listed,
    pool_of,
    probed,
    probes,
    question_of,
    state,
    words_of,
)

_MOST_PARTS = 4
_TOP = 5
_MOST_LISTED = 4


def think(conversation: Conversation) -> Policy:
    """Break a question into parts, recall each, join what was found."""
    task = question_of(conversation.task, conversation.context)
    asked = parts(task)[:_MOST_PARTS]
    if "recall" not in conversation.may_call:
        return report(
            "", open_questions=["This layer has no tool to recall with."], statements=[], claims=[], note=NOTE
        )
    found = yield Act(f"The question has {len(asked)} part(s); I recall each.", probes(asked, _TOP), "found")
    statements = _statements(asked, found)
    joined: Mapping[str, Any] = {}
    ids = _ids(found, conversation.context)
    if ids and "synthesize" in conversation.may_call:
        call = Call("synthesize", {"memory_ids": ids, "question": task})
        (joined,) = yield Act("I join what was found to claims and see whether they agree.", [call], "joined")
    conflicts = _bearing(listed(joined, "conflicts"), statements)
    open_parts = [part.text for n, part in enumerate(asked) if not any(s["part"] == n for s in statements)]
    return report(
        "\n".join(flat(statement["quote"]) for statement in statements),
        statements,
        [f"Nothing was found on: {text}" for text in open_parts],
        statements=statements,
        claims=listed(joined, "claims"),
        conflicts=conflicts,
        missing=words_of(joined, "missing"),
        note=NOTE,
    )


def _statements(asked: Sequence[Question], found: Sequence[Mapping[str, Any]]) -> list[Statement]:
    # What another recall found may answer this part too, but its similarity was to another question.
    pools = [pool_of(mine, found, named) for mine, named in (probed(asked, n, found) for n in range(len(asked)))]
    most = _MOST_LISTED if len(asked) == 1 and asked[0].wants_many else 1
    return distinct(
        statement for number, part in enumerate(asked) for statement in state(part, pools[number], number, most)
    )


def _ids(found: Sequence[Mapping[str, Any]], context: Mapping[str, Any]) -> list[str]:
    seen = [str(hit["id"]) for result in found for hit in result.get("hits") or () if hit.get("id")]
    known = [str(s["id"]) for s in listed(context) if s.get("id")]
    return list(dict.fromkeys([*known, *seen]))


def _bearing(conflicts: Sequence[dict[str, Any]], statements: Sequence[Statement]) -> list[dict[str, Any]]:
    """Return the conflicts that a statement is part of; others may be true and don't matter here."""
    stated = {statement["id"] for statement in statements}
    return [conflict for conflict in conflicts if stated & set(conflict.get("ids") or ())]
