"""What is decided on a tool call, and what a decision is made from."""

from __future__ import annotations

import json
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    """Whether a tool may be called; of two verdicts on one call the stricter holds."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"

    @property
    def strictness(self) -> int:
        """0 for allow, 1 for ask, 2 for deny."""
        return list(Verdict).index(self)


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict, who gave it and why.

    Attributes:
        reason: in words; the layer's model sees that of a denial.
        by: `rule 2`, `default`, `before_tool`, `approve`.
    """

    verdict: Verdict
    reason: str = ""
    by: str = "before_tool"

    def stricter(self, other: Decision) -> Decision:
        """Return the stricter one of two; this one if they are equal."""
        return other if other.verdict.strictness > self.verdict.strictness else self


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call that has not happened yet, as hooks and rules see it.

    Attributes:
        tool: what models and code call: `recall`, `github_search_issues`, `perception`, `delegate`.
        names: every name the settings know it by, `tool` among them: `github.search_issues`, `perceptual`.
        arguments: JSON values by name, checked against the tool's schema. Written by a model: hostile.
        path: the layers from the manager down to the one that calls.
        run_id: names the run in the trace.
        reason: why it is asked about; empty for a hook.
        stopped: set once the run has ended, and with it the interest in an answer.
    """

    tool: str
    names: tuple[str, ...]
    arguments: Mapping[str, Any]
    path: tuple[str, ...]
    run_id: str
    reason: str = ""
    stopped: threading.Event = field(default_factory=threading.Event, compare=False, repr=False)

    @property
    def layer(self) -> str:
        """The layer that calls."""
        return self.path[-1] if self.path else ""

    def argument(self, name: str) -> str | None:
        """Return an argument as text, JSON unless it is a text; `None` if it wasn't given."""
        if name not in self.arguments:
            return None
        value = self.arguments[name]
        return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


Answer = Decision | Verdict | str | bool | None
BeforeTool = Callable[[ToolCall], Answer | Awaitable[Answer]]
"""A hook: says what may happen, `None` for no opinion."""
Approve = Callable[[ToolCall], bool | Awaitable[bool]]
"""Asks a person: only `True` lets the call happen."""


def read_answer(answer: Any) -> Decision | None:
    """Return what a hook's answer means; `None` for no opinion.

    Raises:
        ValueError: it means nothing.
    """
    if answer is None or isinstance(answer, Decision):
        return answer
    if isinstance(answer, bool):
        return Decision(Verdict.ALLOW if answer else Verdict.DENY)
    if isinstance(answer, str) and answer in set(Verdict):
        return Decision(Verdict(answer))
    said = f"{type(answer).__name__} {str(answer)[:40]!r}" if isinstance(answer, str) else type(answer).__name__
    raise ValueError(f"it returned {said}, which is none of allow, ask, deny, True, False, None")
