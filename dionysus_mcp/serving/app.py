"""The web application: the protocol behind its guards, and two pages for whoever watches the server.

From the outside in: the token (401), the pressure (429), then the SDK's own checks of Host (421), Origin (403), size
(413) and session (404).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from dionysus_mcp.errors import MemoryStoreError
from dionysus_mcp.serving.caller import access_token
from dionysus_mcp.serving.pressure import Pressure
from dionysus_mcp.serving.settings import ServerSettings
from dionysus_mcp.serving.tokens import TokenFile

if TYPE_CHECKING:
    from mcp.server import MCPServer
    from mcp.server.auth.provider import AccessToken
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.types import ASGIApp

_LOCAL_NAMES = ("127.0.0.1", "localhost", "[::1]")


class Verifier:
    """Answers the SDK's question whose token this is."""

    def __init__(self, tokens: TokenFile) -> None:
        self._tokens = tokens

    async def verify_token(self, token: str) -> "AccessToken | None":
        """The token, if it is one of ours and still good. Fails closed: with an unreadable file, none is."""
        try:
            found = self._tokens.verified(token)
        except MemoryStoreError:
            return None
        return None if found is None else access_token(found)


def create_app(
    server: "MCPServer[Any]",
    settings: ServerSettings,
    tokens: TokenFile,
    readiness: Callable[[], str | None],
) -> "Starlette":
    """The application.

    Args:
        server: With its tools.
        settings: Of the server.
        tokens: Those that are accepted. On this machine alone, and as long as there are none, everybody is let in.
        readiness: Why the server is not ready to serve; None when it is.
    """
    from starlette.applications import Starlette
    from starlette.routing import Route

    inner = server.streamable_http_app(
        streamable_http_path=settings.path,
        max_request_body_size=settings.max_message_bytes,
        session_idle_timeout=settings.session_idle,
        max_sessions=settings.max_sessions,
        transport_security=_security(settings),
    )

    def healthz(_request: "Request") -> JSONResponse:
        return JSONResponse({"status": "alive"})

    def readyz(_request: "Request") -> JSONResponse:
        reason = readiness()
        return JSONResponse(
            {"status": "ready"} if reason is None else {"status": "not ready", "reason": reason},
            status_code=200 if reason is None else 503,
        )

    guarded = _Guarded(inner, settings, tokens)
    return Starlette(
        routes=[
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route(settings.path, endpoint=guarded),
        ],
        lifespan=inner.router.lifespan_context,
    )


class _Guarded:
    """The protocol behind token and pressure. A class, as a route takes a function for a handler of requests."""

    def __init__(self, inner: "Starlette", settings: ServerSettings, tokens: TokenFile) -> None:
        self._open: ASGIApp = Pressure(inner, settings.requests_per_minute, settings.concurrency)
        self._closed = _authenticated(self._open, tokens)
        self._tokens = tokens
        self._needs_token = not settings.is_local

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        # Whoever names a token is held to it, also where none is needed: a wrong one must not reach more than a good.
        named = any(name == b"authorization" for name, _ in scope["headers"])
        app = self._closed if named or self._is_closed() else self._open
        await app(scope, receive, send)

    def _is_closed(self) -> bool:
        """Whether a token is needed: from the first one on, and also when the last one is revoked."""
        if not self._needs_token:
            try:
                self._needs_token = bool(self._tokens.tokens())
            except MemoryStoreError:
                return True
        return self._needs_token


def _authenticated(app: "ASGIApp", tokens: TokenFile) -> "ASGIApp":
    from mcp.server.auth.middleware.auth_context import AuthContextMiddleware
    from mcp.server.auth.middleware.bearer_auth import BearerAuthBackend, RequireAuthMiddleware
    from starlette.middleware.authentication import AuthenticationMiddleware

    required = RequireAuthMiddleware(AuthContextMiddleware(app), [])
    return AuthenticationMiddleware(required, backend=BearerAuthBackend(Verifier(tokens)))


def _security(settings: ServerSettings) -> Any:
    from mcp.server.transport_security import TransportSecuritySettings

    shown = f"[{settings.host}]" if ":" in settings.host else settings.host
    own = dict.fromkeys([*(_LOCAL_NAMES if settings.is_local else ()), shown])
    return TransportSecuritySettings(
        allowed_hosts=[*(f"{name}:*" for name in own), *settings.allowed_hosts],
        allowed_origins=[
            *(f"{settings.scheme}://{name}:*" for name in own if settings.is_local),
            *settings.allowed_origins,
        ],
    )
