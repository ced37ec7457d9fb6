"""What an observation says about a prediction: yes, no, or not enough to tell."""

from collections.abc import Mapping
from typing import Any

from dionysus_mcp.errors import MemoryStoreError, named

_YES = frozenset({"true", "yes"})
_NO = frozenset({"false", "no"})
_KINDS = ("contains", "lacks")


def checked_rule(rule: str | None) -> str | None:
    """A rule as it is stored: `contains: WORDS` or `lacks: WORDS`.

    Raises:
        MemoryStoreError: if it is neither.
    """
    if rule is None or not rule.strip():
        return None
    kind, separator, words = rule.partition(":")
    if not separator or kind.strip().lower() not in _KINDS or not words.strip():
        raise MemoryStoreError(
            f"The rule {named(rule)} is none that can be judged: give `contains: WORDS` or `lacks: WORDS`, or no rule "
            "and resolve the prediction with true or false."
        )
    return f"{kind.strip().lower()}: {' '.join(words.split())}"


def outcome_of(observation: bool | str | Mapping[str, Any], rule: str | None) -> bool:
    """What was observed: true, false, `{"outcome": true}`, the words yes or no, or a text that the rule judges.

    A `contains` rule looks for its words as one phrase, without regard to case or spacing.

    Raises:
        MemoryStoreError: if it can't be told.
    """
    if isinstance(observation, bool):
        return observation
    if isinstance(observation, Mapping):
        outcome = observation.get("outcome")
        if isinstance(outcome, bool):
            return outcome
        raise MemoryStoreError('The observation has no true or false under "outcome"; give {"outcome": true} or false.')
    said = " ".join(observation.lower().split())
    if said.rstrip(".!") in _YES | _NO:
        return said.rstrip(".!") in _YES
    if rule is None:
        raise MemoryStoreError(
            "A text can't resolve this prediction, as it has no rule to judge one: observe it as true or false."
        )
    kind, _, words = rule.partition(": ")
    return (words.lower() in said) == (kind == "contains")
