"""The `[guards]` table: rules on which tools layers may call."""

from __future__ import annotations

from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Self

from pydantic import BaseModel, ConfigDict, Field

from layers.guards.verdicts import Decision, Verdict

if TYPE_CHECKING:
    from layers.guards.verdicts import ToolCall


class Rule(BaseModel):
    """One rule: it speaks of a call where everything it names fits. Names and values are patterns with `*` and `?`.

    Attributes:
        tool: the tool's name in the settings or in code; `*` for any.
        layer: the layer that calls.
        arguments: by name, what the argument says: its text, or its JSON. An argument that isn't there fits nothing.
        verdict: what may happen then.
        reason: in words; the layer's model and the person who is asked see it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: str = Field(default="*", min_length=1)
    layer: str = Field(default="*", min_length=1)
    arguments: dict[str, str] = Field(default_factory=dict[str, str])
    verdict: Verdict
    reason: str = ""

    def fits(self, call: ToolCall) -> bool:
        """Whether the rule speaks of a call."""
        named = any(fnmatchcase(name, self.tool) for name in call.names)
        return named and fnmatchcase(call.layer, self.layer) and all(self._says(name, call) for name in self.arguments)

    def _says(self, name: str, call: ToolCall) -> bool:
        text = call.argument(name)
        return text is not None and fnmatchcase(text, self.arguments[name])


class GuardSettings(BaseModel):
    """Which tools layers may call: of the rules that fit a call the strictest holds, whatever their order.

    Attributes:
        default: for calls that no rule speaks of.
        rules: each says more.
        approved: patterns of tools for which a question is answered with yes, unasked.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    default: Verdict = Verdict.ALLOW
    rules: tuple[Rule, ...] = ()
    approved: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to look at: every call is allowed."""
        return not self.rules and self.default is Verdict.ALLOW

    def decide(self, call: ToolCall) -> Decision:
        """Return what the rules say of a call."""
        said = [
            Decision(rule.verdict, rule.reason, f"rule {number}")
            for number, rule in enumerate(self.rules, 1)
            if rule.fits(call)
        ]
        return max(said, key=_strictness, default=Decision(self.default, by="default"))

    def with_more(self, *, ask: Iterable[str] = (), deny: Iterable[str] = (), approve: Iterable[str] = ()) -> Self:
        """Return these settings and a rule, or an approval, for each of these patterns of tools."""
        more = [Rule(tool=each, verdict=Verdict.ASK) for each in ask]
        more += [Rule(tool=each, verdict=Verdict.DENY) for each in deny]
        return self.model_copy(update={"rules": (*self.rules, *more), "approved": (*self.approved, *approve)})

    def approves(self, call: ToolCall) -> bool:
        """Whether a question about a call is answered with yes beforehand."""
        return any(fnmatchcase(name, pattern) for pattern in self.approved for name in call.names)


def _strictness(decision: Decision) -> int:
    return decision.verdict.strictness
