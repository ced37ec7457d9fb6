"""Whose memories these are. Known to the server's edge and to the store, so it needs the standard library alone."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dionysus_mcp.serving.tokens import Token
    from dionysus_mcp.settings import MemorySettings


@dataclass(frozen=True, slots=True)
class Scope:
    """Who reads and writes. Every query of the store filters by it; there is no query without one.

    What belongs to a user is read and written by that user alone. What belongs to no user is shared: everybody in the
    project reads it, and only a scope without a user writes it. A scope with a session is that session and nothing
    else.

    Attributes:
        tenant: Never empty.
        project: Never empty.
        user: Empty for the scope that writes what is shared; it reads nobody's own.
        session: Empty for all sessions.
    """

    tenant: str
    project: str
    user: str = ""
    session: str = ""

    @classmethod
    def of(cls, named: "MemorySettings | Token") -> "Scope":
        """The scope that settings or a token name."""
        return cls(named.tenant, named.project, named.user or "", named.session or "")

    def changes(self) -> dict[str, str | None]:
        """The settings that name this scope."""
        return {
            "tenant": self.tenant,
            "project": self.project,
            "user": self.user or None,
            "session": self.session or None,
        }

    def __str__(self) -> str:
        """As people read it: `acme/support`, `acme/support user ann session q4`."""
        of = f"{self.tenant}/{self.project}"
        return " ".join(
            [of, *(f"{name} {value}" for name, value in (("user", self.user), ("session", self.session)) if value)]
        )
