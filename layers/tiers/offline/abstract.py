"""The abstract layer offline: settle claims that disagree, follow a link to a second memory, and test what came out.

The test is a prediction written down before it is made: that a recall in other words brings the same evidence back.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import Any

from layers.analysis import Passage, Question, answers, ask, rank, rarity, settle, terms
from layers.analysis.facts import names
from layers.analysis.passages import coverage, covers
from layers.tiers.offline.conversation import Conversation
from layers.tiers.offline.moves import NOTE, Act, Call, Policy, Report, recall, report
from layers.tiers.offline.statements import (
    Statement,
    excerpt_of,
    flat,
    hits_of,
    listed,
    pool_of,
    question_of,
    state,
    stated,
)

_WIDE = 12
_COVERED = 0.7
_MOST_LINKS = 3
_BRINGS = 0.7  # share of what was lacking that a second memory must bring
Findings = dict[str, Any]
Steps = Generator[Act, list[Any], Findings]


def think(conversation: Conversation) -> Policy:
    """Settle a conflict or find a link, then test the outcome."""
    task = question_of(conversation.task, conversation.context)
    if "recall" not in conversation.may_call:
        return report("", open_questions=["This layer has no tool to recall with."], statements=[], note=NOTE)
    if listed(conversation.context, "conflicts"):
        findings = yield from _settling(conversation, task)
    else:
        findings = yield from _linking(conversation, task)
    findings["prediction"] = yield from _testing(conversation, task, findings["statements"])
    return _concluded(findings)


def _settling(conversation: Conversation, task: str) -> Steps:
    """Gather all that bears on the conflict, more widely than before, and let time and sources decide."""
    found = yield Act("The claims disagree. I gather every source on it.", [recall(task, _WIDE)], "found")
    claims, conflicts = listed(conversation.context, "claims"), listed(conversation.context, "conflicts")
    ids = list(dict.fromkeys([*(i for c in conflicts for i in c["ids"]), *(str(h["id"]) for h in hits_of(found))]))
    if "synthesize" in conversation.may_call:
        call = Call("synthesize", {"memory_ids": ids, "question": task})
        (joined,) = yield Act("I join all sources to claims, in order of time.", [call], "joined")
        disputed = {i for conflict in conflicts for i in conflict["ids"]}
        wider = [c for c in listed(joined, "conflicts") if disputed & set(c["ids"])]
        claims, conflicts = (listed(joined, "claims"), wider) if wider else (claims, conflicts)
    settled: list[Findings] = []
    for settlement in settle(claims, conflicts):
        holds = None if settlement.holds is None else claims[settlement.holds]
        settled.append({"holds": holds, "others": [claims[i] for i in settlement.others], "why": settlement.why})
    top = [_of_claim(s["holds"]) for s in settled if s["holds"]]
    return {"settled": settled, "statements": top, "links": []}


def _linking(conversation: Conversation, task: str) -> Steps:
    """No single memory suffices: ask memory for what is lacking about the names that the nearest memories bring in."""
    question = ask(task)
    number = int(conversation.context.get("part") or 0)
    found = yield Act("No single memory answers. I look at the nearest ones again.", [recall(task, 5)], "found")
    pool = pool_of(found)
    held = {memory.id: memory for memory in pool}
    known = [excerpt_of(statement, held) for statement in listed(conversation.context)]
    near = list({excerpt.memory.id: excerpt for excerpt in (*rank(question, pool), *known)}.values())[:_MOST_LINKS]
    queries = {query: excerpt for excerpt in near for query in _queries(question, excerpt.quote, excerpt.memory)}
    if not queries:
        return {"settled": [], "statements": state(question, pool, number), "links": []}
    asked = list(queries)[: 2 * _MOST_LINKS]
    more = yield Act("I follow the names in them to what is still lacking.", [recall(q, 5) for q in asked], "linked")
    wide = pool_of(found, more)
    weights = rarity(question, wide)
    chains = [
        _chain(question, queries[q], q, pool_of([result]), weights, number)
        for q, result in zip(asked, more, strict=True)
    ]
    best = max((c for c in chains if c), key=lambda c: c["strength"], default=None)
    single = state(question, wide, number)
    if best is None or (single and single[0]["answered"] and single[0]["strength"] >= best["strength"]):
        return {"settled": [], "statements": single, "links": []}
    return {"settled": [], "statements": best["statements"], "links": [best["name"]]}


def _queries(question: Question, quote: str, memory: Passage) -> list[str]:
    asked = frozenset(question.terms)
    words = frozenset(terms(quote)) | memory.context_terms
    lacking = [term for term in question.terms if covers(term, words, quote) < _COVERED]
    fresh = [name for name in (*names(quote), memory.speaker) if name and not frozenset(terms(name)) & asked]
    return [f"{name} {' '.join(lacking)}".strip() for name in fresh[:_MOST_LINKS]] if lacking else []


def _chain(
    question: Question, first: Any, query: str, pool: Sequence[Passage], weights: Mapping[str, float], part: int
) -> Findings | None:
    """Return the chain from a first memory over a name to a second one that has the name and what was lacking."""
    rest = ask(query)
    link = frozenset(terms(query)[:1])
    lacking = frozenset(terms(query)[1:])
    held = [memory for memory in pool if memory.id != first.memory.id and link & memory.all_terms]
    if question.names and not question.name_terms & first.memory.all_terms:
        return None  # a chain begins at what the question names
    for second in rank(rest, held)[:1]:
        if coverage(lacking, second.memory.all_terms, weights, second.quote) < _BRINGS:
            return None
        judged = answers(question, [first, second], weights)
        if not judged.answered:
            return None
        statements = [stated(question, excerpt, weights, part) for excerpt in (first, second)]
        together = {"answered": judged.answered, "strength": judged.strength, "linked": True}
        return {
            "statements": [{**statement, **together} for statement in statements],
            "strength": judged.strength,
            "name": query.split()[0],
        }
    return None


def _testing(conversation: Conversation, task: str, statements: Sequence[Statement]) -> Steps:
    """Predict that other words bring the same evidence back, try it, and say what was observed."""
    if not statements or not {"predict", "resolve"} <= set(conversation.may_call):
        return {}
    subject = statements[-1]
    other_words = " ".join(terms(f"{subject['quote']} {task}"))
    claim = f"A recall in other words brings back memory {subject['id']} on: {task}"
    prediction = Call("predict", {"statement": claim, "probability": 0.9, "domain": "task"})
    thought = "I predict that a recall in other words brings the same evidence back, and try it."
    made, seen = yield Act(thought, [prediction, recall(other_words[:300], 5)], "tried")
    held = subject["id"] in [hit.get("id") for hit in hits_of([seen])]
    number = made.get("id") or made.get("prediction_id")
    if not number:
        return {"held": held}
    call = Call("resolve", {"prediction_id": str(number), "observation": held})
    (resolved,) = yield Act("I say what was observed.", [call], "resolved")
    return {"held": held, "prediction_id": str(number), "brier": resolved.get("brier")}


def _concluded(findings: Findings) -> Report:
    statements, settled = findings["statements"], findings["settled"]
    others = [_of_claim(claim) for each in settled for claim in each["others"]]
    unsettled = [each["why"] for each in settled if not each["holds"]]
    return report(
        "\n".join(flat(statement["quote"]) for statement in statements),
        [*statements, *others],
        [f"Which of the claims holds: {why}." for why in unsettled],
        **findings,
        note=NOTE,
    )


def _of_claim(claim: Mapping[str, Any]) -> Statement:
    return {
        "id": (claim.get("ids") or [""])[0],
        "quote": claim.get("quote", ""),
        "source": claim.get("source", ""),
        "when": claim.get("when", ""),
        "speaker": claim.get("speaker", ""),
        "part": claim.get("part", 0),
        "score": claim.get("score", 0.0),
    }
