"""Moves: what a layer's policy can do in a step, and the generator in which it says so.

A policy is a generator: it yields the calls of one step and is sent what they returned, until it returns its report.
The model is called once a step with the whole conversation, so each time the generator is run again from the start and
fed what was observed: the policy reads as one straight story, and nothing is kept between the calls.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOTE = "Written by Dionysus's offline tier: a rule-based policy over memory, not a language model."


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a tool or a layer."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Act:
    """One step: why, and the calls it makes.

    Attributes:
        thought: one line for the trace.
        calls: made in this order; layers among them side by side.
        variable: the name under which code keeps the results.
    """

    thought: str
    calls: Sequence[Call] = field(default=())
    variable: str = "results"


Report = dict[str, Any]
Policy = Generator[Act, list[Any], Report]


def play(policy: Policy, observed: Sequence[list[Any]]) -> Act | Report:
    """Return a policy's next move after what was observed: the next step, or the report it ends with.

    A step that failed gave nothing; the policy is sent as many empty objects as it made calls.
    """
    try:
        act = next(policy)
        for outcome in observed:
            act = policy.send(_matched(act, outcome))
    except StopIteration as end:
        return end.value
    return act


def recall(query: str, top_k: int = 8) -> Call:
    """Return a recall."""
    return Call("recall", {"query": query, "top_k": top_k})


def report(
    answer: Any, evidence: Sequence[Mapping[str, Any]] = (), open_questions: Sequence[str] = (), **rest: Any
) -> Report:
    """Return a layer's report; `evidence` are statements or anything else with an id and a quote."""
    quoted = {(str(e["id"]), str(e["quote"])): None for e in evidence if e.get("id") and e.get("quote")}
    cited = [{"id": cited_id, "quote": quote} for cited_id, quote in quoted]
    return {"answer": answer, "evidence": cited, "open_questions": list(open_questions), **rest}


def _matched(act: Act, outcome: list[Any]) -> list[Any]:
    # Code prints one array with all results; native calls give one value each.
    values = outcome[-1] if len(outcome) == 1 and isinstance(outcome[0], list) else outcome
    values = [value if isinstance(value, dict) else {} for value in values]
    return [*values, *({} for _ in act.calls)][: len(act.calls)]
