"""Keeps the prompt of a long-working agent bounded: its latest steps in full, the ones before in a line each.

The line of a step needs no model call. Steps are folded several at a time and not one by one: between two foldings
every prompt begins like the one before, which is what providers cache. Used by `layers.agents`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from smolagents.memory import ActionStep, PlanningStep, TaskStep, ToolCall
from smolagents.models import ChatMessage, MessageRole

if TYPE_CHECKING:
    from smolagents.memory import MemoryStep

MOST_STEPS = 12
"""Steps that a prompt shows in full; when there are more, the older half is folded."""

MOST_CHARACTERS = 60_000
"""Characters of the steps shown in full, about 15,000 tokens; when there are more, older ones are folded."""

MOST_OF_ONE = 24_000
"""Characters of one output or observation; its middle is left out."""

_LINES = 12
_LINE = 240
_INTRODUCTION = "Your earlier steps in short; variables that they set live on, results can be printed again:"


class Compaction:
    """What one agent's prompts show of its memory."""

    def __init__(self) -> None:
        self._folded = 0  # of the agent's steps, from the first
        self._lines: deque[str] = deque(maxlen=_LINES)
        self._count = 0

    def messages(self, steps: Sequence[MemoryStep], *, summary: bool = False) -> list[ChatMessage]:
        """Return the messages that stand for an agent's memory, without its system prompt.

        Args:
            steps: all of its steps, oldest first; only ever more of them from call to call. Those that are folded lose
                their texts.
            summary: leave out what the model said, as smolagents does for plans.
        """
        self._fold(steps)
        tasks = [step for step in steps[: self._folded] if isinstance(step, TaskStep)]
        shown = [message for step in tasks for message in step.to_messages()]
        if self._lines:
            shown.append(_text(MessageRole.USER, "\n".join([_INTRODUCTION, *self._earlier(), *self._lines])))
        for step in steps[self._folded :]:
            shown += (_shortened(message) for message in step.to_messages(summary_mode=summary))
        return shown

    def _earlier(self) -> list[str]:
        left_out = self._count - len(self._lines)
        return [f"- {left_out} steps before these"] if left_out else []

    def _fold(self, steps: Sequence[MemoryStep]) -> None:
        sizes = [_size(step) for step in steps[self._folded :]]
        acted = sum(isinstance(step, ActionStep) for step in steps[self._folded :])
        if acted <= MOST_STEPS and sum(sizes) <= MOST_CHARACTERS:
            return
        keep = acted if acted <= MOST_STEPS else MOST_STEPS // 2
        while acted > 1 and (acted > keep or sum(sizes) > MOST_CHARACTERS // 2):
            step = steps[self._folded]
            acted -= isinstance(step, ActionStep)
            self._folded += 1
            del sizes[0]
            if isinstance(step, ActionStep):
                self._count += 1
                self._lines.append(_line(step))
                _forget(step)


def _line(step: ActionStep) -> str:
    thought = str(step.model_output or "").partition("<code>")[0]
    calls = "; ".join(call.name for call in step.tool_calls or () if call.name != "python_interpreter")
    seen = str(step.error or step.observations or "").removeprefix("Execution logs:\n")
    text = " ".join(f"{thought.strip() or calls} → {seen}".split())
    return f"- step {step.step_number}: {text}"[:_LINE]


def _forget(step: ActionStep) -> None:
    """Let go of what no prompt will show again: memory stays bounded like the prompt. The trace has all of it.

    What the step's line is made of stays, for a successor that folds the same steps once more.
    """
    step.model_output = str(step.model_output or "").partition("<code>")[0][:_LINE]
    step.observations = None if step.observations is None else step.observations[:_LINE]
    step.tool_calls = [ToolCall(call.name, "", call.id) for call in step.tool_calls or ()]
    step.model_input_messages = step.model_output_message = step.code_action = None
    step.action_output = step.observations_images = None


def _size(step: MemoryStep) -> int:
    if isinstance(step, ActionStep):
        texts = (step.model_output, step.observations, step.error, step.tool_calls)
        return sum(min(len(str(text)), MOST_OF_ONE) for text in texts if text)
    return len(step.plan) if isinstance(step, PlanningStep) else 0


def _shortened(message: ChatMessage) -> ChatMessage:
    parts = message.content
    if not isinstance(parts, list) or all(len(part.get("text") or "") <= MOST_OF_ONE for part in parts):
        return message
    short = [{**part, "text": _without_middle(part["text"])} if part.get("text") else part for part in parts]
    return ChatMessage(role=message.role, content=short, tool_calls=message.tool_calls)


def _without_middle(text: str) -> str:
    left_out = len(text) - MOST_OF_ONE
    if left_out <= 0:
        return text
    half = MOST_OF_ONE // 2
    return f"{text[:half]}\n[… {left_out} characters left out; print less at once …]\n{text[-half:]}"


def _text(role: MessageRole, text: str) -> ChatMessage:
    return ChatMessage(role=role, content=[{"type": "text", "text": text}])
