"""Whether a tool may be called: rules of the settings, a hook of the user's own, and a person who is asked."""

from layers.guards.guard import Guard, ToolDenied
from layers.guards.settings import GuardSettings, Rule
from layers.guards.verdicts import Approve, BeforeTool, Decision, ToolCall, Verdict

__all__ = ["Approve", "BeforeTool", "Decision", "Guard", "GuardSettings", "Rule", "ToolCall", "ToolDenied", "Verdict"]
