"""The package's settings, and the one place where it reads the environment.

`MemorySettings` is the table `[memory]` (or `DIONYSUS_MEMORY__*`), `McpServerSettings` one table `[mcp.NAME]`.
"""

import json
import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from dionysus_mcp.targets import HttpServer, StdioServer, Target

MEGABYTE = 1024 * 1024


def default_url() -> str:
    """The address of the memory store in the user's data folder."""
    from observability.settings import home

    return f"sqlite:///{home() / 'memory.db'}"


class MemorySettings(BaseSettings):
    """Where memory is kept and how it is read.

    Attributes:
        url: The store, `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`; also from `DATABASE_URL`.
        tenant: First half of the scope that every memory belongs to.
        project: Second half of the scope.
        user: Whose memories are read and written beside those that the project shares; None reads and writes the
            shared ones alone.
        session: Read and write this session's memories alone; None all.
        embedder: "minilm", or "none" for recall by keywords alone.
        embedder_threads: Threads of the embedding model.
        busy_timeout: Seconds to wait for another process's write.
        token_budget: Tokens that one recall may return when the caller sets no budget (four characters a token).
        count_recalls: Whether what is recalled is kept in mind longer; it decides nothing but what `consolidate` tells.
        max_content: Characters that one memory may have.
        max_file_bytes: Larger files are not ingested.
        rerank_model: A model, as LiteLLM names it, that puts the best hits of a recall in order; None for none.
        rerank_api_base: Where it is reached; None for its provider's own address.
        rerank_api_key: Its key; None for the provider's own variable, which no other address gets.
        rerank_top: Hits that it orders.
        rerank_timeout: Seconds that a recall waits for it before the hits stay as they are.
        graph: "rules" finds entities and relations in memories without a model; "none" leaves the graph to `relate`.
        graph_url: A Neo4j that mirrors the graph, such as `neo4j://HOST` or `bolt+s://HOST:7687`; None has none.
        graph_user: Whom Neo4j knows.
        graph_password: Their password; it never stands in `graph_url`.
        graph_database: Of Neo4j; None is its default one.
        graph_model: A LiteLLM model that reads memories for relations too, besides the rules; None asks none.
        graph_model_url: Where that model is served, if not at its provider's.
        graph_model_key: Its key; None for the provider's own variable, which no other address gets.
    """

    model_config = SettingsConfigDict(
        env_prefix="DIONYSUS_MEMORY__", frozen=True, extra="forbid", populate_by_name=True
    )

    url: str = Field(default_factory=default_url, validation_alias=AliasChoices("DIONYSUS_MEMORY__URL", "DATABASE_URL"))
    tenant: str = Field(default="local", min_length=1)
    project: str = Field(default="default", min_length=1)
    user: str | None = Field(default=None, min_length=1)
    session: str | None = Field(default=None, min_length=1)
    embedder: Literal["minilm", "none"] = "minilm"
    embedder_threads: int = Field(default=2, ge=1, le=16)
    busy_timeout: float = Field(default=10.0, ge=5.0)
    token_budget: int = Field(default=8000, ge=100)
    count_recalls: bool = True
    max_content: int = Field(default=100_000, ge=1000)
    max_file_bytes: int = Field(default=50 * MEGABYTE, ge=1)
    rerank_model: str | None = Field(default=None, min_length=1)
    rerank_api_base: str | None = None
    rerank_api_key: SecretStr | None = None
    rerank_top: int = Field(default=10, ge=2, le=20)
    rerank_timeout: float = Field(default=5.0, gt=0, le=60)
    graph: Literal["rules", "none"] = "rules"
    graph_url: str | None = None
    graph_user: str = "neo4j"
    graph_password: SecretStr | None = None
    graph_database: str | None = None
    graph_model: str | None = None
    graph_model_url: str | None = None
    graph_model_key: SecretStr | None = None

    @field_validator("graph_url")
    @classmethod
    def _is_neo4j(cls, url: str | None) -> str | None:
        scheme, _, rest = (url or "neo4j://unset").partition("://")
        if scheme.partition("+")[0] not in ("neo4j", "bolt") or not rest:
            raise ValueError("it must be the address of a Neo4j server, such as neo4j://HOST or bolt://HOST:7687")
        if "@" in rest:
            raise ValueError("name user and password in graph_user and graph_password, not in the address")
        return url


class McpServerSettings(BaseModel):
    """Another MCP server whose tools layers may use: either `command` (stdio) or `url` (streamable HTTP).

    Attributes:
        tools: The only tools to offer; None offers all.
        connect_timeout: Seconds until the server must have answered the handshake.
        call_timeout: Seconds until a tool must have answered.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict, repr=False)
    cwd: Path | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    tools: tuple[str, ...] | None = None
    connect_timeout: float = Field(default=30.0, gt=0)
    call_timeout: float = Field(default=60.0, gt=0)

    @model_validator(mode="after")
    def _one_way_to_reach_it(self) -> Self:
        if (self.command is None) == (self.url is None):
            raise ValueError(
                "set either `command` (a server to start) or `url` (a server to call), not both or neither"
            )
        return self

    def target(self) -> Target:
        """Where the server is found."""
        if self.url is not None:
            return HttpServer(url=self.url, headers=self.headers)
        return StdioServer(command=self.command or "", args=self.args, env=self.env, cwd=self.cwd)


def as_environment(settings: BaseSettings) -> dict[str, str]:
    """Environment variables from which another process reads the same settings.

    Values that are None are left out, so that the other process takes its default.
    """
    prefix = settings.model_config.get("env_prefix", "")
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {f"{prefix}{name.upper()}": _spelled(value) for name, value in values.items() if value is not None}


def inherited_python_environment() -> dict[str, str]:
    """What a server of ours needs of our environment to find the same code: `PYTHONPATH` with this package's folder.

    The server runs with `-P`, so the working directory is not searched; a checkout that isn't installed must be named.
    """
    folder = str(Path(__file__).resolve().parent.parent)
    paths = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    if "site-packages" not in folder and folder not in paths:
        paths.append(folder)
    kept = {name: os.environ[name] for name in ("DIONYSUS_HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | ({"PYTHONPATH": os.pathsep.join(paths)} if paths else {})


def _spelled(value: Any) -> str:
    if isinstance(value, str | int | float | Path | SecretStr):
        return str(_plain(value))
    return json.dumps(value, default=_plain)


def _plain(value: Any) -> Any:
    # Secrets go to our own server's environment in clear: masked, they would be useless there.
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)
