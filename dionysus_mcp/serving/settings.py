"""How the memory server is reached, and what it lets callers do. The one place of `serving` that reads the environment.

`ServerSettings` is `DIONYSUS_SERVER__*`; the store itself is `MemorySettings`.
"""

import ipaddress
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PORT = 8765
MEGABYTE = 1024 * 1024


def default_tokens() -> Path:
    """The file of access tokens in the user's data folder."""
    from observability.settings import home

    return home() / "memory-tokens.json"


def default_audit() -> Path:
    """The audit log in the user's data folder."""
    from observability.settings import home

    return home() / "memory-audit.jsonl"


class ServerSettings(BaseSettings):
    """How the server is reached.

    Attributes:
        transport: "stdio" serves the one client that started it, "http" many over streamable HTTP.
        host: Address to listen on. Off the loopback every request needs a token.
        port: 0 takes a free one.
        path: Where the protocol is spoken.
        tokens: File of access tokens; `dionysus memory token` writes it. Where it has any, each request needs one.
        read_only: Refuse every write, whatever the token allows.
        allowed_hosts: Values of the Host header beside the address itself; `name:*` takes any port.
        allowed_origins: Web pages that may call, such as `https://notes.example`; none by default.
        tls_certificate: PEM file; with `tls_key` the server speaks HTTPS.
        tls_key: PEM file of the private key.
        max_message_bytes: Larger requests are refused with status 413.
        requests_per_minute: Of one token, or of one address where there are no tokens; above it, status 429.
        concurrency: Requests of one token worked on at a time; above it, status 429.
        max_sessions: Open sessions of all clients; above it, status 503.
        session_idle: Seconds after which an unused session ends.
        audit: Where tool calls are recorded, one JSON object a line; None records none.
        audit_bytes: Size at which the audit log is turned over; five old ones are kept.
        grace: Seconds that open requests have when the server stops.
    """

    model_config = SettingsConfigDict(env_prefix="DIONYSUS_SERVER__", frozen=True, extra="forbid")

    transport: Literal["stdio", "http"] = "stdio"
    host: str = "127.0.0.1"
    port: int = Field(default=PORT, ge=0, le=65535)
    path: str = Field(default="/mcp", pattern=r"^/[A-Za-z0-9/_.-]+$")
    tokens: Path = Field(default_factory=default_tokens)
    read_only: bool = False
    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    max_message_bytes: int = Field(default=MEGABYTE, ge=1024, le=64 * MEGABYTE)
    requests_per_minute: int = Field(default=600, ge=1)
    concurrency: int = Field(default=16, ge=1)
    max_sessions: int = Field(default=1000, ge=1)
    session_idle: float = Field(default=1800.0, gt=0)
    audit: Path | None = None
    audit_bytes: int = Field(default=10 * MEGABYTE, ge=1024)
    grace: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _both_parts_of_tls(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("set both `tls_certificate` and `tls_key`, or neither")
        return self

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the address."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def scheme(self) -> str:
        """Of its address: "https" with a certificate, "http" without."""
        return "http" if self.tls_certificate is None else "https"
