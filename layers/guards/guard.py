"""Decides on each tool call before it happens: rules, then the user's hook, then, where they say so, a person."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layers.errors import LayerError
from layers.guards.turns import Turns
from layers.guards.verdicts import Approve, BeforeTool, Decision, ToolCall, Verdict, read_answer
from layers.run.apart import apart
from layers.run.events import EventKind
from layers.run.signals import RunStopped
from observability import conventions

if TYPE_CHECKING:
    from opentelemetry.trace import Span

    from layers.guards.settings import GuardSettings
    from layers.run.loop import LoopThread
    from layers.run.run import Node
    from layers.toolbox import ToolDefinition

NOBODY = (
    "nobody is there to be asked. Give Mind(approve=…), start the command in a terminal, or say beforehand which "
    'tools are approved: --approve TOOL, or approved = ["TOOL"] in [guards]'
)


class ToolDenied(LayerError):
    """A tool may not be called; the layer's model reads why."""


class Guard:
    """Stands before every tool call that models and their code make, delegations among them.

    Args:
        settings: the rules.
        loop: where hooks that are coroutines run.
        before_tool: the user's hook; each layer's time limit for tools holds for it.
        approve: asks a person, about one call at a time; `None` if nobody is there. Waits as long as the run lives.
    """

    def __init__(
        self,
        settings: GuardSettings,
        loop: LoopThread,
        before_tool: BeforeTool | None = None,
        approve: Approve | None = None,
    ) -> None:
        self._settings = settings
        self._loop = loop
        self._before_tool = before_tool
        self._approve = approve
        self._turns = Turns()
        self._idle = settings.idle and before_tool is None

    def check(self, node: Node, tool: ToolDefinition, arguments: dict[str, Any], span: Span) -> None:
        """Return if a call may happen; the decision is told to the run's events and to a span.

        Args:
            node: the agent that calls.
            tool: what it calls.
            arguments: checked against the tool's schema.
            span: that of the call.

        Raises:
            ToolDenied: it may not.
            RunStopped: the run was stopped while a hook or a person was thinking.
        """
        if self._idle:
            return
        names = (tool.name, *tool.also_known_as)
        call = ToolCall(tool.name, names, arguments, node.path, node.run.id, stopped=node.run.lifeline.stopped)
        began = time.monotonic()
        decision = self._decided(node, call)
        if decision.verdict is Verdict.ASK:
            decision = self._asked(node, replace(call, reason=decision.reason), decision)
        # A hook that is told of the end may still say yes before the waiting thread hears of it.
        node.run.lifeline.check()
        _tell(node, call, decision, span, time.monotonic() - began)
        if decision.verdict is not Verdict.ALLOW:
            why = decision.reason or f"not allowed ({decision.by})"
            raise ToolDenied(f"The tool {tool.name} was denied: {why}. Go on without this call.")

    def _decided(self, node: Node, call: ToolCall) -> Decision:
        """Return the stricter one of what the rules and the hook say; a denial needs no second opinion."""
        decision = self._settings.decide(call)
        hook = self._before_tool
        if hook is None or decision.verdict is Verdict.DENY:
            return decision
        try:
            said = read_answer(self._called(node, hook, call, node.spec.tool_timeout))
        except RunStopped:
            raise
        except BaseException as error:  # noqa: BLE001 - somebody else's code; whatever it raises means no
            return Decision(Verdict.DENY, _broken("before_tool", error))
        return decision if said is None else decision.stricter(said)

    def _asked(self, node: Node, call: ToolCall, asked: Decision) -> Decision:
        """Return a person's answer; one question at a time, and none once the run has stopped."""
        if self._settings.approves(call):
            return Decision(Verdict.ALLOW, "approved beforehand", "approved")
        if self._approve is None:
            return Decision(Verdict.DENY, f"it needs an approval ({asked.by}), and {NOBODY}", asked.by)
        with self._turns.mine(node.run.lifeline):
            node.publish(EventKind.APPROVAL_ASKED, f"may {call.layer} call {call.tool}?", tool=call.tool, by=asked.by)
            try:
                approved = self._called(node, self._approve, call, None)
            except RunStopped:
                raise
            except BaseException as error:  # noqa: BLE001 - the same
                return Decision(Verdict.DENY, _broken("approve", error), "approve")
        if approved is True:
            return Decision(Verdict.ALLOW, by="approve")
        return Decision(Verdict.DENY, "the user said no", "approve")

    def _called(self, node: Node, hook: Callable[[ToolCall], Any], call: ToolCall, limit: float | None) -> Any:
        """Call a hook on a thread of its own; what it awaits runs on the mind's loop."""
        lifeline = node.run.lifeline
        answer = apart(lifeline, f"guard-{call.tool}", hook, call, limit=limit)
        if not inspect.isawaitable(answer):
            return answer
        return lifeline.wait(self._loop.submit(_awaited(answer)), limit)


async def _awaited(answer: Any) -> Any:
    return await answer


def _broken(name: str, error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return f"{name} gave no answer in time"
    return f"{name} failed: {type(error).__name__}: {error}"


def _tell(node: Node, call: ToolCall, decision: Decision, span: Span, seconds: float) -> None:
    verdict = str(decision.verdict)
    facts = {conventions.GEN_AI_TOOL_NAME: call.tool, conventions.GUARD_VERDICT: verdict}
    facts |= {conventions.GUARD_BY: decision.by, conventions.GUARD_REASON: decision.reason}
    span.add_event("guard", {**facts, conventions.GUARD_SECONDS: round(seconds, 3)})
    span.set_attributes(facts)
    why = f": {decision.reason}" if decision.reason else ""
    summary = f"{call.tool} {verdict} by {decision.by}{why}"
    node.publish(
        EventKind.TOOL_DECISION, summary[:160], tool=call.tool, verdict=verdict, by=decision.by, reason=decision.reason
    )
