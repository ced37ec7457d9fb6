"""Generated code runs here without harm; the tools it calls stay on the host.

Useful alone with plain smolagents:

    from sandbox import MontySandbox

    with MontySandbox() as box:
        CodeAgent(tools=[...], model=model, executor=box).run("...")

The sandboxes are imported on first use: `import sandbox` loads neither smolagents nor an interpreter.
"""

from typing import TYPE_CHECKING, Any

from sandbox.backend import Backend, select
from sandbox.errors import (
    BackendLost,
    CodeError,
    ExecutionStopped,
    FileRefused,
    ImageNotBuilt,
    LimitExceeded,
    SandboxClosed,
    SandboxError,
    SandboxUnavailable,
    SessionLost,
    ValueRefused,
)
from sandbox.settings import Limits, SandboxSettings

if TYPE_CHECKING:
    from sandbox.docker.backend import DockerBackend
    from sandbox.docker.session import DockerSandbox
    from sandbox.executor import Sandbox
    from sandbox.javascript.agent import JavaScriptAgent
    from sandbox.javascript.session import JavaScriptSandbox
    from sandbox.javascript.tool import JavaScriptTool
    from sandbox.monty import MontyBackend, MontySandbox

__all__ = [
    "Backend",
    "BackendLost",
    "CodeError",
    "DockerBackend",
    "DockerSandbox",
    "ExecutionStopped",
    "FileRefused",
    "ImageNotBuilt",
    "JavaScriptAgent",
    "JavaScriptSandbox",
    "JavaScriptTool",
    "LimitExceeded",
    "Limits",
    "MontyBackend",
    "MontySandbox",
    "Sandbox",
    "SandboxClosed",
    "SandboxError",
    "SandboxSettings",
    "SandboxUnavailable",
    "SessionLost",
    "ValueRefused",
    "select",
]

_LATE = {
    "DockerBackend": "sandbox.docker.backend",
    "DockerSandbox": "sandbox.docker.session",
    "JavaScriptAgent": "sandbox.javascript.agent",
    "JavaScriptSandbox": "sandbox.javascript.session",
    "JavaScriptTool": "sandbox.javascript.tool",
    "MontyBackend": "sandbox.monty",
    "MontySandbox": "sandbox.monty",
    "Sandbox": "sandbox.executor",
}


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module 'sandbox' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LATE[name]), name)
