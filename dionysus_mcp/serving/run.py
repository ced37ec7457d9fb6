"""Listens and serves until a signal ends it: what is being answered is finished, what hangs is cut after `grace`."""

import asyncio
import contextlib
import math
import signal
import socket
import ssl
import sys
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.serving.settings import ServerSettings
from dionysus_mcp.serving.tokens import TokenFile

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from uvicorn import Server


def accepted_tokens(settings: ServerSettings) -> TokenFile:
    """The tokens that requests must show; on this machine alone there need not be any.

    Raises:
        MemoryStoreError: if the address can be reached from elsewhere and there is no token, or the file is unusable.
    """
    tokens = TokenFile(settings.tokens)
    if tokens.tokens() or settings.is_local:
        return tokens
    raise MemoryStoreError(
        f"{settings.host} can be reached from other machines, so every request needs a token, and {settings.tokens} "
        "has none. Make one with `dionysus memory token add NAME`, or listen on 127.0.0.1."
    )


def listen(settings: ServerSettings) -> socket.socket:
    """Take the port.

    Raises:
        MemoryStoreError: if it can't be had.
    """
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        return socket.create_server((settings.host, settings.port), family=family)
    except OSError as error:
        raise MemoryStoreError(
            f"The memory server can't listen on {settings.host} port {settings.port}: {error.strerror or error}. "
            "Choose another with --host and --port, or DIONYSUS_SERVER__HOST and DIONYSUS_SERVER__PORT."
        ) from error


def address(settings: ServerSettings, port: int) -> str:
    """Where clients find the server."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"{settings.scheme}://{host}:{port}{settings.path}"


async def serve(
    server: "MCPServer[Any]",
    settings: ServerSettings,
    tokens: TokenFile,
    readiness: Callable[[], str | None],
    listening: socket.socket,
    failed: asyncio.Event,
) -> None:
    """Serve until SIGTERM, Ctrl-C or `failed`; a second signal doesn't wait for open requests.

    Raises:
        MemoryStoreError: if the certificate can't be used.
    """
    import uvicorn

    from dionysus_mcp.serving.app import create_app

    if not settings.is_local and settings.tls_certificate is None:
        _warn(
            "tokens and memories cross the network in clear; set tls_certificate and tls_key, or put a proxy before it"
        )
    app = create_app(server, settings, tokens, readiness)
    config = uvicorn.Config(
        app,
        lifespan="off",  # entered below: uvicorn leaves its own one open, with a traceback, when it is made to hurry
        log_level="warning",
        access_log=False,  # the audit log is ours
        server_header=False,
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        timeout_graceful_shutdown=math.ceil(settings.grace),
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise MemoryStoreError(
            f"The certificate {settings.tls_certificate} or its key {settings.tls_key} can't be used: {error}."
        ) from error
    web = _server(config)
    with _signals(web):
        ending = asyncio.create_task(_end_on(failed, web))
        try:
            async with app.router.lifespan_context(app):
                await web.serve(sockets=[listening])
        finally:
            ending.cancel()


def _server(config: Any) -> "Server":
    import uvicorn

    class Server(uvicorn.Server):
        """Leaves signals to us: uvicorn would raise them again after serving, past the closing of the store."""

        @contextlib.contextmanager
        def capture_signals(self) -> Generator[None]:
            """Capture none."""
            yield

    return Server(config)


@contextlib.contextmanager
def _signals(web: "Server") -> Generator[None]:
    loop = asyncio.get_running_loop()

    def stop() -> None:
        web.force_exit = web.should_exit
        web.should_exit = True

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _end_on(failed: asyncio.Event, web: "Server") -> None:
    await failed.wait()
    web.should_exit = True


def _warn(what: str) -> None:
    sys.stderr.write(f"dionysus-memory: warning: {what}\n")
    sys.stderr.flush()
