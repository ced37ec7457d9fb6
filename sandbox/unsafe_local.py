"""No sandbox at all: smolagents' own interpreter in this very process, for those who ask for it by name.

Published holes of it let code reach the host (CVE-2025-5120, CVE-2025-9959, CVE-2026-4963), so it is never chosen by
itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from sandbox.errors import CodeError, SandboxClosed
from sandbox.executor import LocalPythonExecutor, Outcome, Sandbox
from sandbox.host_tools import FINAL_ANSWER
from sandbox.settings import Limits, SandboxSettings
from sandbox.values import described, plain

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer

    from sandbox.printed import Printed

NOTICE: Final = (
    'backend = "unsafe-local": generated code runs inside this process, with this user\'s rights, and nothing holds it '
    "back; use it only with code that you would run yourself"
)

GUIDANCE: Final = """\
Your code runs in smolagents' local Python interpreter.
- Modules you can import: collections, datetime, itertools, json, math, queue, random, re, stat, statistics, time,
  unicodedata. Nothing else can be imported.
- Files can't be opened.
- Variables, functions and imports are kept from one code block to the next.
"""

_IMPORTS: Final = ["json"]


class UnsafeLocalBackend:
    """Opens `UnsafeLocalSandbox`es; warns in `notice`, each time it is made.

    Args:
        settings: the limits, as far as they can be kept.
    """

    name = "unsafe-local"
    guidance = GUIDANCE
    notice = NOTICE

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        self.settings = settings or SandboxSettings()

    def open(
        self,
        *,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> UnsafeLocalSandbox:
        """Open one for an agent run; see `Backend.open`."""
        return UnsafeLocalSandbox(limits=self.settings, tracer=tracer, stop=stop, deadline=deadline, files=files)

    def close(self) -> None:
        """Nothing is kept open."""


class UnsafeLocalSandbox(Sandbox):
    """Runs code in this process, and keeps the contract of `Sandbox` where it can.

    What it can't:
    - memory, recursion and file limits don't exist; files can be put and listed, but code can't open them;
    - a step's time is not limited (smolagents ends a `while` loop after a million rounds, and its own time limit would
      only be told after the code has ended); the stop signal and the deadline are looked at when the step starts and at
      each call of a tool, not in between;
    - a stop signal raised by a tool leaves the call, but code with a bare `except:` may see it first;
    - errors name the failing statement, not its line.
    """

    backend = "unsafe-local"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(limits=limits or Limits(), tracer=tracer, stop=stop, deadline=deadline, files=files)
        self._local: LocalPythonExecutor | None = LocalPythonExecutor(_IMPORTS, timeout_seconds=None)
        self._stopped_by: BaseException | None = None
        self._host_calls = 0

    def _execute(self, code: str, printed: Printed) -> Outcome:
        local = self._local
        if local is None:
            raise SandboxClosed("this sandbox is closed; open another one to run code")
        self._stopped_by, self._host_calls = None, 0
        local.send_tools(cast("dict[str, Any]", {name: self._carried(name) for name in self._tools}))
        unsent, self._unsent = self._unsent, {}
        local.send_variables(unsent)
        try:
            output = local(code)
        except Exception as error:  # noqa: BLE001 - smolagents raises the code's errors as they come
            self._check_stopped()
            raise CodeError(str(error)) from None
        finally:
            printed.write(str(local.state.get("_print_outputs", "")))
            self._cold = False
        self._check_stopped()
        if output.is_final_answer:
            return Outcome(output.output, is_final=True)
        return Outcome(described(output.output, self.limits))

    def _check_stopped(self) -> None:
        """Raise the stop signal of a tool, whatever the code made of it."""
        if self._stopped_by is not None:
            raise self._stopped_by

    def _close(self) -> None:
        self._local = None

    def _carried(self, name: str) -> Callable[..., Any]:
        """A tool as the code calls it: plain values both ways, and a stop signal is kept for the host to see."""

        def call(*args: Any, **kwargs: Any) -> Any:
            self._check_stopped()
            self._host_calls += 1
            if self._host_calls > self.limits.max_host_calls:
                raise CodeError(f"the step made more than {self.limits.max_host_calls:,} calls of tools; make fewer")
            try:
                result = self._call_tool(name, plain(args, self.limits), plain(kwargs, self.limits))
            except Exception:
                raise
            except BaseException as stop:
                self._stopped_by = stop
                raise
            return result if name == FINAL_ANSWER else plain(result, self.limits)

        return call
