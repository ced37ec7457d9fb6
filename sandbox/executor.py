"""The face of every sandbox: smolagents' executor protocol, files, limits and a life cycle.

The only module of this package that imports smolagents, and therefore imported late. A backend subclasses `Sandbox` and
implements `_execute` and `_close`; the rest, and so the meaning of the contract, is the same for all of them.
"""

from __future__ import annotations

import os
import time
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from opentelemetry.trace import NoOpTracer
from smolagents.local_python_executor import CodeOutput, LocalPythonExecutor, PythonExecutor

from observability import Kind, conventions, span
from sandbox.errors import (
    BackendLost,
    CodeError,
    ExecutionStopped,
    LimitExceeded,
    SandboxClosed,
    SandboxUnavailable,
    SessionLost,
    ValueRefused,
)
from sandbox.files import Files
from sandbox.host_tools import HostTools
from sandbox.printed import Printed
from sandbox.turns import Turns
from sandbox.values import Reduce, plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from sandbox.settings import Limits

__all__ = ["CodeOutput", "LocalPythonExecutor", "Outcome", "Sandbox"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a step ended without an error.

    Attributes:
        value: of the last expression, plain; or what `final_answer` returned, an object of the host.
        is_final: the step ended by calling `final_answer`.
    """

    value: Any
    is_final: bool = False


class Sandbox(PythonExecutor):
    """Runs the code of one agent run, step by step; variables are kept between the steps.

    A context manager, and an executor: `CodeAgent(executor=sandbox)`. Tools stay on the host and are called over the
    boundary with plain values. One thread at a time may run code in it; `cleanup` may come from any.

    Args:
        limits: what the code may use.
        tracer: records every execution as a span; None records nothing.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `clock`, in seconds; of `time.monotonic()` unless another is given.
        files: put in before the first step.
        clock: the moment, in seconds.

    Attributes:
        backend: name of the backend.
        limits: what the code may use.
        state: `_print_outputs` holds what the last step printed, also when it raised.
    """

    backend: str
    _reduce: Reduce | None = None

    def __init__(
        self,
        *,
        limits: Limits,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.state: dict[str, Any] = {"_print_outputs": ""}
        self._tracer = tracer or NoOpTracer()
        self._stop = stop
        self._deadline = deadline
        self._clock = clock
        self._files = Files(limits, files)
        self._tools = HostTools()
        self._variables: dict[str, Any] = {}
        self._unsent: dict[str, Any] = {}
        self._cold = True
        self._closed = False
        self._turns = Turns()
        self._owner = os.getpid()

    def send_tools(self, tools: Mapping[str, Callable[..., Any]]) -> None:
        """Make these host functions callable by name, and no others.

        The one named `final_answer` ends the step, and the value it returns is the step's output.
        """
        self._tools = HostTools(tools)

    def send_variables(self, variables: Mapping[str, Any]) -> None:
        """Set variables of the code from plain values, before its next step.

        Raises:
            ValueRefused: a name is not an identifier, or a value can't cross the boundary.
        """
        for name, value in variables.items():
            if not name.isidentifier():
                raise ValueRefused(f"{name!r} is not a name that a variable can have")
            try:
                self._unsent[name] = self._variables[name] = plain(value, self.limits, reduce=self._reduce)
            except ValueRefused as refused:
                raise ValueRefused(f"the variable {name!r} can't be sent: {refused}") from None

    def __call__(self, code_action: str) -> CodeOutput:
        """Run one step.

        Returns:
            The value of the last expression and what was printed, or the result of `final_answer`.

        Raises:
            CodeError: the code raised an error, or reached a limit.
            SandboxClosed: after `cleanup`.
            SandboxError: another thread, or the step that called this, is running code in it.
            BackendLost: the backend is gone, or belongs to the process that this one was forked from.
            ExecutionStopped: `stop` was set or the deadline passed; the session is closed.
            BaseException: the very object that a host tool raised, unless it is an `Exception`; the session is closed.
        """
        try:
            self._check_owner()  # before any lock: one that was held when this process was forked is never let go of
        except SandboxUnavailable as foreign:
            raise BackendLost(str(foreign)) from foreign
        with self._turns.step():
            return self._ended_on_stop(code_action)

    def _ended_on_stop(self, code: str) -> CodeOutput:
        try:
            return self._recorded_step(code)
        except SandboxUnavailable as gone:
            self.cleanup()
            raise BackendLost(str(gone)) from gone
        except Exception:
            raise
        except BaseException:
            # A stop signal: no later step may run, and nothing of this one may go on.
            self.cleanup()
            raise

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file that code opens by this name.

        Raises:
            FileRefused: the name is absolute, has `..` or is odd, or a size limit would be passed.
            SandboxClosed: after `cleanup`.
        """
        self._check_open()
        self._files.put(name, content)

    def get_file(self, name: str) -> bytes:
        """Read a file that was put, or that the code wrote.

        Raises:
            FileRefused: there is none of this name.
            SandboxClosed: after `cleanup`.
        """
        self._check_open()
        return self._files.get(name)

    def list_files(self) -> list[str]:
        """Names of all files, sorted.

        Raises:
            SandboxClosed: after `cleanup`.
        """
        self._check_open()
        return self._files.names()

    def cleanup(self) -> None:
        """End the session and its process. May be called again, and from another thread. Nothing in a forked child."""
        if os.getpid() == self._owner:
            self._closed = True
            self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cleanup()

    @abstractmethod
    def _execute(self, code: str, printed: Printed) -> Outcome:
        """Run one step; raise what `__call__` promises. Variables in `_unsent` are bound first."""

    @abstractmethod
    def _close(self) -> None:
        """Free everything, at once, from any thread, as often as asked."""

    def _recorded_step(self, code: str) -> CodeOutput:
        attributes = {conventions.INPUT: code, conventions.SANDBOX_BACKEND: self.backend}
        with span(self._tracer, Kind.SANDBOX, f"execute_code {self.backend}", attributes) as recorded:
            printed = Printed(self.limits.output_limit)
            try:
                outcome = self._step(code, printed)
                recorded.set_attribute(conventions.SANDBOX_EXIT, "final_answer" if outcome.is_final else "ok")
            except BaseException as error:
                recorded.set_attribute(conventions.SANDBOX_EXIT, _exit_name(error))
                raise
            finally:
                self.state["_print_outputs"] = logs = printed.text
                recorded.set_attribute(conventions.SANDBOX_COLD, self._cold)
                recorded.set_attribute(conventions.OUTPUT, logs)
        return CodeOutput(output=outcome.value, logs=logs, is_final_answer=outcome.is_final)

    def _step(self, code: str, printed: Printed) -> Outcome:
        self._check_open()
        self._check_stop()
        return self._execute(code, printed)

    def _check_owner(self) -> None:
        if os.getpid() != self._owner:
            raise SandboxUnavailable(
                f"this sandbox belongs to process {self._owner}, which this one was forked from; open another one here"
            )

    def _check_open(self) -> None:
        self._check_owner()
        if self._closed:
            raise SandboxClosed("this sandbox is closed; open another one to run code")

    def _check_stop(self) -> None:
        """Raise `ExecutionStopped` once the caller wants no more."""
        if self._stop is not None and self._stop.is_set():
            raise ExecutionStopped("the run was stopped")
        if self._deadline is not None and self._clock() >= self._deadline:
            raise ExecutionStopped("the run's deadline has passed")

    def _call_tool(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Call a host tool, with the stop signal looked at before and after."""
        self._check_stop()
        try:
            result = self._tools.call(name, args, kwargs)
        except Exception:
            self._check_stop()
            raise
        self._check_stop()
        return result


_EXITS: tuple[tuple[type[BaseException], str], ...] = (
    (SessionLost, "lost"),
    (LimitExceeded, "limit"),
    (CodeError, "error"),
    (SandboxUnavailable, "unavailable"),
    (Exception, "error"),
)


def _exit_name(error: BaseException) -> str:
    return next((name for kind, name in _EXITS if isinstance(error, kind)), "stopped")
