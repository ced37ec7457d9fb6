"""`[tiers.NAME]`: which deployments serve a tier, in which order, with which key and price.

The only module of the tiers that reads the environment. `cognition.settings` composes it; `layers.tiers.registry`
turns it into models.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from layers.tiers.pricing import Price, listed_price, output_limit

TEMPERATURES = {"fast": 0.3, "balanced": 0.2, "deep": 0.1}
DEFAULT_TEMPERATURE = 0.2
DEFAULT_MAX_TOKENS = 8192
DEFAULT_TIMEOUT = 60.0
_NO_DOTENV = "PYTHON_DOTENV_DISABLED"

# Providers that serve models on one's own machine and ask for no key.
_KEYLESS = frozenset({"ollama", "ollama_chat", "lm_studio", "hosted_vllm", "vllm", "llamafile"})

# Names and prices as in LiteLLM's own price map; a test looks them up there.
_PROVIDER_MODELS = {
    "anthropic": {
        "fast": "anthropic/claude-haiku-5-5",
        "balanced": "anthropic/claude-sonnet-5-5",
        "deep": "anthropic/claude-opus-5-5",
    },
    "openai": {
        "fast": "openai/gpt-6-luna",
        "balanced": "openai/gpt-6-sol",
        "deep": "openai/gpt-6.1-sol",
    },
}


def _http_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(sign.isspace() for sign in value):
        raise ValueError(f"{value!r} is no http(s) URL; write one like 'http://localhost:1234/v1'")
    if parts.username or parts.password:
        raise ValueError(f"the URL of {parts.hostname!r} must not hold a user or password; set api_key_env instead")
    try:
        _ = parts.port
    except ValueError:  # its words would show the password of a login with a / in it
        raise ValueError(
            "its port is no number; a user or password must not be in it, set api_key_env instead"
        ) from None
    return value.rstrip("/")


Url = Annotated[str, AfterValidator(_http_url)]
ModelName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


class _Access(BaseModel):
    """What a deployment needs; given for a tier, it holds for each of its deployments that doesn't say otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    api_base: Url | None = None
    api_key: SecretStr | None = None
    api_key_env: str | None = Field(default=None, min_length=1)
    input_usd_per_million: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    output_usd_per_million: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    max_tokens: int | None = Field(default=None, ge=1, le=1_000_000)
    timeout: float | None = Field(default=None, gt=0, le=3600, allow_inf_nan=False)
    stream: bool | None = None
    tool_calls: bool | None = None

    @model_validator(mode="after")
    def _price_is_whole(self) -> Self:
        if (self.input_usd_per_million is None) != (self.output_usd_per_million is None):
            raise ValueError("give input_usd_per_million and output_usd_per_million together, or neither")
        return self


class DeploymentSettings(_Access):
    """One model at one provider.

    Attributes:
        model: LiteLLM's name, `provider/model`: `anthropic/claude-haiku-5-5`, `openai/local-name` with an `api_base`.
        api_base: http(s) URL of an OpenAI-compatible endpoint (LM Studio, vLLM, a gateway). Keys of the environment
            never go there unless `api_key_env` says so.
        api_key: the key itself; better is `api_key_env`.
        api_key_env: the environment variable that holds the key; by default the provider's own, `OPENAI_API_KEY`.
        input_usd_per_million: USD for a million prompt tokens, where LiteLLM's price map doesn't know the model.
        output_usd_per_million: USD for a million completion tokens.
        max_tokens: most tokens of one completion.
        timeout: most seconds of one call.
        stream: `false` for an endpoint that can't send an answer in pieces; found out by asking where it isn't set.
        tool_calls: `false` for an endpoint that knows no tool calls: its model is told the tools in the prompt. Found
            out by asking where it isn't set.
    """

    model: ModelName


class TierSettings(_Access):
    """One tier: deployments in order of failover. All other keys of a deployment may stand here, as their default.

    Attributes:
        models: LiteLLM names, tables with a `model` key, or the name of another tier, which stands for its list.
            `["offline"]` is the tier without network.
        temperature: sampling temperature, 0 to 2; by default 0.3 for `fast`, 0.1 for `deep`, else 0.2. Left out
            where a model takes none.
        requests_per_minute: most calls in any 60 seconds, by all processes with the same home folder; further ones
            wait.
        tokens_per_minute: most tokens of prompts and completions in any 60 seconds, likewise. An answer counts for
            1,000 tokens until it is there.
        cooldown: seconds for which a deployment that failed comes last.
        retries: how often the whole list is tried again after every deployment failed in a way that may pass.
        api_base: see `DeploymentSettings`, as are all that follow.
        api_key: as above.
        api_key_env: as above.
        input_usd_per_million: as above.
        output_usd_per_million: as above.
        max_tokens: most tokens of one completion, 8192 by default.
        timeout: most seconds of one call, 60 by default.
        stream: as above.
        tool_calls: as above.
    """

    models: tuple[ModelName | DeploymentSettings, ...] = Field(min_length=1)
    temperature: float | None = Field(default=None, ge=0, le=2, allow_inf_nan=False)
    requests_per_minute: int | None = Field(default=None, ge=1)
    tokens_per_minute: int | None = Field(default=None, ge=1)
    cooldown: float = Field(default=30.0, ge=0, le=3600, allow_inf_nan=False)
    retries: int = Field(default=1, ge=0, le=10)

    @model_validator(mode="before")
    @classmethod
    def _wrap_single(cls, value: Any) -> Any:
        """Take `models = "openai/x"` for a list of one."""
        if isinstance(value, dict) and isinstance(value.get("models"), str):
            return {**value, "models": (value["models"],)}
        return value

    def temperature_of(self, tier: str) -> float:
        """Return the temperature for a tier of that name."""
        return TEMPERATURES.get(tier, DEFAULT_TEMPERATURE) if self.temperature is None else self.temperature


