"""The consciousness offline: which layers a question needs, in which order, and what is said in the end.

Conception where the question has several parts or the findings several claims; abstraction where claims disagree or no
single memory suffices; metacognition always, which may send it round once more for what is missing.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from layers.analysis import Question, parts, terms
from layers.tiers.offline.composing import abstention, compose
from layers.tiers.offline.filling import filled
from layers.tiers.offline.moves import NOTE, Act, Call, Policy, Report, report
from layers.tiers.offline.statements import Statement, distinct, listed, question_of, words_of

if TYPE_CHECKING:
    from layers.tiers.offline.conversation import Conversation

_NAMES = {
    "perceptual": ("perception", "perceptual"),
    "conceptual": ("conception", "conceptual"),
    "abstract": ("abstraction", "abstract"),
    "metacognitive": ("metacognition", "metacognitive"),
}
_MOST_OPEN = 3
_RIVAL = 0.1  # how near behind the best another memory's statement counts as a claim of its own
_ORDER = re.compile(
    r"^(?:please\s+)?(?:remember|note|keep in mind|memori[sz]e)(?:\s+that|:)\s+(.+)$", re.IGNORECASE | re.DOTALL
)

Steps = Generator[Act, list[Any], None]


@dataclass(slots=True)
class Draft:
    """What is known so far on one task.

    Attributes:
        statements: quotes to answer with, the best first.
        perceived: all that perception found.
        settled: conflicts as the abstract layer settled them.
        conflicts: conflicts that conception found and nobody settled.
        claims: what the conflicts refer to.
        missing: words that no memory holds.
        said: open questions of the layers.
        dropped: parts of the question that metacognition found unanswered.
        verdict: metacognition's last word; `""` without that layer.
    """

    statements: list[Statement] = field(default_factory=list[Statement])
    perceived: list[Statement] = field(default_factory=list[Statement])
    settled: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    conflicts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    claims: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    missing: list[str] = field(default_factory=list[str])
    said: list[str] = field(default_factory=list[str])
    dropped: list[int] = field(default_factory=list[int])
    verdict: str = ""


def think(conversation: Conversation) -> Policy:
    """Lead the other layers to an answer, or to saying that memory holds none."""
    if order := _ORDER.match(conversation.task):
        return (yield from _remember(conversation, order.group(1).strip()))
    task = question_of(conversation.task, conversation.context)
    asked = parts(task)
    perceived = conversation.context.get("perception")
    draft = Draft()
    _take_perception(draft, perceived if isinstance(perceived, dict) else {}, asked)
    yield from _work_out(conversation, task, asked, draft)
    yield from _check(conversation, task, asked, draft, looked_again=False)
    if draft.verdict == "look again":
        yield from _look_again(conversation, task, asked, draft)
    return _answer(conversation, asked, draft)


def _take_perception(draft: Draft, perceived: Mapping[str, Any], asked: Sequence[Question]) -> None:
    found = listed(perceived)
    rivals = [s for s in found if s.get("answered") or s.get("score", 0.0) >= found[0].get("score", 0.0) - _RIVAL]
    # Without conception, the nearest quote is all that perception can say, unless a list was asked for.
    draft.statements = found[:4] if asked[0].wants_many else found[:1]
    draft.claims = rivals
    draft.perceived = found
    draft.missing = words_of(perceived, "missing")


def _work_out(conversation: Conversation, task: str, asked: Sequence[Question], draft: Draft) -> Steps:
    """Call conception, abstraction and the user's own layers as far as the question needs them."""
    conception, abstraction = _find(conversation, "conceptual"), _find(conversation, "abstract")
    calls: list[Call] = []
    several = len(asked) > 1 or len(draft.claims) > 1
    if conception and (several or not (draft.statements or abstraction)):
        calls.append(_order(conception, task, {"statements": _brief(draft.perceived), "missing": draft.missing}))
    calls += [
        _order(name, task, {"statements": _brief(draft.perceived)}) for name in _others(conversation, task, draft)
    ]
    if calls:
        why = f"The question has {len(asked)} part(s) and {len(draft.claims)} rival quote(s): I ask {_named(calls)}."
        reports = yield Act(why, calls, "reports")
        for found in reports:
            _take(draft, found)
    if abstraction:
        yield from _abstract(abstraction, task, asked, draft)


def _abstract(abstraction: str, task: str, asked: Sequence[Question], draft: Draft) -> Steps:
    """Have conflicts settled, and every part that no single memory answers looked up over two."""
    calls: list[Call] = []
    if draft.conflicts:
        calls.append(_order(abstraction, task, {"conflicts": draft.conflicts, "claims": draft.claims}))
    disputed = {
        int(draft.claims[i].get("part", 0)) for c in draft.conflicts for i in c["claims"] if i < len(draft.claims)
    }
    open_parts = [n for n in range(len(asked)) if n not in disputed and not _suffices(draft, n)]
    whole = len(asked) == 1
    calls += [
        _order(abstraction, task if whole else asked[n].text, {"part": n, "statements": draft.perceived})
        for n in open_parts[:_MOST_OPEN]
    ]
    if not calls:
        return
    reasons = ["claims disagree" if draft.conflicts else "", "no single memory suffices" if open_parts else ""]
    why = " and ".join(filter(None, reasons)).capitalize()
    reports = yield Act(f"{why}: I ask {abstraction}.", calls, "abstracted")
    for found in reports:
        _take_abstraction(draft, found)


