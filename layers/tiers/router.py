"""A tier's model over LiteLLM's Router: failover in list order, bounded retries, a price per call.

`RouterModel.chat` blocks an agent's thread; the call itself runs on the Mind's event loop, where a stopped lifeline
cancels it wherever it is: in a request, a retry's wait, or a queue for the rate limit.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from layers.run.signals import RunStopped, StopReason
from layers.tiers.base import Bound, ChatReply, ChatRequest
from layers.tiers.failures import Failure, Refused, Unavailable, judge, missing_key
from layers.tiers.pricing import listed_price
from layers.tiers.tokens import likely_prompt_tokens, likely_tokens, most_prompt_tokens
from layers.tiers.wire import messages_of, options_of, reply_of, tools_of, written

if TYPE_CHECKING:
    from layers.run.lifeline import Lifeline
    from layers.run.loop import LoopThread
    from layers.tiers.gateway import Gateway
    from layers.tiers.settings import Deployment

COOLDOWN = 30.0
LONGEST_WAIT = 30.0
_FIRST_WAIT = 0.5


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A request in wire form, made once for all deployments of a tier."""

    request: ChatRequest
    messages: list[dict[str, Any]]


class RouterModel:
    """A tier served by deployments of LiteLLM, as a `ChatModel`.

    Args:
        tier: its name, for messages.
        deployments: in order of failover, at least one.
        temperature: sampling temperature, left out where a model takes none.
        gateway: the way to LiteLLM.
        loop: where calls run.
        retries: how often the whole list is tried again.
        requests_per_minute: most calls in any 60 seconds, over all threads of the Mind; `None` for no limit.
    """

    def __init__(
        self,
        tier: str,
        deployments: Sequence[Deployment],
        *,
        temperature: float,
        gateway: Gateway,
        loop: LoopThread,
        retries: int = 1,
        requests_per_minute: int | None = None,
    ) -> None:
        self._tier = tier
        self._deployments = tuple(deployments)
        self._temperature = temperature
        self._gateway = gateway
        self._loop = loop
        self._retries = retries
        self._rate = RateLimit(requests_per_minute)
        self._connecting = asyncio.Lock()
        self._routers: dict[int, Any] = {}  # LiteLLM's Routers, whose overloads don't fit options built at run time
        # Touched on the loop only. A deployment that failed goes to the end of the list for a while.
        self._cooling: dict[int, float] = {}

    @property
    def model_id(self) -> str:
        """The first deployment's name."""
        return self._deployments[0].model

    def bound(self, request: ChatRequest) -> Bound:
        """Return the most that a call can use, whichever deployment answers; USD `None` if one has no known price."""
        prompt = most_prompt_tokens(messages_of(request), tools_of(request))
        completion = max(deployment.max_tokens for deployment in self._deployments)
        prices = [_most_usd(deployment, prompt) for deployment in self._deployments]
        known = [price for price in prices if price is not None]
        return Bound(prompt + completion, max(known) if len(known) == len(prices) else None)

    def chat(self, request: ChatRequest, lifeline: Lifeline) -> ChatReply:
        """Call the deployments in order until one answers.

        Raises:
            RunStopped: the run was stopped; or every deployment failed (MODEL); or one refused the key, the model or
                the request (CONFIGURATION).
        """
        lifeline.check()
        prompt = _Prompt(request, messages_of(request))
        try:
            return lifeline.wait(self._loop.submit(self._answer(prompt)))
        except Refused as refused:
            raise RunStopped(StopReason.CONFIGURATION, str(refused)) from refused
        except Unavailable as unavailable:
            raise RunStopped(StopReason.MODEL, str(unavailable)) from unavailable

    async def _answer(self, prompt: _Prompt) -> ChatReply:
        failures: list[Failure] = []
        candidates = self._in_order()
        for attempt in range(self._retries + 1):
            failed: dict[int, Failure] = {}
            for index in candidates:
                outcome = await self._call(index, prompt)
                if not isinstance(outcome, Failure):
                    return _reply(outcome, self._deployments[index], prompt, failures)
                failed[index] = outcome
                failures.append(outcome)
            wait = _wait(failed, attempt)
            candidates = [index for index in candidates if failed[index].again]
            if wait is None or attempt == self._retries:
                break
            await asyncio.sleep(wait)
        raise Unavailable(self._outage(failures))

    async def _call(self, index: int, prompt: _Prompt) -> Any:
        """Make one call; its response, or its failure.

        Raises:
            Refused: a setting must change first.
        """
        deployment = self._deployments[index]
        if deployment.key_needed and deployment.api_key is None:
            raise missing_key(deployment, self._tier)
        await self._rate.acquire()
        try:
            router = await self._connect(index)
            async with asyncio.timeout(deployment.timeout):
                response = await router.acompletion(
                    model=deployment.model,
                    messages=prompt.messages,
                    temperature=self._temperature,
                    max_tokens=deployment.max_tokens,
                    timeout=deployment.timeout,
                    drop_params=True,
                    **options_of(prompt.request, deployment.model),
                )
        except Exception as error:  # noqa: BLE001 - LiteLLM raises some 40 kinds; each becomes a failure with its reason
            failure = judge(error, deployment, self._tier)
            self._cooling[index] = time.monotonic() + max(COOLDOWN, failure.retry_after or 0.0)
            return failure
        self._cooling.pop(index, None)
        return response if response.choices else Failure(deployment, "an answer without choices")

    async def _connect(self, index: int) -> Any:
        async with self._connecting:
            if index not in self._routers:
                self._routers[index] = await self._gateway.router(self._deployments[index])
            return self._routers[index]

    def _in_order(self) -> list[int]:
        now = time.monotonic()
        return sorted(range(len(self._deployments)), key=lambda index: self._cooling.get(index, 0.0) > now)

    def _outage(self, failures: Sequence[Failure]) -> str:
        reasons = "; ".join(dict.fromkeys(str(failure) for failure in failures))
        return (
            f"No model of the tier {self._tier!r} could answer. {reasons}. Try again later, or add a deployment to "
            f"`models` in [tiers.{self._tier}]."
        )


