"""How much one caller may ask: requests a minute, and requests at a time. What is too much is refused at once."""

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class Pressure:
    """Refuses with status 429, and says when to come again, before a request's body is read.

    Counted per token, or per address where there are no tokens. A stream that a client holds open to listen (GET) is
    not work and counts as a request only.

    Args:
        app: What serves the requests that are let through.
        per_minute: Requests of one caller in any 60 seconds.
        at_once: Requests of one caller that are worked on at a time.
    """

    def __init__(self, app: "ASGIApp", per_minute: int, at_once: int) -> None:
        from limits import RateLimitItemPerMinute
        from limits.storage import MemoryStorage
        from limits.strategies import MovingWindowRateLimiter

        self._app = app
        self._item = RateLimitItemPerMinute(per_minute)
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._at_once = at_once
        self._working: Counter[str] = Counter()

    async def __call__(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Serve a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        caller = _caller(scope)
        if not self._limiter.hit(self._item, caller):
            again = max(1, math.ceil(self._limiter.get_window_stats(self._item, caller).reset_time - time.time()))
            await _refuse(f"More than {self._item.amount} requests a minute.", again)(scope, receive, send)
            return
        if scope["method"] == "GET":
            await self._app(scope, receive, send)
            return
        if self._working[caller] >= self._at_once:
            await _refuse(f"More than {self._at_once} requests at once.", 1)(scope, receive, send)
            return
        self._working[caller] += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._working[caller] -= 1
            if not self._working[caller]:
                del self._working[caller]


def _caller(scope: "Scope") -> str:
    user = scope.get("user")
    if user is not None and user.is_authenticated:
        return f"token {user.display_name}"
    client = scope.get("client")
    return f"address {client[0] if client else 'unknown'}"


def _refuse(why: str, again: int) -> JSONResponse:
    return JSONResponse(
        {"error": "too_many_requests", "error_description": f"{why} Come again in {again} s."},
        status_code=429,
        headers={"Retry-After": str(again)},
    )
