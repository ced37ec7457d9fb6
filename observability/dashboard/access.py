"""Who may look: a token for every request, known Host names only, and headers that leave a hostile span nothing to run.

Pure ASGI around the whole app, static files included. A trace shows prompts and answers, so another user of the
machine, a page in the same browser, and a name that was rebound to 127.0.0.1 are all kept out.
"""

import secrets
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from typing import Final

from starlette.datastructures import URL, Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE: Final = "dionysus_dashboard"
LOCAL_HOSTS: Final = frozenset({"127.0.0.1", "localhost", "[::1]"})
_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class Guard:
    """Lets a request through to `app` only with a known Host and the token.

    `?token=` is taken once: it becomes a cookie that scripts can't read and other sites can't send, and the browser is
    sent on to the same address without it, so that it stays out of history and screenshots.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str] = LOCAL_HOSTS) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        refusal = self._refusal(Request(scope))

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await (refusal or self._app)(scope, receive, send_guarded)

    def _refusal(self, request: Request) -> Response | None:
        if not self._known_host(request.headers):
            return PlainTextResponse("This host name is not one of the dashboard's.\n", 421)
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("The dashboard only reads.\n", 405)
        given = request.query_params.get("token")
        if given is not None and self._is_token(given):
            return self._remember(request.url)
        if self._is_token(_cookie(request.headers)):
            return None
        return PlainTextResponse(
            "Open the dashboard by the address that `dionysus dashboard` printed: it carries the token.\n", 401
        )

    def _known_host(self, headers: Headers) -> bool:
        host = headers.get("host", "").lower()
        name, _, port = host.rpartition(":")
        return (name if name and port.isdigit() else host) in self._hosts

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "replace"), self._token.encode())

    def _remember(self, url: URL) -> Response:
        query = url.remove_query_params("token").query
        # a path of our own and never "//host": the browser must not be sent elsewhere
        response = RedirectResponse("/" + url.path.lstrip("/\\") + (f"?{query}" if query else ""), 303)
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", path="/")
        return response


def _cookie(headers: Headers) -> str:
    try:
        morsel = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""