def _check(
    conversation: Conversation, task: str, asked: Sequence[Question], draft: Draft, *, looked_again: bool
) -> Steps:
    """Have the draft judged; what doesn't stand is dropped."""
    metacognition = _find(conversation, "metacognitive")
    if not metacognition:
        return
    context = {"statements": draft.statements, "missing": draft.missing, "looked_again": looked_again}
    (found,) = yield Act(f"I have {metacognition} judge the draft.", [_order(metacognition, task, context)], "judged")
    draft.verdict = str(found.get("verdict") or "accept")
    accepted = found.get("accepted_parts")
    if isinstance(accepted, list) and draft.verdict != "look again":
        draft.dropped = [number for number in range(len(asked)) if number not in accepted]
    draft.missing = list(dict.fromkeys([*words_of(found, "terms"), *draft.missing]))


def _look_again(conversation: Conversation, task: str, asked: Sequence[Question], draft: Draft) -> Steps:
    """The second and last round: perceive what was lacking, work it out anew, and have it judged for good."""
    perception = _find(conversation, "perceptual")
    if perception:
        names = [name for part in asked for name in part.names]
        wanted = " ".join(dict.fromkeys([*names, *draft.missing])) or task
        (found,) = yield Act("I look again for what is lacking.", [_order(perception, wanted, {})], "seen_again")
        draft.statements = distinct([*draft.statements, *_close(listed(found))])
    yield from _check(conversation, task, asked, draft, looked_again=True)


def _answer(conversation: Conversation, asked: Sequence[Question], draft: Draft) -> Report:
    schema = conversation.context.get("output_schema")
    if not draft.statements or draft.verdict == "abstain" or len(draft.dropped) == len(asked):
        text = abstention(asked, draft.missing)
        return report(text, [], [part.text for part in asked], abstained=True, note=NOTE)
    answer, evidence = compose(asked, draft.statements, draft.settled, draft.conflicts, draft.claims, draft.dropped)
    open_questions = [asked[number].text for number in draft.dropped]
    if isinstance(schema, dict):
        return report(filled(schema, asked, evidence), evidence, open_questions, note=NOTE)
    return report(answer, evidence, [*open_questions, *draft.said], note=NOTE)


def _remember(conversation: Conversation, fact: str) -> Policy:
    if "remember" not in conversation.may_call:
        return report("I have no tool to remember with.", [], [], note=NOTE)
    kept = yield Act("I am told to remember something.", [Call("remember", {"content": fact})], "kept")
    return report(f"Remembered: {fact}" if kept[0].get("id") else "That could not be remembered.", [], [], note=NOTE)


def _suffices(draft: Draft, number: int) -> bool:
    """Whether one memory alone answers a part: its statement is judged an answer and leaves no word of it uncovered."""
    mine = [statement for statement in draft.statements if int(statement.get("part", 0)) == number]
    return any(statement.get("answered") and not statement.get("uncovered") for statement in mine)


def _take(draft: Draft, found: Mapping[str, Any]) -> None:
    """Take a report of conception, or of a layer of the user's own, which adds its quotes."""
    if statements := listed(found):
        draft.statements = statements
    else:
        draft.statements = distinct([*draft.statements, *listed(found, "evidence")])
    if conflicts := listed(found, "conflicts"):
        draft.conflicts, draft.claims = conflicts, listed(found, "claims")


def _take_abstraction(draft: Draft, found: Mapping[str, Any]) -> None:
    """Take what was settled, and a chain over several memories.

    A part that has one needs its old statements no more.
    """
    draft.said += words_of(found, "open_questions")
    if settled := listed(found, "settled"):
        draft.settled += settled
        draft.conflicts = []
    if settled or words_of(found, "links"):
        done = {int(statement.get("part", 0)) for statement in listed(found)}
        kept = [statement for statement in draft.statements if int(statement.get("part", 0)) not in done]
        draft.statements = distinct([*listed(found), *kept])
    else:
        draft.statements = distinct([*draft.statements, *listed(found)])


def _find(conversation: Conversation, layer: str) -> str:
    return next((name for name in _NAMES[layer] if name in conversation.layers), "")


def _others(conversation: Conversation, task: str, draft: Draft) -> list[str]:
    """Return the user's own layers that are asked: those whose description speaks of the task, or all when in need."""
    known = {name for names in _NAMES.values() for name in names}
    own = [conversation.may_call[name] for name in conversation.layers if name not in known]
    wanted = set(terms(task))
    return [each.name for each in own if not draft.statements or wanted & set(terms(f"{each.name} {each.description}"))]


def _order(layer: str, task: str, context: Mapping[str, Any]) -> Call:
    return Call(layer, {"task": task, "context": {key: value for key, value in context.items() if value}})


def _brief(statements: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": s.get("id"), "quote": s.get("quote")} for s in statements if s.get("id")]


def _close(statements: Sequence[Statement]) -> list[Statement]:
    return [statement for statement in statements if statement.get("score", 0.0) > 0][:3]


def _named(calls: Sequence[Call]) -> str:
    return ", ".join(call.name for call in calls)