class RateLimit:
    """At most so many calls in any 60 seconds; used on one event loop.

    Args:
        per_minute: the limit; `None` for none.
    """

    def __init__(self, per_minute: int | None, window: float = 60.0) -> None:
        self._per_minute = per_minute
        self._window = window
        self._times: deque[float] = deque()

    async def acquire(self) -> None:
        """Wait until one more call is allowed, and count it."""
        if self._per_minute is None:
            return
        while True:
            now = time.monotonic()
            while self._times and self._times[0] <= now - self._window:
                self._times.popleft()
            if len(self._times) < self._per_minute:
                self._times.append(now)
                return
            await asyncio.sleep(self._times[0] + self._window - now)


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


def _reply(response: Any, deployment: Deployment, prompt: _Prompt, failures: Sequence[Failure]) -> ChatReply:
    message = reply_of(response.choices[0].message, prompt.request.stop)
    usage = getattr(response, "usage", None)
    read, wrote = (usage.prompt_tokens or 0, usage.completion_tokens or 0) if usage else (0, 0)
    estimated = read == 0
    if estimated:
        read = likely_prompt_tokens(prompt.messages, tools_of(prompt.request))
        wrote = likely_tokens(written(message))
    return ChatReply(
        message=message,
        model_id=deployment.model,
        input_tokens=read,
        output_tokens=wrote,
        usd=_usd(response, deployment, read, wrote, estimated=estimated),
        estimated=estimated,
        attempts=tuple(str(failure) for failure in failures),
    )


def _usd(response: Any, deployment: Deployment, read: int, wrote: int, *, estimated: bool) -> float | None:
    """Return the cost of a call; `None` if the price isn't known, for which LiteLLM says 0."""
    if deployment.price is None:
        return None
    listed = response._hidden_params.get("response_cost")  # noqa: SLF001 - the one place where LiteLLM puts it
    if listed and not estimated and not deployment.price.configured:
        return float(listed)
    return deployment.price.cost(read, wrote)


def _most_usd(deployment: Deployment, prompt_tokens: int) -> float | None:
    price = deployment.price
    if price is not None and not price.configured:
        price = listed_price(deployment.model, prompt_tokens)
    return None if price is None else price.bound(prompt_tokens, deployment.max_tokens)
