"""Plans, and the report of a layer whose steps are used up: from what its observations brought to light.

The messages of a closing call don't say which layer it is, so this works from the observations alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from layers.analysis import ask, parts
from layers.tiers.offline.composing import abstention
from layers.tiers.offline.moves import NOTE, Report, report
from layers.tiers.offline.statements import Statement, distinct, flat, listed, pool_of, state

if TYPE_CHECKING:
    from layers.tiers.offline.conversation import Conversation


def plan(conversation: Conversation) -> str:
    """Return a plan in words."""
    asked = "; ".join(part.text for part in parts(conversation.task)) or "the task"
    return f"1. Recall what memory holds on: {asked}.\n2. Join and check it.\n3. Report with quotes.\n<end_plan>"


def report_of(conversation: Conversation) -> Report:
    """Return the report on the task from what was found."""
    seen = [value for outcome in conversation.observed for value in _objects(outcome)]
    perceived = conversation.context.get("perception")
    reports = [*([perceived] if isinstance(perceived, dict) else []), *(each for each in seen if "answer" in each)]
    question = ask(conversation.task)
    statements: list[Statement] = [s for each in reports for s in listed(each) if s.get("answered")]
    recalls = [each for each in seen if "hits" in each]
    statements += [s for s in state(question, pool_of(recalls), most=3) if s["answered"]]
    statements = distinct(sorted(statements, key=lambda s: -float(s.get("score") or 0.0)))[:3]
    unfinished = "The steps were used up before this was checked."
    if not statements:
        return report(abstention([question], []), [], [unfinished], abstained=True, note=NOTE)
    answer = "\n".join(flat(str(statement["quote"])) for statement in statements)
    return report(answer, statements, [unfinished], statements=statements, note=NOTE)


def _objects(values: Iterable[Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for value in values:
        found += [each for each in (value if isinstance(value, list) else [value]) if isinstance(each, dict)]
    return found
