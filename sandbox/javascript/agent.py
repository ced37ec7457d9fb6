"""JavaScript for people: run code, and get a plain answer about how it went.

`JavaScriptTool` is the same for agents.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, NotRequired, Self, TypedDict

from sandbox.errors import BackendLost, SandboxError, SandboxUnavailable
from sandbox.javascript.fallback import Fallback, fall_back
from sandbox.javascript.session import JavaScriptSandbox

if TYPE_CHECKING:
    import threading

    from opentelemetry.trace import Tracer

    from sandbox.docker.backend import DockerBackend
    from sandbox.settings import SandboxSettings

_LOG: Final = logging.getLogger(__name__)


class Execution(TypedDict):
    """How one execution went.

    Attributes:
        success: no error ended it.
        result: its value, plain: of the last expression or of `return`, with promises awaited; None after an error.
        error: the lines it came from, its name and its message; None without one.
        logs: what the console and the standard streams got, in order.
        debug: with `debug` only: `seconds`, `node` (version), `container` (id), `line` of the error, `fallback`.
    """

    success: bool
    result: Any
    error: str | None
    logs: str
    debug: NotRequired[dict[str, Any]]


class JavaScriptAgent:
    """Runs JavaScript (ES2022, Node) in a container of its own; a context manager.

        with JavaScriptAgent() as js:
            js.execute_code("context.rows.map(row => row.price * 2)", {"rows": [{"price": 3}]})["result"]  # [6]

    The container starts with the first execution. What code declares at its top is there in the next execution, until
    `reset`. Nothing raises for what the code does, or for an engine or a Node that is missing: the answer says so.

    Args:
        settings: limits, image and engine; the defaults of the settings otherwise.
        tools: host functions that code calls as `await tools.NAME(...)`, by name, or smolagents tools.
        files: put into its folder, by relative name.
        fallback: what to do where JavaScript can't run: Python code, run in the Python sandbox that there is, or a
            function of yours, called with the context. See `execute_code`.
        debug: tell more about each execution, in the answer and to the logger `sandbox.javascript.agent`.
        backend: who makes containers; without it the agent has its own.
        tracer: records every execution as a span.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `time.monotonic()`, in seconds.
    """

    def __init__(
        self,
        settings: SandboxSettings | None = None,
        *,
        tools: Mapping[str, Callable[..., Any]] | Iterable[Any] = (),
        files: Mapping[str, bytes] | None = None,
        fallback: Fallback | None = None,
        debug: bool = False,
        backend: DockerBackend | None = None,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
    ) -> None:
        self.debug = debug
        self._settings = settings
        self._tools = tools_by_name(tools)
        self._fallback = fallback
        self._options: dict[str, Any] = {
            "limits": settings,
            "files": files,
            "backend": backend,
            "tracer": tracer,
            "stop": stop,
            "deadline": deadline,
        }
        self._session: JavaScriptSandbox | None = None
        self._missing: str | None = None

    @property
    def runtime_available(self) -> bool:
        """Whether there are an engine, an image and a Node in it; starts the container to find out."""
        try:
            self._opened().start()
        except (SandboxError, BackendLost) as error:
            self._missing = str(error)
            return False
        return True

    @property
    def why_unavailable(self) -> str | None:
        """What was missing when `runtime_available`, or an execution, looked last, and what to do about it."""
        return self._missing

    def execute_code(
        self,
        code: str,
        context: Mapping[str, Any] | None = None,
        timeout: float = 30,
        *,
        fallback: Fallback | None = None,
    ) -> Execution:
        """Run code.

        Args:
            code: JavaScript; `await`, `return` and `import` work at its top.
            context: what the code has as the object `context`: plain values, numbers, text, lists, dicts, bytes.
            timeout: seconds it may run, without the time of tools. When they are over it is ended; the session stays,
                or the error says that it was replaced.
            fallback: in place of the agent's own.

        Returns:
            How it went. With JavaScript missing, how the fallback went, and `logs` say so; an error without one.

        Raises:
            ExecutionStopped: `stop` was set or the deadline has passed.
            ValueError: `timeout` is no time.
        """
        if not 0 < timeout < math.inf:
            raise ValueError(f"timeout is in seconds and must be more than 0 and finite, not {timeout!r}")
        began = time.monotonic()
        execution, details = self._executed(code, dict(context or {}), timeout, fallback or self._fallback)
        details |= {"seconds": time.monotonic() - began}
        if self.debug:
            _LOG.debug("executed %r: %s, %s", code[:200], "ok" if execution["success"] else execution["error"], details)
            execution["debug"] = details
        return execution

    def reset(self) -> None:
        """Forget all state: the next execution has a fresh container."""
        session, self._session = self._session, None
        if session is not None:
            session.cleanup()

    close = reset

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file that code opens by this relative name; see `Sandbox.put_file`."""
        self._opened().put_file(name, content)

    def get_file(self, name: str) -> bytes:
        """Read a file that was put, or that the code wrote; see `Sandbox.get_file`."""
        return self._opened().get_file(name)

    def list_files(self) -> list[str]:
        """Names of all files, sorted."""
        return self._opened().list_files()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _opened(self) -> JavaScriptSandbox:
        if self._session is None:
            self._session = JavaScriptSandbox(**self._options)
            self._session.send_tools(self._tools)
        return self._session

    def _executed(
        self, code: str, context: dict[str, Any], timeout: float, fallback: Fallback | None
    ) -> tuple[Execution, dict[str, Any]]:
        try:
            session = self._opened()
            session.start()
        except (SandboxUnavailable, BackendLost) as error:
            self.reset()
            self._missing = str(error)
            return self._without_node(context, timeout, fallback), {"fallback": fallback is not None}
        return _run(session, code, context, timeout)

    def _without_node(self, context: dict[str, Any], timeout: float, fallback: Fallback | None) -> Execution:
        reason = f"JavaScript can't run here: {self._missing}"
        if fallback is None:
            return Execution(success=False, result=None, error=reason, logs="")
        try:
            result, printed = fall_back(fallback, context, self._settings, timeout)
        except Exception as error:  # noqa: BLE001 - promise: what goes wrong is told in the answer
            told = f"{reason}. The Python fallback failed too: {type(error).__name__}: {error}"
            return Execution(success=False, result=None, error=told, logs="")
        return Execution(
            success=True, result=result, error=None, logs=f"({reason}. The Python fallback ran.)\n{printed}"
        )


def tools_by_name(tools: Mapping[str, Callable[..., Any]] | Iterable[Any]) -> dict[str, Callable[..., Any]]:
    """Tools by the name that code calls them by: as given, a smolagents tool's own, or a function's."""
    if isinstance(tools, Mapping):
        return dict(tools)
    return {str(getattr(tool, "name", None) or tool.__name__): tool for tool in tools}


def _run(
    session: JavaScriptSandbox, code: str, context: dict[str, Any], timeout: float
) -> tuple[Execution, dict[str, Any]]:
    details: dict[str, Any] = {"node": session.node, "container": session.container, "line": None}
    try:
        session.send_variables({"context": context})
        with session.within(timeout):
            done = session(code)
    except (SandboxError, BackendLost) as error:
        details["line"] = getattr(error, "line", None)
        printed = str(session.state["_print_outputs"])
        return Execution(success=False, result=None, error=str(error), logs=printed), details
    return Execution(success=True, result=done.output, error=None, logs=str(done.logs)), details
