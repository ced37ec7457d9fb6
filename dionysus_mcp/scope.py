"""Whose memories these are. Known to the server's edge and to the store, so it needs the standard library alone."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose memories these are. Every query filters by it; there is no query without one."""

    tenant: str
    project: str
