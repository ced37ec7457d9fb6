"""From a provider's answer to a `ChatReply`: counts that are missing estimated, a price per call."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from layers.run.budget import Usage
from layers.tiers.base import ChatReply
from layers.tiers.failures import Failure
from layers.tiers.tokens import likely_tokens
from layers.tiers.wire import reply_of, written

if TYPE_CHECKING:
    from layers.tiers.endpoint import Answer, Prompt
    from layers.tiers.settings import Deployment


_MOST_COUNTED = 100_000_000
"""Tokens of a prompt or an answer that some provider may really bill; no context is that long."""


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
    read, wrote = counts(usage)
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
        finish=str(answer.response.choices[0].finish_reason or ""),
    )
    return replace(made, usd=_usd(answer.response, deployment, made))


def unsaid(answer: Answer, deployment: Deployment, tier: str, prompt: Prompt) -> Failure | None:
    """Return why an answer says nothing, where the same deployment would not say more; its tokens stay on the meter."""
    if not answer.response.choices:
        return Failure(deployment, "an answer without choices")
    choice = answer.response.choices[0]
    why = {
        "content_filter": "its filter held the answer back (content_filter)",
        "length": f"its thinking used up the tokens of an answer (length): raise `max_tokens` in [tiers.{tier}]",
    }.get(str(choice.finish_reason))
    if why is None or choice.message.content or choice.message.tool_calls:
        return None
    made = reply(answer, deployment, prompt)
    prompt.request.meter.bill(Usage(0, made.input_tokens, made.output_tokens, made.usd, estimated=made.estimated))
    return Failure(deployment, why, again=False)


def counts(usage: Any) -> tuple[int, int]:
    """Return a provider's counts; 0 for one that can't be: negative ones would give budget back, absurd ones end it."""
    return (_count(usage.prompt_tokens), _count(usage.completion_tokens)) if usage else (0, 0)


def _count(told: Any) -> int:
    return told if isinstance(told, int) and 0 < told <= _MOST_COUNTED else 0


def _cached(usage: Any) -> int:
    details = getattr(usage, "prompt_tokens_details", None)
    return _count(getattr(details, "cached_tokens", None))


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
    if told and told > 0:
        return float(told)
    with suppress(Exception):  # it knows no price, or not this kind of answer: the plain price is charged
        return float(litellm.completion_cost(completion_response=response, model=deployment.model))
    return None
