"""The host's functions that generated code may call, and how a call of it becomes a call of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.arguments import bound
from sandbox.errors import ValueRefused

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Mapping, Sequence

FINAL_ANSWER = "final_answer"

_MESSAGE_LIMIT = 10_000


class HostTools:
    """An allow-list of host functions by name: tools, managed agents, plain callables.

    Args:
        tools: what may be called. An object with `inputs` (a smolagents tool or agent) is called by keyword, with
            positional arguments named in the order of its inputs; any other callable gets the arguments as they come.
    """

    def __init__(self, tools: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self._tools = dict(tools or {})

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def check(self, name: str) -> None:
        """Raise NameError unless a tool has this name."""
        if name not in self._tools:
            raise NameError(f"name {name!r} is not defined")

    def call(self, name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a tool with plain arguments.

        Returns:
            What the tool returned, as it is: an object of the host.

        Raises:
            NameError: no tool has this name.
            TypeError: the arguments don't fit the tool's inputs; the tool is not called then.
            ValueError: one is none of the values that the tool takes.
            BaseException: whatever the tool raised.
        """
        self.check(name)
        tool = self._tools[name]
        inputs = getattr(tool, "inputs", None)
        if not isinstance(inputs, dict):
            return tool(*args, **kwargs)
        return tool(**bound(name, inputs, args, kwargs))


def failure_text(error: BaseException) -> str:
    """The message of a tool's error, bounded; a message that can't be printed is said to be so."""
    if isinstance(error, KeyError) and len(error.args) == 1 and isinstance(error.args[0], str):
        return error.args[0][:_MESSAGE_LIMIT]
    try:
        return str(error)[:_MESSAGE_LIMIT]
    except Exception:  # noqa: BLE001 - a tool's error whose own text fails must still reach the code as an error
        return "(the error's message can't be printed)"


def raised_in_code(error: Exception, known: Container[str] | None = None) -> tuple[str, str]:
    """An error of a host tool as what code in the sandbox is to raise: the name of a built-in type, and a message.

    Other types become the nearest built-in base, with their own name in front of the message.

    Args:
        error: what the tool raised.
        known: names of the built-in types that the sandbox has; None for all.
    """
    if isinstance(error, ValueRefused):
        return "TypeError", str(error)
    name = type(error).__name__
    bases = (base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins")
    nearest = next((base for base in bases if known is None or base in known), "Exception")
    text = failure_text(error).encode("utf-8", "replace").decode()
    return nearest, text if nearest == name else f"{name}: {text}"
