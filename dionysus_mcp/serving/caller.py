"""Who calls: what a request's token says, carried to the tool that serves it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.scope import Scope

if TYPE_CHECKING:
    from mcp.server.auth.provider import AccessToken

    from dionysus_mcp.serving.tokens import Token


@dataclass(frozen=True, slots=True)
class Caller:
    """The bearer of a token, or whoever reaches a server that needs none.

    Attributes:
        name: Of the token; None without one.
        scope: What the token reaches; None without one, which is the server's own.
        read_only: Whether writes are refused.
    """

    name: str | None = None
    scope: Scope | None = None
    read_only: bool = False

    @classmethod
    def current(cls) -> "Caller":
        """Who sent the request at hand; the SDK carries it from the transport to the tool's thread."""
        from mcp.server.auth.middleware.auth_context import get_access_token

        token = get_access_token()
        if token is None:
            return cls()
        claims: dict[str, Any] = token.claims or {}
        return cls(token.client_id, Scope(*claims["scope"]), claims["read_only"])


def access_token(token: "Token") -> "AccessToken":
    """A token as the SDK wants it; without the secret, which nobody needs any more."""
    from mcp.server.auth.provider import AccessToken

    return AccessToken(
        token="",
        client_id=token.name,
        # The digest tells two tokens apart of which the second took over the first one's name.
        subject=token.digest,
        scopes=["read"] if token.read_only else ["read", "write"],
        claims={
            "scope": [token.tenant, token.project, token.user or "", token.session or ""],
            "read_only": token.read_only,
        },
    )
