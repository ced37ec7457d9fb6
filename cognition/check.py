"""Every answer passes here: its quotes must stand in memory, its claims are counted, a typed output must fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ValidationError

from cognition.thought import AnswerRejected, Evidence
from layers import analysis
from layers.delegation import delegate
from layers.run import StopReason, TookTooLong, apart
from layers.spec import LayerSpec

if TYPE_CHECKING:
    from cognition.thought import Thought
    from dionysus_mcp.records import Memory
    from layers.report import Report
    from layers.run import Run
    from layers.workbench import Workbench

SHORTEST_QUOTE = 8
"""Letters and digits of the shortest quote that counts, unless the whole memory is shorter."""

_REPAIR = """\
You turn an answer into JSON that fits a schema. Change its form, never what it says: a value that the answer does not
give stays out, or is null where the schema allows it. Reply with the one JSON object in the key "answer"."""


class Unfit(Exception):
    """An answer does not fit the output model after one repair."""

    def __init__(self, message: str, raw: Any) -> None:
        super().__init__(message)
        self.raw = raw


@dataclass(frozen=True, slots=True)
class Checked:
    """What a check found.

    Attributes:
        evidence: quotes that stand verbatim in memory.
        confidence: share of the answer's claims they support, 0 to 1; `None` if there is no evidence or no claim.
        errors: evidence that was given and doesn't hold, one line each.
    """

    evidence: tuple[Evidence, ...]
    confidence: float | None
    errors: tuple[str, ...]


def check_evidence(report: Report, memories: Mapping[str, Memory]) -> Checked:
    """Hold a report's quotes against the memories that they name.

    Args:
        report: what the manager answered.
        memories: the memories it names, by id, as the server returned them.
    """
    found: list[Evidence] = []
    errors: list[str] = []
    for given in report.evidence:
        memory = memories.get(given.id)
        if memory is None:
            errors.append(f"Evidence names a memory that was never recalled in this run: {given.id}")
        elif not _says_something(given.quote, memory.content):
            errors.append(f"A quote of memory {given.id} is too short to support anything: “{given.quote}”")
        elif not analysis.stands_in(given.quote, memory.content):
            errors.append(f"A quote does not stand in memory {given.id}: “{given.quote[:80]}”")
        else:
            found.append(Evidence(id=memory.id, quote=given.quote, source=memory.source, when=memory.occurred_at))
    return Checked(tuple(found), _confidence(report.answer, found), tuple(errors))


def fit(run: Run, bench: Workbench, manager: LayerSpec, answer: Any, output: type[BaseModel]) -> BaseModel:
    """Return the answer as an instance of `output`, with at most one repair by the manager's tier.

    Raises:
        Unfit: it doesn't fit after the repair.
        RunStopped: the run ended meanwhile.
    """
    try:
        return output.model_validate(_value(answer))
    except ValidationError as error:
        problem = _problems(error)
    schema = output.model_json_schema()
    context = {"answer": answer, "schema": schema, "problems": problem}
    repair = LayerSpec(
        name="repair", agent="tool_calling", tier=manager.tier, max_steps=1, tools=(), prompt=_REPAIR, team=()
    )
    repaired = delegate(run, bench, repair, "Give this answer in the form of the schema.", context).answer
    try:
        return output.model_validate(_value(repaired))
    except ValidationError as error:
        message = f"The answer does not fit {output.__name__}, also after one repair: {'; '.join(problem)}"
        raise Unfit(message, answer) from error


def check_answer(run: Run, thought: Thought, checks: Sequence[Callable[[Thought], object]], limit: float) -> None:
    """Have the caller's own checks look at an answer.

    Args:
        run: whose answer it is.
        thought: what they are shown.
        checks: in the order in which they are asked.
        limit: most seconds of each; one that takes longer is left behind on its thread, and nobody said yes.

    Raises:
        AnswerRejected: one returned `False`, raised an error or took too long; its `.partial` is the thought.
        RunStopped: the run ended meanwhile.
    """
    for check in checks:
        name = getattr(check, "__name__", type(check).__name__)
        try:
            passed, why = apart(run.lifeline, f"check-{name}", check, thought, limit=limit), "it returned False"
        except TookTooLong:
            passed, why = False, f"it gave nothing within {limit:g} s; the manager's tool_timeout gives it more"
        except Exception as error:  # noqa: BLE001 - somebody else's code; whatever it raises means no
            passed, why = False, str(error) or type(error).__name__
        if passed is False:
            message = f"The check {name} rejected the answer: {why}"
            partial = thought.model_copy(
                update={"stop_reason": StopReason.FAILED, "errors": (*thought.errors, message)}
            )
            raise AnswerRejected(message, partial)


def _says_something(quote: str, content: str) -> bool:
    said = sum(character.isalnum() for character in quote)
    return said >= SHORTEST_QUOTE or 0 < said == sum(character.isalnum() for character in content)


def _value(answer: Any) -> Any:
    if not isinstance(answer, str):
        return answer
    try:
        return json.loads(answer)
    except (ValueError, RecursionError):
        return answer


def _problems(error: ValidationError) -> list[str]:
    return [f"{'.'.join(map(str, each['loc'])) or 'answer'}: {each['msg']}" for each in error.errors()]


def _confidence(answer: Any, evidence: Sequence[Evidence]) -> float | None:
    claims = analysis.sentences(answer) if isinstance(answer, str) else []
    if not claims or not evidence:
        return None
    quotes = [analysis.Passage(id=piece.id, content=piece.quote) for piece in evidence]
    verdicts = analysis.reflect(claims, dict.fromkeys(claims, quotes))["verdicts"]
    return sum(verdict["verdict"] == "supported" for verdict in verdicts) / len(verdicts)
