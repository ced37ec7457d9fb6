"""The parts of a mind, opened together and closed together: trace, loop, memory, other MCP servers, sandbox, tiers.

The only module besides `mind.py` that knows how the packages fit; each part gets what it needs by its constructor.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from cognition.thought import ConfigurationError, MemoryUnavailable, SandboxUnavailable
from dionysus_mcp.client import MEMORY_TOOLS, DionysusMcpError, McpClient, McpUnavailable, MemoryClient, memory_server
from layers.errors import LayerError
from layers.guards import Guard
from layers.run import LoopThread, RunStopped, StopReason
from layers.spec import resolve_layers
from observability import Telemetry
from sandbox import SandboxUnavailable as NoSandbox
from sandbox import select

if TYPE_CHECKING:
    from collections.abc import Generator

    from cognition.settings import Settings
    from dionysus_mcp.records import MemoryHealth
    from layers.guards import Approve, BeforeTool
    from layers.run import Lifeline, Run
    from layers.tiers.registry import Tiers
    from layers.toolbox import Toolbox
    from layers.workbench import Workbench
    from sandbox import Backend

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

    def ask(self, run: Run, call: Coroutine[Any, Any, T]) -> T:
        """Wait for an answer of the memory server, as long as a run lives.

        Raises:
            RunStopped: the run was stopped, or the server is gone and didn't come back.
        """
        try:
            return run.lifeline.wait(self.loop.submit(call))
        except McpUnavailable as error:
            raise RunStopped(StopReason.MEMORY, str(error)) from error


@dataclass(frozen=True, slots=True)
class OwnParts:
    """What a user gives a mind beside settings: see `Mind`."""

    tools: tuple[Any, ...] = ()
    before_tool: BeforeTool | None = None
    approve: Approve | None = None


def open_telemetry(settings: Settings) -> Telemetry:
    """Open the trace; takes a fifth of a second at most."""
    return Telemetry(settings.trace, service="dionysus", secrets=settings.secrets())


def open_parts(settings: Settings, own: OwnParts, telemetry: Telemetry, stack: ExitStack, life: Lifeline) -> Parts:
    """Open every other part; `stack` closes them in reverse, also when a later one fails to open.

    Args:
        settings: composed settings.
        own: the user's own tools, hook and questions.
        telemetry: where spans go; not closed here.
        stack: takes the clean-up.
        life: stopped once nobody needs the parts any more.

    Raises:
        RunStopped: `life` was stopped.
        ConfigurationError: a layer, tier, tool or server can't be used as configured.
        MemoryUnavailable: the memory server does not start; the message has its last words.
        SandboxUnavailable: the sandbox that the settings name is not there.
    """
    with _as_thinking_errors():
        loop = LoopThread()
        stack.callback(loop.close)
        # These start while this process imports agents and models.
        servers = _Servers(settings, telemetry, loop, stack, life)
        tiers, backend = _engines(settings, loop, stack, life)
    guard = Guard(settings.guards, loop, own.before_tool, own.approve)
    bench = _bench(settings, servers.toolbox(own.tools), tiers, backend, guard)
    health = servers.memory_health()
    embedder = f"Recall works by keywords alone: the embedder is {health.embedder} ({health.detail or 'no detail'})."
    quiet = health.embedder in ("ready", "off")
    notices = (bench.tiers.notice, bench.backend.notice, None if quiet else embedder)
    return Parts(telemetry, loop, servers.memory, bench, tuple(notice for notice in notices if notice))


def _engines(settings: Settings, loop: LoopThread, stack: ExitStack, life: Lifeline) -> tuple[Tiers, Backend]:
    """Import what thinks, and make the models and the sandbox."""
    from layers.tiers.registry import Tiers
    from layers.tiers.settings import no_dotenv

    with no_dotenv():
        for later in ("smolagents", "layers.agents", "layers.memory_tools"):  # loaded here, where no run waits for it
            import_module(later)
            life.check()

    tiers = Tiers(settings.tiers, loop)
    stack.callback(tiers.close)
    tiers.warm()
    life.check()
    backend = select(settings.sandbox)
    stack.callback(backend.close)
    return tiers, backend


def _bench(settings: Settings, toolbox: Toolbox, tiers: Tiers, backend: Backend, guard: Guard) -> Workbench:
    from layers.workbench import Workbench

    with _as_thinking_errors():
        bench = Workbench(resolve_layers(settings.layers), tiers, toolbox, backend, guard)
        bench.check()
    return bench


@contextmanager
def _as_thinking_errors() -> Generator[None]:
    try:
        yield
    except LayerError as error:
        raise ConfigurationError(str(error)) from error
    except NoSandbox as error:
        raise SandboxUnavailable(str(error)) from error


class _Servers:
    """The MCP servers of a mind, connecting side by side."""

    def __init__(
        self, settings: Settings, telemetry: Telemetry, loop: LoopThread, stack: ExitStack, life: Lifeline
    ) -> None:
        self.loop = loop
        self._life = life
        self._stack = stack
        client = McpClient(
            "memory", memory_server(settings.memory, settings.trace, settings.consolidation), tracer=telemetry.tracer
        )
        self.memory = MemoryClient(client)
        self._memory_up = self._connect(client, MEMORY_TOOLS)
        self._others = {
            name: McpClient(
                name,
                server.target(),
                tracer=telemetry.tracer,
                connect_timeout=server.connect_timeout,
                call_timeout=server.call_timeout,
                only=server.tools,
            )
            for name, server in settings.mcp.items()
        }
        self._others_up = {name: self._connect(other) for name, other in self._others.items()}

    def memory_health(self) -> MemoryHealth:
        """Wait for the memory server and its embedder, so that the first recall is as good as the later ones."""
        try:
            self._life.wait(self._memory_up)
            return self._life.wait(self.loop.submit(self.memory.ready(READY_WITHIN)))
        except DionysusMcpError as error:
            raise MemoryUnavailable(str(error)) from error

    def toolbox(self, tools: Iterable[Any]) -> Toolbox:
        """Wait for the other servers, and gather every tool that a layer may name."""
        from layers.memory_tools import MemoryTools
        from layers.toolbox import Toolbox, own_tools

        builtin = MemoryTools(self.memory, self.loop).definitions()
        with _as_thinking_errors():
            own = own_tools(tools, builtin)
        for name, up in self._others_up.items():
            try:
                self._life.wait(up)
            except DionysusMcpError as error:
                raise ConfigurationError(f"[mcp.{name}] {error}") from error
        return Toolbox(builtin, self._others, own, self.loop)

    def _connect(self, client: McpClient, required: Iterable[str] = ()) -> Future[None]:
        up = self.loop.submit(client.connect(frozenset(required)))

        def leave() -> None:
            up.cancel()  # a server that is still silent must not be waited for
            self.loop.submit(client.close()).result()

        self._stack.callback(leave)
        return up
