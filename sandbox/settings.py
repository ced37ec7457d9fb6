"""How code may run: the limits every backend keeps, and which backend to take.

The only module of this package that reads the environment.
"""

from difflib import get_close_matches
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from sandbox.network.rules import parse_rule

BackendName = Literal["auto", "docker", "monty", "unsafe-local"]

_MiB = 1024 * 1024


class Limits(BaseModel):
    """What one sandbox may use. Sizes are bytes, times are seconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    step_timeout: float = Field(
        default=30.0,
        gt=0,
        allow_inf_nan=False,
        description="Seconds one step may execute; waiting for the host is not charged.",
    )
    output_limit: int = Field(
        default=256 * 1024, ge=0, description="Bytes of printed output kept per step; the rest is counted."
    )
    memory: int = Field(default=512 * _MiB, ge=4 * _MiB, description="Bytes of memory that the code may hold.")
    cpus: float = Field(default=0.5, ge=0.01, le=64, description="Processors that a container may use.")
    processes: int = Field(default=100, ge=8, le=4096, description="Processes and threads of a container.")
    recursion_limit: int = Field(default=1_000, ge=50, le=1_000_000, description="Depth of nested calls.")
    max_host_calls: int = Field(default=1_000, ge=0, description="Calls of tools and delegates in one step.")
    value_limit: int = Field(
        default=5_000_000, ge=1_000, description="Bytes of one value that crosses the boundary, about."
    )
    value_depth: int = Field(default=64, ge=1, le=100, description="Nesting of one value that crosses the boundary.")
    file_limit: int = Field(default=16 * _MiB, ge=0, description="Bytes of one file.")
    files_limit: int = Field(default=64 * _MiB, ge=0, description="Bytes of all files of one sandbox together.")


class SandboxSettings(BaseSettings, Limits):  # pyright: ignore[reportIncompatibleVariableOverride] - see model_config
    """The table `[sandbox]`: the limits, and the backend that runs the code.

    Variables are named `DIONYSUS_SANDBOX__STEP_TIMEOUT` and so on.
    """

    # Both bases have a model_config and pydantic merges them; this one is the whole of it.
    model_config = SettingsConfigDict(env_prefix="DIONYSUS_SANDBOX__", frozen=True, extra="forbid")

    backend: BackendName = Field(
        default="auto", description="auto, docker, monty, or unsafe-local (no isolation at all)."
    )
    max_sessions: int = Field(default=64, ge=1, description="Sandboxes that one backend keeps open at the same time.")

    open_timeout: float = Field(
        default=10.0, gt=0, allow_inf_nan=False, description="Seconds to wait for one of them to become free."
    )

    warm: int = Field(default=1, ge=0, le=16, description="Containers that are kept ready for the next sandbox.")

    image: str = Field(
        default="dionysus-sandbox:latest",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/:@-]{0,254}$",
        description="Image of the containers: a name, name@digest or id; `dionysus sandbox build` makes the default.",
    )
    engine: str | None = Field(
        default=None,
        description="Address of the Docker engine, such as unix:///run/user/1000/docker.sock; else it is looked for.",
    )
    runtime: str = Field(
        default="auto",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$",
        description="Container runtime: auto takes runsc (gVisor) when the engine lists it, else the engine's own.",
    )
    direct: bool = Field(
        default=True,
        description="Speak to containers of this machine's own engine past it, by a socket in a folder of their own.",
    )

    network: tuple[str, ...] = Field(
        default=(),
        description="Names and ports that code in a container may reach over HTTP(S), such as example.org:443 and "
        "*.example.com:443; nothing by default.",
    )
    network_total: int = Field(
        default=64 * _MiB, ge=1, description="Bytes that one sandbox may send and receive over the network."
    )

    def changed(self, **changes: Any) -> "SandboxSettings":
        """These settings with others in their place; None leaves one as it is."""
        given = {name: value for name, value in changes.items() if value is not None}
        return SandboxSettings.model_validate({**self.model_dump(), **given}) if given else self

    @field_validator("network")
    @classmethod
    def _rules(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for rule in value:
            parse_rule(rule)
        return value

    @field_validator("backend", mode="before")
    @classmethod
    def _known_backend(cls, value: Any) -> Any:
        known = get_args(BackendName)
        if value in known:
            return value
        nearest = get_close_matches(str(value), known, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]!r}?" if nearest else f"choose one of {', '.join(known)}."
        raise ValueError(f"there is no sandbox backend {value!r}; {hint}")
