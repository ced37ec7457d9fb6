"""A tier's model over LiteLLM's Router: failover in list order, bounded retries, a price per call.

`RouterModel.chat` blocks an agent's thread; the call itself runs on the Mind's event loop, where a stopped lifeline
cancels it wherever it is: in a request, in the middle of a stream, a retry's wait, or a queue for the rate limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from layers.run.signals import RunStopped, StopReason
from layers.tiers.base import Bound, ChatReply, ChatRequest
from layers.tiers.endpoint import Answer, Endpoint, Prompt
from layers.tiers.failures import Failure, Refused, Unavailable, judge
from layers.tiers.limits import LIKELY_ANSWER, Limits, Window
from layers.tiers.pricing import listed_price
from layers.tiers.replies import counts, reply, unsaid
from layers.tiers.tokens import most_prompt_tokens
from layers.tiers.wire import messages_of, tools_of

if TYPE_CHECKING:
    from layers.run.lifeline import Lifeline
    from layers.run.loop import LoopThread
    from layers.tiers.abilities import Abilities
    from layers.tiers.gateway import Gateway
    from layers.tiers.settings import Deployment

LONGEST_WAIT = 30.0
_FIRST_WAIT = 0.5
_NO_LIMITS = Limits()


class RouterModel:
    """A tier served by deployments of LiteLLM, as a `ChatModel`.

    Args:
        tier: its name, for messages.
        deployments: in order of failover, at least one.
        temperature: sampling temperature, left out where a model takes none.
        gateway: the way to LiteLLM.
        loop: where calls run.
        window: the recent calls of all tiers.
        limits: what the tier may do in any 60 seconds, over all threads and processes that share the window.
        retries: how often the whole list is tried again.
        cooldown: seconds for which a deployment that failed comes last.
    """

    def __init__(
        self,
        tier: str,
        deployments: Sequence[Deployment],
        *,
        temperature: float,
        gateway: Gateway,
        loop: LoopThread,
        window: Window,
        limits: Limits = _NO_LIMITS,
        retries: int = 1,
        cooldown: float = 30.0,
    ) -> None:
        self._tier = tier
        self._endpoints = tuple(Endpoint(each, tier, temperature, gateway) for each in deployments)
        self._loop = loop
        self._window = window
        self._limits = limits
        self._retries = retries
        self._cooldown = cooldown
        self._counted_as = _counted_as(tier, deployments)
        # Touched on the loop only, in seconds of `time.monotonic`.
        self._cooling: dict[int, float] = {}
        self._asked_to_wait: dict[int, float] = {}

    @property
    def model_id(self) -> str:
        """The first deployment's name."""
        return self._endpoints[0].deployment.model

    def bound(self, request: ChatRequest) -> Bound:
        """Return the most that a call can use, whichever deployment answers; USD `None` if one has no known price."""
        prompt = most_prompt_tokens(messages_of(request), tools_of(request))
        deployments = [endpoint.deployment for endpoint in self._endpoints]
        prices = [_most_usd(deployment, prompt) for deployment in deployments]
        known = [price for price in prices if price is not None]
        tokens = prompt + max(deployment.max_tokens for deployment in deployments)
        return Bound(tokens, max(known) if len(known) == len(prices) else None)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Call the deployments in order until one answers.

        Raises:
            RunStopped: the run was stopped; or every deployment failed (MODEL); or one refused the key, the model or
                the request (CONFIGURATION).
        """
        lifeline.check()
        prompt = Prompt(request, messages_of(request))
        try:
            return lifeline.wait(self._loop.submit(self._answer(prompt)))
        except Refused as refused:
            raise RunStopped(StopReason.CONFIGURATION, str(refused)) from refused
        except Unavailable as unavailable:
            raise RunStopped(StopReason.MODEL, str(unavailable)) from unavailable

    async def _answer(self, prompt: Prompt) -> ChatReply:
        failures: list[Failure] = []
        candidates = self._in_order()
        for attempt in range(self._retries + 1):
            failed: dict[int, Failure] = {}
            for index in candidates:
                outcome = await self._call(index, prompt)
                if not isinstance(outcome, Failure):
                    return reply(outcome, self._endpoints[index].deployment, prompt, failures)
                failed[index] = outcome
                failures.append(outcome)
            wait = _wait(failed, attempt)
            if wait is None or attempt == self._retries:
                break
            candidates = [index for index in candidates if failed[index].again]
            await asyncio.sleep(wait)
        raise Unavailable(self._outage(failures))

    async def _call(self, index: int, prompt: Prompt) -> Answer | Failure:
        """Have a deployment answer, in a form that it takes.

        Raises:
            Refused: a setting must change first.
        """
        endpoint = self._endpoints[index]
        resting = self._asked_to_wait.get(index, 0.0) - time.monotonic()
        if resting > 0:
            return Failure(endpoint.deployment, f"it asked to be left alone for {resting:.0f} s", retry_after=resting)
        form = endpoint.form()
        while True:  # each turn leaves out one thing more; there are eight
            try:
                answer = await self._counted(endpoint, prompt, form)
            except Refused:
                raise
            except Exception as error:  # noqa: BLE001 - each of LiteLLM's 40 kinds becomes a failure with its reason
                lesser = endpoint.lesser_form(form, prompt, error)
                if lesser is None:
                    return self._failed(index, judge(error, endpoint.deployment, self._tier))
                form = lesser
            else:
                endpoint.remember(form)
                self._cooling.pop(index, None)
                return unsaid(answer, endpoint.deployment, self._tier, prompt) or answer

    async def _counted(self, endpoint: Endpoint, prompt: Prompt, form: Abilities) -> Answer:
        """Make one call when the tier's limits allow, and count what it used."""
        likely = prompt.likely_tokens() + LIKELY_ANSWER
        number = await self._window.enter(self._counted_as, self._limits, likely)
        answer = await endpoint.ask(prompt, form)
        if counted := sum(counts(getattr(answer.response, "usage", None))):
            await self._window.settle(number, counted)
        return answer

    def _failed(self, index: int, failure: Failure) -> Failure:
        now, asked = time.monotonic(), failure.retry_after or 0.0
        self._cooling[index] = now + max(self._cooldown, asked)
        self._asked_to_wait[index] = now + asked
        return failure

    def _in_order(self) -> list[int]:
        now = time.monotonic()
        return sorted(range(len(self._endpoints)), key=lambda index: self._cooling.get(index, 0.0) > now)

    def _outage(self, failures: Sequence[Failure]) -> str:
        reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        return (
            f"No model of the tier {self._tier!r} could answer. {reasons}. Try again later, or add a deployment to "
            f"`models` in [tiers.{self._tier}]."
        )


