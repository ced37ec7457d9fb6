"""The metacognitive layer offline: do the quotes stand in memory, and do they answer? Accept, look again, or abstain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.analysis import Answerability, Question, answers, parts, rarity
from layers.analysis.words import spelled
from layers.tiers.offline.conversation import Conversation
from layers.tiers.offline.moves import NOTE, Act, Call, Policy, report
from layers.tiers.offline.statements import Statement, excerpt_of, hits_of, listed, pool_of, probed, probes, question_of

_MOST_PARTS = 4
_TOP = 8


def think(conversation: Conversation) -> Policy:
    """Judge a draft answer: the statements under `statements` in the context, on the task."""
    task = question_of(conversation.task, conversation.context)
    asked = parts(task)[:_MOST_PARTS]
    drafted = listed(conversation.context)
    calls = probes(asked, _TOP) if "recall" in conversation.may_call else []
    reflecting = drafted and "reflect" in conversation.may_call
    if reflecting:
        calls.append(Call("reflect", {"claims": [statement["quote"] for statement in drafted]}))
    seen = (
        (yield Act("I hold every quote against memory, and the question against the quotes.", calls, "seen"))
        if calls
        else []
    )
    verdicts = listed(seen[-1], "verdicts") if reflecting else []
    standing = _standing(drafted, verdicts)
    judged = [_judge(number, part, asked, standing, seen) for number, part in enumerate(asked)]
    return _verdict(asked, judged, drafted, standing, seen, conversation.context)


def _standing(drafted: Sequence[Statement], verdicts: Sequence[Mapping[str, Any]]) -> list[Statement]:
    """Return the statements whose quotes memory supports; all of them where nothing could be held against memory."""
    if not verdicts:
        return list(drafted)
    refuted = {str(verdict.get("claim")) for verdict in verdicts if verdict.get("verdict") != "supported"}
    return [statement for statement in drafted if statement["quote"] not in refuted]


def _judge(
    number: int,
    part: Question,
    asked: Sequence[Question],
    standing: Sequence[Statement],
    seen: Sequence[Mapping[str, Any]],
) -> Answerability:
    # The recall of this very part comes first, so that its similarity to the memory is the one that counts.
    mine, named = probed(asked, number, seen)
    pool = {memory.id: memory for memory in pool_of(mine, seen, named)}
    drafted = [s for s in standing if len(asked) == 1 or s.get("part", 0) == number]
    weights = rarity(part, list(pool.values()))
    singles = [answers(part, [excerpt_of(statement, pool)], weights) for statement in drafted or standing]
    linked = [excerpt_of(statement, pool) for statement in drafted if statement.get("linked")]
    if linked:
        singles.append(answers(part, linked, weights))
    return max(singles, key=lambda a: (a.answered, a.strength), default=answers(part, [], weights))


def _verdict(
    asked: Sequence[Question],
    judged: Sequence[Answerability],
    drafted: Sequence[Statement],
    standing: Sequence[Statement],
    seen: Sequence[Mapping[str, Any]],
    context: Mapping[str, Any],
) -> dict[str, Any]:
    failing = [(part, judgement) for part, judgement in zip(asked, judged, strict=True) if not judgement.answered]
    lacking = [w for part, j in failing for w in (*j.absent, *spelled(j.uncovered, part.text))]
    lacking = list(dict.fromkeys(lacking))
    again = bool(failing and lacking and not context.get("looked_again") and hits_of(seen))
    accepted = len(failing) < len(asked)
    verdict = "look again" if again else "accept" if accepted else "abstain"
    reasons = [f"{part.text}: {judgement.reason}" for part, judgement in failing]
    return report(
        f"{verdict}: {'; '.join(reasons) or 'the quotes stand in memory and answer'}",
        standing,
        reasons,
        verdict=verdict,
        terms=lacking,
        accepted_parts=[n for n, j in enumerate(judged) if j.answered],
        coverage=round(sum(j.strength for j in judged) / len(judged), 3),
        quotes_standing=f"{len(standing)} of {len(drafted)}",
        note=NOTE,
    )
