"""Think about a task in layers, over one memory, within a budget: `from cognition import Mind`."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cognition.mind import Mind
    from cognition.thinking import Thinking
    from cognition.thought import (
        AnswerRejected,
        BudgetExceeded,
        Cancelled,
        ConfigurationError,
        DeadlineExceeded,
        Evidence,
        MemoryUnavailable,
        ModelUnavailable,
        OutputInvalid,
        SandboxUnavailable,
        ThinkingError,
        Thought,
    )
    from layers.guards import Decision, ToolCall, Verdict
    from layers.run import Budget, Event, StopReason, Usage

_FROM = {
    "cognition.mind": ("Mind",),
    "cognition.thinking": ("Thinking",),
    "cognition.thought": (
        "AnswerRejected",
        "BudgetExceeded",
        "Cancelled",
        "ConfigurationError",
        "DeadlineExceeded",
        "Evidence",
        "MemoryUnavailable",
        "ModelUnavailable",
        "OutputInvalid",
        "SandboxUnavailable",
        "ThinkingError",
        "Thought",
    ),
    "layers.guards": ("Decision", "ToolCall", "Verdict"),
    "layers.run": ("Budget", "Event", "StopReason", "Usage"),
}

__all__ = [
    "AnswerRejected",
    "Budget",
    "BudgetExceeded",
    "Cancelled",
    "ConfigurationError",
    "DeadlineExceeded",
    "Decision",
    "Event",
    "Evidence",
    "MemoryUnavailable",
    "Mind",
    "ModelUnavailable",
    "OutputInvalid",
    "SandboxUnavailable",
    "StopReason",
    "Thinking",
    "ThinkingError",
    "Thought",
    "ToolCall",
    "Usage",
    "Verdict",
]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the command's `--help` must not load agents and databases."""
    from importlib import import_module

    for module, names in _FROM.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'cognition' has no attribute {name!r}")
