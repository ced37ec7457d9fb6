"""The face of every sandbox: smolagents' executor protocol, files, limits and a life cycle.

The only module of this package that imports smolagents, and therefore imported late. A backend subclasses `Sandbox` and
implements `_execute`, `_files` and `_close`; the rest, and so the meaning of the contract, is the same for all of them.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, Self

from smolagents.local_python_executor import CodeOutput, PythonExecutor

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from sandbox.settings import Limits


class Sandbox(PythonExecutor):
    """Runs the code of one agent run, step by step; variables are kept between the steps.

    A context manager, and an executor: `CodeAgent(executor=sandbox)`. Tools stay on the host and are called over the
    boundary with plain values. One thread at a time.

    Args:
        limits: what the code may use.
        tracer: records every execution as a span; None records nothing.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `time.monotonic()`, in seconds.
        files: put in before the first step.

    Attributes:
        backend: name of the backend.
        limits: what the code may use.
        state: `_print_outputs` holds what the last step printed, also when it raised.
    """

    backend: str

    def __init__(
        self,
        *,
        limits: Limits,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.limits = limits
        self.state: dict[str, Any] = {"_print_outputs": ""}

    def send_tools(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        """Make these host functions callable by name, and no others."""
        raise NotImplementedError

    def send_variables(self, variables: Mapping[str, Any]) -> None:
        """Set variables of the code from plain values, before its next step.

        Raises:
            ValueRefused: a value can't cross the boundary.
        """
        raise NotImplementedError

    def __call__(self, code_action: str) -> CodeOutput:
        """Run one step.

        Returns:
            The value of the last expression and what was printed, or the argument of `final_answer`.

        Raises:
            CodeError: the code raised an error, or reached a limit.
            SandboxClosed: after `cleanup`.
            SandboxUnavailable: the backend is gone.
            ExecutionStopped: `stop` was set or the deadline passed; the session is closed.
            BaseException: the very object that a host tool raised, unless it is an `Exception`; the session is closed.
        """
        raise NotImplementedError

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file that code opens by this name.

        Raises:
            FileRefused: the name is absolute, has `..` or is odd, or a size limit would be passed.
        """
        raise NotImplementedError

    def get_file(self, name: str) -> bytes:
        """Read a file that was put, or that the code wrote.

        Raises:
            FileRefused: there is none of this name.
        """
        raise NotImplementedError

    def list_files(self) -> list[str]:
        """Names of all files, sorted."""
        raise NotImplementedError

    def cleanup(self) -> None:
        """End the session and its process. May be called again, and from another thread."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    @abstractmethod
    def _execute(self, code: str) -> CodeOutput: ...
