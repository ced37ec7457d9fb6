"""The parts of a mind, opened together and closed together: trace, loop, memory, other MCP servers, sandbox, tiers.

The only module besides `mind.py` that knows how the packages fit; each part gets what it needs by its constructor.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from cognition.thought import ConfigurationError, MemoryUnavailable, SandboxUnavailable
from dionysus_mcp.client import (
    MEMORY_TOOLS,
    DionysusMcpError,
    McpClient,
    MemoryClient,
    memory_server,
)
from layers.errors import LayerError
from layers.memory_tools import MemoryTools
from layers.run import LoopThread
from layers.spec import resolve_layers
from layers.toolbox import Toolbox, own_tool
from layers.workbench import Workbench
from observability import Telemetry
from sandbox import SandboxUnavailable as NoSandbox
from sandbox import select

if TYPE_CHECKING:
    from cognition.settings import Settings

T = TypeVar("T")
READY_WITHIN = 30.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What a mind thinks with.

    Attributes:
        telemetry: where spans go.
        loop: carries all asynchronous work.
        memory: the memory server's client.
        bench: what delegations build agents from.
        notices: what the user must know about these parts, one sentence each.
    """

    telemetry: Telemetry
    loop: LoopThread
    memory: MemoryClient
    bench: Workbench
    notices: tuple[str, ...]


def open_parts(settings: Settings, tools: Iterable[Any], stack: ExitStack) -> Parts:
    """Open every part; `stack` closes them in reverse, also when a later one fails to open.

    Args:
        settings: composed settings.
        tools: the user's own functions and smolagents tools.
        stack: takes the clean-up.

    Raises:
        ConfigurationError: a layer, tier, tool or server can't be used as configured.
        MemoryUnavailable: the memory server does not start; the message has its last words.
        SandboxUnavailable: the sandbox that the settings name is not there.
    """
    telemetry = Telemetry(settings.trace, service="dionysus", secrets=settings.secrets())
    stack.callback(telemetry.shutdown)
    loop = LoopThread()
    stack.callback(loop.close)
    layers = _layers(settings)
    memory = _connect_memory(settings, telemetry, loop, stack)
    servers = {name: _connect(name, settings, telemetry, loop, stack) for name in settings.mcp}
    bench = _bench(settings, layers, Toolbox(_builtin(memory, loop), servers, _own(tools), loop), loop, stack)
    notices = (bench.tiers.notice, bench.backend.notice, _readiness(memory, loop))
    return Parts(telemetry, loop, memory, bench, tuple(notice for notice in notices if notice))


def _layers(settings: Settings) -> dict[str, Any]:
    try:
        return resolve_layers(settings.layers)
    except LayerError as error:
        raise ConfigurationError(str(error)) from error


def _bench(
    settings: Settings, layers: dict[str, Any], toolbox: Toolbox, loop: LoopThread, stack: ExitStack
) -> Workbench:
    from layers.tiers.registry import Tiers

    try:
        tiers = Tiers(settings.tiers, loop)
        stack.callback(tiers.close)
        backend = select(settings.sandbox)
        stack.callback(backend.close)
        bench = Workbench(layers, tiers, toolbox, backend)
        bench.check()
    except LayerError as error:
        raise ConfigurationError(str(error)) from error
    except NoSandbox as error:
        raise SandboxUnavailable(str(error)) from error
    return bench


def _builtin(memory: MemoryClient, loop: LoopThread) -> Any:
    return MemoryTools(memory, loop).definitions()


def _own(tools: Iterable[Any]) -> dict[str, Any]:
    try:
        made = [own_tool(tool) for tool in tools]
    except LayerError as error:
        raise ConfigurationError(str(error)) from error
    return {tool.name: tool for tool in made}


def _connect_memory(settings: Settings, telemetry: Telemetry, loop: LoopThread, stack: ExitStack) -> MemoryClient:
    server = memory_server(settings.memory, settings.trace)
    client = McpClient("memory", server, tracer=telemetry.tracer)
    stack.callback(lambda: loop.submit(client.close()).result())
    try:
        _interruptible(loop, client.connect(MEMORY_TOOLS))
    except DionysusMcpError as error:
        raise MemoryUnavailable(str(error)) from error
    return MemoryClient(client)


def _connect(name: str, settings: Settings, telemetry: Telemetry, loop: LoopThread, stack: ExitStack) -> McpClient:
    server = settings.mcp[name]
    client = McpClient(
        name,
        server.target(),
        tracer=telemetry.tracer,
        connect_timeout=server.connect_timeout,
        call_timeout=server.call_timeout,
    )
    stack.callback(lambda: loop.submit(client.close()).result())
    try:
        _interruptible(loop, client.connect())
    except DionysusMcpError as error:
        raise ConfigurationError(f"[mcp.{name}] {error}") from error
    return client


def _readiness(memory: MemoryClient, loop: LoopThread) -> str | None:
    """Wait for the embedder, so that the first recall is as good as the later ones."""
    health = _interruptible(loop, memory.ready(READY_WITHIN))
    if health.embedder in ("ready", "off"):
        return None
    return f"Recall works by keywords alone: the embedder is {health.embedder} ({health.detail or 'no detail'})."


def _interruptible(loop: LoopThread, call: Coroutine[Any, Any, T]) -> T:
    future = loop.submit(call)
    try:
        return future.result()
    except BaseException:
        future.cancel()
        raise
