"""What a token costs: LiteLLM's price map, read from its package without importing it (that takes seconds)."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, cast

_MAP = "model_prices_and_context_window_backup.json"
_LONG_PROMPT = re.compile(r"^(?:input|output)_cost_per_token_above_(\d+)k_tokens$")


@dataclass(frozen=True, slots=True)
class Price:
    """USD per token.

    Attributes:
        input: per prompt token.
        output: per completion token.
        most_input: the dearest a prompt token can get: written to the provider's cache, in a long prompt.
        most_output: the dearest a completion token can get.
        configured: whether the settings say so, and not LiteLLM's price map.
    """

    input: float
    output: float
    most_input: float = 0.0
    most_output: float = 0.0
    configured: bool = False

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """Return the plain price of a call in USD, without discounts or surcharges for caching or long prompts."""
        return input_tokens * self.input + output_tokens * self.output

    def bound(self, input_tokens: int, output_tokens: int) -> float:
        """Return an upper bound of a call's price in USD."""
        dearest_input, dearest_output = max(self.input, self.most_input), max(self.output, self.most_output)
        return input_tokens * dearest_input + output_tokens * dearest_output


def listed_price(model: str, prompt_tokens: int = 0) -> Price | None:
    """Return the price of a model by LiteLLM's name; `None` when it is not known.

    A listed price of 0 counts as not known: the map says 0 for local models and for many that it has no price of.
    Who runs a model for free says so in the settings.

    Args:
        model: `anthropic/claude-haiku-5-5`.
        prompt_tokens: a length from which long-prompt prices count, 0 for the ordinary ones.
    """
    entry = _entry(model)
    given, taken = entry.get("input_cost_per_token"), entry.get("output_cost_per_token")
    if not given or not taken:
        return None
    cached = entry.get("cache_creation_input_token_cost") or 0.0
    surcharge = _long_prompt_factor(entry, prompt_tokens)
    return Price(given, taken, max(given, cached) * surcharge, taken * surcharge)


def output_limit(model: str) -> int | None:
    """Return the most tokens that a model can complete, if LiteLLM's map knows it."""
    limit = _entry(model).get("max_output_tokens")
    return int(limit) if isinstance(limit, int | float) and limit > 0 else None


def marks_its_cache(model: str) -> bool:
    """Return whether a model's provider caches prompts up to marks that the caller sets, as Claude's do.

    Others cache by themselves what begins like an earlier prompt, or not at all; some take a mark for an error.
    """
    provider, _, name = model.partition("/")
    return (
        provider in {"anthropic", "bedrock", "vertex_ai", "azure_ai"}
        and "claude" in name
        and bool(_entry(model).get("supports_prompt_caching"))
    )


def _long_prompt_factor(entry: Mapping[str, Any], prompt_tokens: int) -> float:
    """Return by how much prices rise for a prompt of that length: Anthropic and OpenAI bill long prompts dearer."""
    factor = 1.0
    for key, price in entry.items():
        found = _LONG_PROMPT.match(key)
        base = entry.get(key.split("_above_", 1)[0])
        if found and base and price and prompt_tokens > int(found[1]) * 1000:
            factor = max(factor, price / base)
    return factor


def _entry(model: str) -> Mapping[str, Any]:
    prices = _price_map()
    if model in prices:
        return prices[model]
    provider, _, name = model.partition("/")
    entry = prices.get(name, {})
    # `openai/claude-x` at some gateway is not Anthropic's own model at Anthropic's price.
    return entry if name and entry.get("litellm_provider") == provider else {}


@cache
def _price_map() -> Mapping[str, Mapping[str, Any]]:
    """Read the map once; a constant of the installed package."""
    package = importlib.util.find_spec("litellm")
    if package is None or package.origin is None:
        return {}
    path = Path(package.origin).parent / _MAP
    return cast("Mapping[str, Mapping[str, Any]]", json.loads(path.read_text())) if path.is_file() else {}
