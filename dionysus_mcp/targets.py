"""Where an MCP server is found: a command to start, or an address to call."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field


class StdioServer(BaseModel):
    """A server that we start and speak to over its standard streams.

    Attributes:
        env: Variables beside the few that every server inherits (HOME, PATH, ...); never shown in messages.
        cwd: Its working directory; ours when None.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = Field(default_factory=dict, repr=False)
    cwd: Path | None = None

    @property
    def address(self) -> str:
        """What messages and spans call it: the command line, without the environment."""
        return " ".join((self.command, *self.args))


class HttpServer(BaseModel):
    """A server that runs elsewhere and speaks streamable HTTP.

    Attributes:
        headers: Sent with every request, such as `Authorization`; never shown in messages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    headers: Mapping[str, str] = Field(default_factory=dict, repr=False)

    @property
    def address(self) -> str:
        """What messages and spans call it: the address, without user or password."""
        scheme, separator, rest = self.url.partition("://")
        authority, slash, path = rest.partition("/")
        return scheme + separator + authority.rpartition("@")[2] + slash + path


Target = StdioServer | HttpServer
