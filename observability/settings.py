"""What a user may set about traces, and the only place of this package that reads the environment."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

_SECRET_NAMES = re.compile("KEY|TOKEN|SECRET|PASSWORD|PASSWD|PASSPHRASE|CREDENTIAL", re.IGNORECASE)
_PLACES = re.compile("_(DIR|FILE|PATH|HOME|FOLDER)$", re.IGNORECASE)  # where something is; TIKTOKEN_CACHE_DIR
SHORTEST_SECRET = 6
"""Characters. A shorter value would blot out ordinary words all over a trace."""


def home() -> Path:
    """Return the folder of Dionysus' data: `$DIONYSUS_HOME`, or the platform's place for a user's data."""
    named = os.environ.get("DIONYSUS_HOME")
    if named:
        return Path(named).expanduser()
    import platformdirs

    return platformdirs.user_data_path("dionysus")


def environment_secrets() -> tuple[str, ...]:
    """Return the values of environment variables whose names say that they are secret, for redaction."""
    named = {
        name: value for name, value in os.environ.items() if _SECRET_NAMES.search(name) and not _PLACES.search(name)
    }
    return tuple(value for value in named.values() if len(value) >= SHORTEST_SECRET)


class TraceSettings(BaseSettings):
    """The table `[trace]`, or `DIONYSUS_TRACE__PATH` and so on.

    Attributes:
        enabled: write traces at all.
        path: the trace store, one SQLite file that several processes write; made with mode 0600.
        content: keep what was said (prompts, answers, code), redacted; else only facts: times, counts, types of errors.
        redact: own regular expressions; what they match is replaced, beside keys, tokens and environment secrets.
        otlp_endpoint: base URL of an OTLP/HTTP collector, such as `http://localhost:4318`; None sends nothing.
        otlp_headers: headers for the collector, such as its key.
        otlp_content: send what was said to the collector too.
        value_limit: bytes that one attribute keeps of its text.
        span_limit: bytes that all texts of one span keep.
        queue_limit: records that may wait for the writer before content, then leaf spans are dropped.
    """

    model_config = SettingsConfigDict(env_prefix="DIONYSUS_TRACE__", extra="forbid", frozen=True)

    enabled: bool = True
    path: Path = Field(default_factory=lambda: home() / "trace.db")
    content: bool = True
    redact: tuple[str, ...] = ()
    otlp_endpoint: str | None = None
    otlp_headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr])
    otlp_content: bool = False
    value_limit: int = Field(default=8192, ge=256)
    span_limit: int = Field(default=65536, ge=1024)
    queue_limit: int = Field(default=20_000, ge=100)

    @field_validator("path")
    @classmethod
    def _expand(cls, path: Path) -> Path:
        return path.expanduser()

    @field_validator("redact")
    @classmethod
    def _compile(cls, patterns: Iterable[str]) -> tuple[str, ...]:
        for pattern in patterns:
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{pattern!r} is not a regular expression: {error}") from error
        return tuple(patterns)

    @field_validator("otlp_endpoint")
    @classmethod
    def _http(cls, endpoint: str | None) -> str | None:
        if endpoint and not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"{endpoint!r} is no OTLP endpoint; give an http:// or https:// URL")
        return endpoint or None
