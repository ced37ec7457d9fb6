"""From a provider's answer to a `ChatReply`: counts that are missing estimated, a price per call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layers.tiers.base import ChatReply
from layers.tiers.tokens import likely_tokens
from layers.tiers.wire import reply_of, written

if TYPE_CHECKING:
    from layers.tiers.endpoint import Answer, Prompt
    from layers.tiers.failures import Failure
    from layers.tiers.settings import Deployment


def reply(answer: Answer, deployment: Deployment, prompt: Prompt, failures: Sequence[Failure] = ()) -> ChatReply:
    """Return what a deployment answered, with what it cost.

    Args:
        answer: what it sent, with at least one choice.
        deployment: who answered.
        prompt: what it was asked.
        failures: calls that failed before it answered.
    """
    choice = answer.response.choices[0].message
    message = reply_of(choice, prompt.request)
    usage = getattr(answer.response, "usage", None) if answer.counted else None
    read, wrote = _counts(usage)
    made = ChatReply(
        message=message,
        model_id=deployment.model,
        input_tokens=read or prompt.likely_tokens(),
        # A provider that counts no token for words that are there counts none at all.
        output_tokens=wrote or likely_tokens(written(message) + (getattr(choice, "reasoning_content", None) or "")),
        usd=None,
        estimated=not read or (not wrote and bool(written(message))),
        attempts=tuple(str(failure) for failure in failures),
        cached_tokens=_cached(usage),
    )
    return replace(made, usd=_usd(answer.response, deployment, made))


def _counts(usage: Any) -> tuple[int, int]:
    return (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)


def _cached(usage: Any) -> int:
    details = getattr(usage, "prompt_tokens_details", None)
    return int(getattr(details, "cached_tokens", None) or 0)


def _usd(response: Any, deployment: Deployment, made: ChatReply) -> float | None:
    """Return the cost of a call; `None` if the price isn't known, for which LiteLLM says 0."""
    if deployment.price is None:
        return None
    listed = None if made.estimated or deployment.price.configured else _listed(response, deployment)
    return listed or deployment.price.cost(made.input_tokens, made.output_tokens)


def _listed(response: Any, deployment: Deployment) -> float | None:
    """Return the cost by LiteLLM's price map, what was read from the provider's cache and written to it included."""
    import litellm

    told = response._hidden_params.get("response_cost")  # noqa: SLF001 - the one place where LiteLLM puts it
    if told:
        return float(told)
    with suppress(Exception):  # it knows no price, or not this kind of answer: the plain price is charged
        return float(litellm.completion_cost(completion_response=response, model=deployment.model))
    return None
