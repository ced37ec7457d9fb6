"""When and how memories are consolidated. The one place of this package that reads the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ConsolidationSettings(BaseSettings):
    """The table `[consolidation]`, or `DIONYSUS_CONSOLIDATION__*`.

    Attributes:
        interval: Seconds between two runs of a server; 0 runs none.
        limit: Most actions of one run; the rest waits for the next.
        similar: Cosine from which two memories are linked.
        related: Cosine from which two sentences may state the same thing.
        episodes: Different sessions or days in which something must be stated to become a semantic memory.
        model: A LiteLLM model that writes semantic memories, such as `openai/gpt-4o-mini`; None quotes sentences.
        api_base: Where the model is reached, if not at its provider.
        api_key: Its key; else, without an `api_base`, the provider's own variable.
        timeout: Seconds that one call of the model may take.
        calls: Calls of the model in one run.
    """

    model_config = SettingsConfigDict(env_prefix="DIONYSUS_CONSOLIDATION__", frozen=True, extra="forbid")

    interval: float = Field(default=0.0, ge=0)
    limit: int = Field(default=1000, ge=1)
    similar: float = Field(default=0.95, gt=0, le=1)
    related: float = Field(default=0.8, gt=0, le=1)
    episodes: int = Field(default=2, ge=2)
    model: str | None = Field(default=None, min_length=1)
    api_base: str | None = Field(default=None, min_length=1)
    api_key: SecretStr | None = None
    timeout: float = Field(default=60.0, gt=0)
    calls: int = Field(default=20, ge=1)
