"""One live connection to an MCP server, entered and left by one task.

The SDK's transports hold cancel scopes, which must be left by the task that entered them; callers come and go, so
a task of our own owns them. `client.McpClient` opens connections and replaces lost ones; nobody else uses this module.
"""

import asyncio
import contextlib
import math
import os
from collections.abc import AsyncGenerator, Collection
from typing import TYPE_CHECKING, Any

from dionysus_mcp.errors import COMPLAINT, DionysusMcpError, McpToolMissing, McpUnavailable
from dionysus_mcp.targets import HttpServer, StdioServer, Target

if TYPE_CHECKING:
    import anyio
    from mcp import Client
    from mcp_types import Tool

STDERR_KEPT = 4096


class ConnectionLost(DionysusMcpError):
    """The other side is gone; the client decides whether to connect anew."""


class StderrTail:
    """The last 4 kB that a server wrote to its standard error, which says why it died.

    Read on the event loop, so a talkative server never blocks on a full pipe, and no thread outlives the connection.
    """

    def __init__(self) -> None:
        self._kept = bytearray()
        self._reading, self._writing = os.pipe()
        os.set_blocking(self._reading, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reading, self._read)

    @property
    def writing_end(self) -> int:
        """File descriptor for the server."""
        return self._writing

    def started(self) -> None:
        """The server has its copy of the writing end: give up ours, so that its death is the end of the file."""
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1

    def close(self) -> None:
        """Read what is left and let go of the pipe."""
        self.started()
        if self._reading >= 0:
            self._read()
        if self._reading >= 0:  # not at its end: the server still has the other end
            self._stop_reading()

    def text(self) -> str:
        """What was kept, as text."""
        return self._kept.decode("utf-8", "replace").strip()

    def _read(self) -> None:
        while self._reading >= 0:
            try:
                chunk = os.read(self._reading, 65536)
            except BlockingIOError:
                return
            if not chunk:
                self._stop_reading()
                return
            self._kept += chunk
            del self._kept[:-STDERR_KEPT]

    def _stop_reading(self) -> None:
        self._loop.remove_reader(self._reading)
        os.close(self._reading)
        self._reading = -1