def _counted_as(tier: str, deployments: Sequence[Deployment]) -> str:
    """Return the name under which calls are counted: tiers of one name but other models don't share a limit."""
    served = "\n".join(f"{each.model} {each.api_base}" for each in deployments)
    return f"{tier}:{hashlib.sha256(served.encode()).hexdigest()[:16]}"


def _wait(failed: Mapping[int, Failure], attempt: int) -> float | None:
    """Return the seconds until a next round is worth while; `None` if it isn't.

    Exponential backoff with full jitter on top of a floor, so that parallel agents don't return all at once, but
    never earlier than the soonest deployment asks for, and not at all if that is too long to hold a run up.
    """
    again = [failure for failure in failed.values() if failure.again]
    if not again:
        return None
    asked = min(failure.retry_after or 0.0 for failure in again)
    backoff = _FIRST_WAIT * 2**attempt
    wait = max(asked, backoff / 2) + random.uniform(0, backoff / 2)  # noqa: S311 - jitter, not a secret
    return wait if asked <= LONGEST_WAIT else None


def _most_usd(deployment: Deployment, prompt_tokens: int) -> float | None:
    price = deployment.price
    if price is not None and not price.configured:
        price = listed_price(deployment.model, prompt_tokens)
    return None if price is None else price.bound(prompt_tokens, deployment.max_tokens)