class ProviderKeys(BaseSettings):
    """Keys of the providers that have default tiers, from the environment.

    Attributes:
        anthropic_api_key: `ANTHROPIC_API_KEY`.
        openai_api_key: `OPENAI_API_KEY`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    anthropic_api_key: SecretStr | None = None
    openai_api_key: SecretStr | None = None

    def of(self, provider: str) -> SecretStr | None:
        """Return a provider's key: one of these, or `PROVIDER_API_KEY` of the environment."""
        known = {"anthropic": self.anthropic_api_key, "openai": self.openai_api_key}
        return known[provider] if provider in known else from_environment(f"{provider.upper()}_API_KEY")


@contextmanager
def no_dotenv() -> Generator[None]:
    """Keep python-dotenv from loading a `.env` while the block imports smolagents, which would look for one.

    It walks up from its own folder, so that a project's virtual environment finds the project's file: keys would come
    from a place that nobody named, and only for those imports that happen before the settings are read.
    """
    before = os.environ.get(_NO_DOTENV)
    os.environ[_NO_DOTENV] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_DOTENV]
        else:
            os.environ[_NO_DOTENV] = before


def from_environment(variable: str) -> SecretStr | None:
    """Return a key that an environment variable holds; `None` if it is unset or empty."""
    value = os.environ.get(variable, "").strip()
    return SecretStr(value) if value else None


def default_tiers(keys: ProviderKeys) -> dict[str, TierSettings]:
    """Return `fast`, `balanced` and `deep` for the providers whose key is there; none without any key.

    With keys of both, Anthropic's models come first and OpenAI's take over when they fail.
    """
    providers = [provider for provider in _PROVIDER_MODELS if keys.of(provider)]
    if not providers:
        return {}
    return {tier: TierSettings(models=tuple(_PROVIDER_MODELS[p][tier] for p in providers)) for tier in TEMPERATURES}


@dataclass(frozen=True, slots=True)
class Deployment:
    """One model at one provider, everything resolved.

    Attributes:
        model: LiteLLM's name.
        api_base: URL, `None` for the provider's own.
        api_key: the key; `None` where none is needed, found, or LiteLLM looks for it itself (AWS, Vertex).
        key_setting: where the key comes from or is to be set, for messages: `OPENAI_API_KEY`.
        key_needed: whether a call without a key can't work.
        price: USD per token; `None` when not known.
        max_tokens: most tokens of one completion.
        timeout: most seconds of one call.
        stream: `False` if answers can't come in pieces; `None` where that isn't known.
        tool_calls: `False` if tools must be told in the prompt; `None` where that isn't known.
    """

    model: str
    api_base: str | None
    api_key: SecretStr | None
    key_setting: str
    key_needed: bool
    price: Price | None
    max_tokens: int
    timeout: float
    stream: bool | None = None
    tool_calls: bool | None = None

    @property
    def provider(self) -> str:
        """The part of the name before the slash; empty without one."""
        return provider_of(self.model)

    @property
    def keyless(self) -> bool:
        """Whether calls work without a key: on one's own machine, or at an address for which none is set."""
        return not self.key_needed and (self.api_base is not None or self.provider in _KEYLESS)


def provider_of(model: str) -> str:
    """Return the provider in LiteLLM's name of a model, empty if it names none."""
    return model.split("/", 1)[0] if "/" in model else ""


def resolve(tier: str, settings: TierSettings, entry: str | DeploymentSettings, keys: ProviderKeys) -> Deployment:
    """Return one deployment of a tier with the tier's defaults, its key and its price filled in."""
    own = DeploymentSettings(model=entry) if isinstance(entry, str) else entry
    api_base = own.api_base or settings.api_base
    api_key, key_setting, key_needed = _key(tier, settings, own, api_base, keys)
    return Deployment(
        model=own.model,
        api_base=api_base,
        api_key=api_key,
        key_setting=key_setting,
        key_needed=key_needed,
        price=_price(own) or _price(settings) or listed_price(own.model),
        max_tokens=_most_tokens(own.max_tokens or settings.max_tokens, own.model),
        timeout=own.timeout or settings.timeout or DEFAULT_TIMEOUT,
        stream=settings.stream if own.stream is None else own.stream,
        tool_calls=settings.tool_calls if own.tool_calls is None else own.tool_calls,
    )


def _key(
    tier: str, settings: TierSettings, own: DeploymentSettings, api_base: str | None, keys: ProviderKeys
) -> tuple[SecretStr | None, str, bool]:
    """Return the key, where it is set, and whether a call can't do without."""
    for access in (own, settings):
        if access.api_key is not None:
            return access.api_key, f"api_key in [tiers.{tier}]", True
        if access.api_key_env is not None:
            return from_environment(access.api_key_env), access.api_key_env, True
    provider = provider_of(own.model)
    if api_base is not None or provider in _KEYLESS:
        # A key of the environment belongs to its provider; it must not go to whatever host an api_base names.
        return None, f"api_key_env in [tiers.{tier}]", False
    variable = f"{provider.upper()}_API_KEY" if provider else f"api_key_env in [tiers.{tier}]"
    return (keys.of(provider) if provider else None), variable, provider in _PROVIDER_MODELS


def _price(access: _Access) -> Price | None:
    if access.input_usd_per_million is None or access.output_usd_per_million is None:
        return None
    return Price(access.input_usd_per_million / 1e6, access.output_usd_per_million / 1e6, configured=True)


def _most_tokens(wanted: int | None, model: str) -> int:
    limit = output_limit(model)
    return wanted or min(DEFAULT_MAX_TOKENS, limit or DEFAULT_MAX_TOKENS)