class Connection:
    """A connection while it lives: open it once, close it once; a lost one is replaced, not repaired."""

    def __init__(self, name: str, target: Target, *, connect_timeout: float) -> None:
        self.name = name
        self.target = target
        self.tools: list[Tool] = []
        self.lost = False
        self._connect_timeout = connect_timeout
        self._client: Client | None = None
        self._scope: anyio.CancelScope | None = None
        self._leave = asyncio.Event()
        self._opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._owner: asyncio.Task[None] | None = None
        self._stderr: StderrTail | None = None
        self._begun = asyncio.Event()

    @property
    def client(self) -> "Client":
        """The SDK's client.

        Raises:
            ConnectionLost: if the connection is not open any more.
        """
        if self._client is None or self.lost:
            raise ConnectionLost(f"The connection to MCP server {self.name!r} is closed.")
        return self._client

    async def open(self, required: Collection[str]) -> None:
        """Connect, list the tools, and check that the required ones are there.

        Raises:
            McpToolMissing: naming the missing tools.
            McpUnavailable: if the server doesn't start, answers no handshake in time, or dies; quotes its last words.
        """
        self._owner = asyncio.create_task(self._own(frozenset(required)), name=f"mcp-{self.name}")
        try:
            await asyncio.shield(self._opened)
        except BaseException:
            # Also when the caller is cancelled: a half-started server must not stay behind.
            await self.close()
            if self._opened.done():
                self._opened.exception()  # seen here, or asyncio reports it as never retrieved
            raise

    async def gone(self, what: str) -> McpUnavailable:
        """Close a lost connection and return the error that says what happened, with the server's last words."""
        await self.close()
        return self._unavailable(what)

    async def close(self) -> None:
        """Leave the connection; a stdio server is stopped (its stdin closed, then SIGTERM, then SIGKILL)."""
        self._leave.set()
        if self._owner is not None and not self._opened.done():
            # A process in the making can't be called back: asyncio would lose it, running and with its pipes open.
            await self._begun.wait()
            if self._scope is not None:
                self._scope.cancel()
        if self._owner is not None:
            # Shielded: a cancelled caller must not cut the shutdown short and leave a process behind.
            await asyncio.shield(self._owner)

    async def _own(self, required: frozenset[str]) -> None:
        import anyio

        failure: BaseException | None = None
        with anyio.CancelScope() as self._scope:
            # A deadline on the outer scope, lifted once connected: a scope of its own for connecting could not be left
            # before the contexts that were entered inside of it.
            self._scope.deadline = anyio.current_time() + self._connect_timeout
            try:
                await self._serve(required)
            except Exception as error:  # noqa: BLE001 -- whatever a server or the SDK does reaches callers as McpUnavailable
                failure = error
        self._begun.set()
        self.lost, self._client = True, None
        if not self._opened.done():
            self._opened.set_exception(self._explained(failure))

    async def _serve(self, required: frozenset[str]) -> None:
        from mcp import Client

        async with contextlib.AsyncExitStack() as stack:
            client = await stack.enter_async_context(Client(self._transport()))
            self.tools = await _all_tools(client)
            self._check(required)
            assert self._scope is not None  # noqa: S101 -- set by _own, which calls this
            self._scope.deadline = math.inf
            self._client = client
            self._opened.set_result(None)
            await self._leave.wait()

    def _check(self, required: frozenset[str]) -> None:
        missing = sorted(required - {tool.name for tool in self.tools})
        if missing:
            present = ", ".join(sorted(tool.name for tool in self.tools)) or "none"
            raise McpToolMissing(
                f"MCP server {self.name!r} ({self.target.address}) lacks the required tools {', '.join(missing)}; "
                f"it offers: {present}. Check that it is the right server and version."
            )

    @contextlib.asynccontextmanager
    async def _transport(self) -> AsyncGenerator[Any]:
        opened = _http(self.target) if isinstance(self.target, HttpServer) else self._stdio(self.target)
        async with opened as streams:
            self._begun.set()
            yield streams

    @contextlib.asynccontextmanager
    async def _stdio(self, target: StdioServer) -> AsyncGenerator[Any]:
        from mcp.client.stdio import StdioServerParameters, stdio_client

        parameters = StdioServerParameters(
            command=target.command, args=list(target.args), env=dict(target.env), cwd=target.cwd
        )
        self._stderr = tail = StderrTail()
        try:
            with os.fdopen(tail.writing_end, "w", closefd=False) as errlog:
                async with stdio_client(parameters, errlog=errlog) as streams:
                    tail.started()
                    yield streams
        finally:
            tail.close()

    def _explained(self, failure: BaseException | None) -> McpUnavailable:
        failure = _innermost(failure)
        if isinstance(failure, McpUnavailable):
            return failure
        reason = f"no answer within {self._connect_timeout:g} s" if failure is None else _reason(failure)
        return self._unavailable(f"is not available: {reason}")

    def _unavailable(self, what: str) -> McpUnavailable:
        words = self._stderr.text() if self._stderr else ""
        last = words.rpartition("\n")[2]
        if last.startswith(COMPLAINT):
            return McpUnavailable(last.removeprefix(COMPLAINT))  # says all: what is wrong, and what to do
        said = f" It wrote to stderr: {words}" if words else ""
        return McpUnavailable(f"MCP server {self.name!r} ({self.target.address}) {what}.{said}")


@contextlib.asynccontextmanager
async def _http(target: HttpServer) -> AsyncGenerator[Any]:
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    # No read limit here: a server may hold a response open, and every call has its own time limit.
    limits = httpx2.Timeout(30.0, read=None)
    async with (
        httpx2.AsyncClient(headers=dict(target.headers), timeout=limits) as http,
        streamable_http_client(target.url, http_client=http) as streams,
    ):
        yield streams


async def _all_tools(client: "Client") -> "list[Tool]":
    page = await client.list_tools(cache_mode="refresh")
    tools = list(page.tools)
    while page.next_cursor is not None:
        page = await client.list_tools(cursor=page.next_cursor)
        tools.extend(page.tools)
    return tools


def _innermost(failure: BaseException | None) -> BaseException | None:
    """What went wrong, out of the groups that task groups wrap around it."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def _reason(failure: BaseException) -> str:
    if isinstance(failure, FileNotFoundError):
        return f"the command was not found ({failure.filename or failure}); install it or correct `command`"
    return str(failure).rstrip(".") or type(failure).__name__
