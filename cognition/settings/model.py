"""All settings of a mind as one model: every package's own, one table each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator

from cognition.settings.schema import secrets_in, secrets_in_urls
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.serving.settings import ServerSettings
from dionysus_mcp.settings import McpServerSettings, MemorySettings
from layers.guards import GuardSettings
from layers.run import Budget
from layers.spec import DEFAULTS, LayerSpec
from layers.tiers.settings import TierSettings
from observability.settings import SHORTEST_SECRET, TraceSettings, environment_secrets
from sandbox.settings import SandboxSettings


class Settings(BaseModel):
    """What a mind is made from. Made by `load_settings`, which knows the file, the environment and their precedence.

    Attributes:
        layers: the layers that were changed or added, each whole: what `layers.spec.resolve_layers` takes.
        tier: one tier for all layers, whatever they say themselves.
        tiers: the tiers that were changed or added; a tier given as a smolagents `Model` is among them as it is.
        mcp: other MCP servers whose tools layers may use.
        memory: where memory is kept.
        consolidation: when and how memories are consolidated.
        server: how `dionysus memory serve` is reached.
        sandbox: how code runs.
        trace: where traces go.
        guards: which tools layers may call, and which calls a person is asked about.
        budget: limits of a run that is given none of its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    layers: dict[str, LayerSpec] = Field(default_factory=dict[str, LayerSpec])
    tier: str | None = None
    tiers: dict[str, TierSettings] = Field(default_factory=dict[str, TierSettings])
    mcp: dict[str, McpServerSettings] = Field(default_factory=dict[str, McpServerSettings])
    memory: MemorySettings = Field(default_factory=MemorySettings)
    consolidation: ConsolidationSettings = Field(default_factory=ConsolidationSettings)
    server: ServerSettings = Field(default_factory=ServerSettings)
    sandbox: SandboxSettings = Field(default_factory=lambda: SandboxSettings())
    trace: TraceSettings = Field(default_factory=TraceSettings)
    guards: GuardSettings = GuardSettings()
    budget: Budget = Budget()

    _file: Path | None = PrivateAttr(default=None)

    @classmethod
    def read(cls, tree: Mapping[str, Any], file: Path | None) -> Settings:
        """Return the settings that a tree of tables says; `file` is remembered as where they came from.

        Raises:
            pydantic.ValidationError: a key is unknown or a value is wrong.
        """
        tiers: dict[str, Any] = tree["tiers"] if isinstance(tree.get("tiers"), dict) else {}
        objects = {name: tier for name, tier in tiers.items() if not _is_plain(tier)}
        if objects:
            tree = {**tree, "tiers": {name: tier for name, tier in tiers.items() if name not in objects}}
        settings = cls.model_validate(tree)
        settings = settings.model_copy(
            update={"layers": settings._all_layers(), "tiers": {**settings.tiers, **objects}}  # noqa: SLF001 - its own
        )
        settings._file = file  # noqa: SLF001 - its own
        return settings

    @property
    def file(self) -> Path | None:
        """The file that was read, if there was one."""
        return self._file

    def secrets(self) -> set[str]:
        """Return every value that must not appear in a trace or on a screen.

        Those are secret settings, what is sent to other MCP servers as headers (of `Bearer KEY` the key, too) and
        environment, the passwords and keys in URLs, and environment variables named like a key, token or password.
        Short values are left out: hiding them would blot out ordinary words.
        """
        found = {*environment_secrets(), *secrets_in(self), *secrets_in_urls(self)}
        for server in self.mcp.values():
            found.update((*server.headers.values(), *server.env.values()))
            found.update(value.rpartition(" ")[2] for value in server.headers.values())
        return {value for value in found if len(value) >= SHORTEST_SECRET}

    def _all_layers(self) -> dict[str, LayerSpec]:
        if self.tier is None:
            return self.layers
        layers = {**DEFAULTS, **self.layers}
        return {name: spec.model_copy(update={"tier": self.tier}) for name, spec in layers.items()}

    @field_validator("layers", mode="before")
    @classmethod
    def _onto_defaults(cls, changes: Any) -> Any:
        if not isinstance(changes, Mapping):
            return changes
        return {name: _onto_default(str(name), change) for name, change in changes.items()}


def _onto_default(name: str, change: Any) -> Any:
    if not isinstance(change, Mapping):
        return change
    known = DEFAULTS[name].model_dump() if name in DEFAULTS else {}
    return {**known, **change, "name": name}


def _is_plain(value: Any) -> bool:
    """Whether a value can be read as settings; anything else is taken for a model object of the user's own."""
    return isinstance(value, str | int | float | list | tuple | Mapping | None)
