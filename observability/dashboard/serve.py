"""Runs the dashboard in this process until Ctrl-C."""

import secrets
import socket
from collections.abc import Callable

from observability.errors import TelemetryError
from observability.settings import TraceSettings

PORT = 8642


def new_token() -> str:
    """Return a token that nobody can guess; a new one for each start of the dashboard."""
    return secrets.token_urlsafe(24)


def serve(
    settings: TraceSettings,
    *,
    host: str = "127.0.0.1",
    port: int = PORT,
    token: str | None = None,
    announce: Callable[[str], None] = lambda _: None,
) -> None:
    """Serve the dashboard until the process is interrupted.

    Args:
        settings: which trace store; an empty one is made where there is none, so that the first run can be watched.
        host: the address to listen on. Anything but the loopback shows prompts and answers to the network.
        port: 0 takes any free one.
        token: what browsers must show; None makes a new one.
        announce: called with the full address, token included, once the port is taken.

    Raises:
        TelemetryError: if the port is taken, or the trace store can't be read.
    """
    import uvicorn

    from observability.dashboard.access import LOCAL_HOSTS
    from observability.dashboard.app import create_app
    from observability.schema import open_to_write
    from observability.store import TraceStore

    if not settings.path.exists():
        open_to_write(settings.path).close()
    token = token or new_token()
    with TraceStore(settings.path) as store, _listen(host, port) as listening:
        bound = listening.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        app = create_app(store, token, LOCAL_HOSTS | {shown})
        announce(f"http://{shown}:{bound}/?token={token}")
        # no access log: it would write the token down
        config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False, lifespan="off")
        uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise TelemetryError(
            f"the dashboard can't listen on {host} port {port}: {error.strerror or error}; choose another port"
        ) from error
