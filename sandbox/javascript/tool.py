"""JavaScript for agents: a smolagents tool that runs code in a container of its own.

Imports smolagents, and is therefore imported late.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from smolagents.tools import Tool

from sandbox.errors import SandboxUnavailable
from sandbox.javascript.agent import tools_by_name
from sandbox.javascript.fallback import Fallback, fall_back
from sandbox.javascript.session import JavaScriptSandbox

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from sandbox.docker.backend import DockerBackend
    from sandbox.settings import SandboxSettings

DESCRIPTION: Final = (
    'Runs JavaScript (ES2022, Node) in a container without network. Returns {"result": ..., "logs": ...}: the value'
    " of the last expression or of a top-level `return`, with promises awaited, and what the console printed. Top-level"
    " `await`, `import` and `require` of Node's own modules work. What is declared at the top stays"
    " for the next call. `context` is there as an object."
)
_TOOLS: Final = " The code can call: {}. They take arguments by position, or by name in one object."


class JavaScriptTool(Tool):
    """Lets an agent run JavaScript beside its Python, or without any.

    Each tool has one session, which starts with the first call and ends with `close`; use it as a context manager.
    Calls from several threads wait for one another.

    Args:
        tools: host functions that the code calls as `await tools.NAME(...)`, by name, or smolagents tools. They are
            checked like those of Python code: name, number and names of arguments.
        settings: limits, image and engine.
        files: put into the code's folder, by relative name.
        fallback: a function of the context, or Python code for the sandbox, that gives the result where JavaScript
            can't run; without it the agent is told to write Python.
        backend: who makes containers; without it the tool has its own.
        tracer: records every execution as a span.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `time.monotonic()`, in seconds.
    """

    name = "run_javascript"
    description = DESCRIPTION
    inputs: ClassVar[dict[str, Any]] = {  # pyright: ignore[reportIncompatibleVariableOverride] - smolagents means this
        "code": {"type": "string", "description": "The JavaScript code."},
        "context": {
            "type": "object",
            "description": "Plain values for the code, as its object `context`.",
            "nullable": True,
        },
    }
    output_type = "object"

    def __init__(
        self,
        tools: Mapping[str, Callable[..., Any]] | Iterable[Any] = (),
        *,
        settings: SandboxSettings | None = None,
        files: Mapping[str, bytes] | None = None,
        fallback: Fallback | None = None,
        backend: DockerBackend | None = None,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
    ) -> None:
        super().__init__()
        self._callable = tools_by_name(tools)
        if self._callable:
            self.description += _TOOLS.format(", ".join(f"tools.{name}" for name in self._callable))
        self._settings = settings
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
        self._turn = threading.Lock()

    def forward(self, code: str, context: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run code in the tool's session.

        Returns:
            `result`, a plain value, and `logs`.

        Raises:
            CodeError: the code raised an error, or reached a limit.
            SandboxUnavailable: JavaScript can't run here, and there is no fallback; the message says so to the agent.
            ExecutionStopped: `stop` was set, the deadline has passed, or the engine was lost.
        """
        with self._turn:
            try:
                session = self._started()
            except SandboxUnavailable as missing:
                self._drop()
                return self._without_node(missing, context or {})
            session.send_variables({"context": context or {}})
            done = session(code)
        return {"result": done.output, "logs": str(done.logs)}

    def close(self) -> None:
        """End the session and its container; the next call has a fresh one."""
        self._drop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> JavaScriptSandbox:
        if self._session is None:
            self._session = JavaScriptSandbox(**self._options)
            self._session.send_tools(self._callable)
        self._session.start()
        return self._session

    def _drop(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.cleanup()

    def _without_node(self, missing: SandboxUnavailable, context: Mapping[str, Any]) -> dict[str, Any]:
        if self._fallback is None:
            raise SandboxUnavailable(f"JavaScript can't run here, write Python instead: {missing}") from missing
        timeout = self._settings.step_timeout if self._settings else 30.0
        result, printed = fall_back(self._fallback, context, self._settings, timeout)
        return {
            "result": result,
            "logs": f"(JavaScript can't run here: {missing}. The Python fallback ran.)\n{printed}",
        }
