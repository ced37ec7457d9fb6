"""One question to one model at one place, with the guards that hold for every call of ours.

Asked by what memory has a model for: ordering hits, reading relations, wording what episodes state. Layers have tiers.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dionysus_mcp.models.guards import guarded
from dionysus_mcp.models.loading import close_clients, forget_clients_of_others, load_litellm

if TYPE_CHECKING:
    from pydantic import SecretStr

_LOOK_EVERY = 0.5
"""Seconds after which the main thread looks for signals while it waits."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model and where it is reached.

    Attributes:
        model: LiteLLM's name.
        api_base: URL, None for the provider's own.
        api_key: Its key; None for the variable of the provider, which is read for the provider's own URL alone.
        max_tokens: Most tokens of one answer; what comes beyond is not read for long.
        timeout: Seconds of one call.
    """

    model: str
    api_base: str | None = None
    api_key: SecretStr | None = None
    max_tokens: int = 1000
    timeout: float = 60.0

    def parameters(self) -> dict[str, Any]:
        """The keywords of a call by which LiteLLM reaches it."""
        parameters: dict[str, Any] = {"model": self.model}
        if self.api_base is not None:
            # A placeholder where no key is set, or LiteLLM would send the provider's key from the environment.
            parameters |= {"api_base": self.api_base, "api_key": "none"}
        if self.api_key is not None:
            parameters["api_key"] = self.api_key.get_secret_value()
        return parameters


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered.

    Attributes:
        text: Empty if it said nothing.
        input_tokens: Of the prompt, as the endpoint counted them; None if it didn't.
        output_tokens: Of the answer.
        usd: What LiteLLM's price list makes of them; None where it has no price.
    """

    text: str
    input_tokens: int | None = None
    output_tokens: int | None = None
    usd: float | None = None


async def complete(endpoint: Endpoint, messages: Sequence[Mapping[str, str]]) -> Completion:
    """Ask once, on this loop; nothing is tried again.

    The clients that LiteLLM makes for it stay cached for the loop: `close_clients` before it ends.

    Args:
        endpoint: Who is asked.
        messages: With `role` and `content`.

    Raises:
        TimeoutError: no answer came in time.
        Exception: LiteLLM's, of dozens of kinds.
    """
    litellm = await asyncio.to_thread(load_litellm)
    forget_clients_of_others(litellm)
    with guarded(endpoint.max_tokens):
        call = litellm.acompletion(
            messages=[*messages],
            max_tokens=endpoint.max_tokens,
            temperature=0.0,
            num_retries=0,
            max_retries=0,
            timeout=endpoint.timeout,
            **endpoint.parameters(),
        )
        return _completion(await asyncio.wait_for(call, endpoint.timeout))


def complete_apart(endpoint: Endpoint, messages: Sequence[Mapping[str, str]]) -> Completion:
    """Ask once, on a thread and loop that go with the answer; arguments and errors as of `complete`.

    Nothing of it is left in the thread that asks, which may be the main one and sees Ctrl-C meanwhile.
    """
    answer: Future[Completion] = Future()

    async def ask() -> Completion:
        try:
            return await complete(endpoint, messages)
        finally:
            await close_clients(load_litellm())

    def work() -> None:
        try:
            answer.set_result(asyncio.run(ask()))
        except BaseException as error:  # noqa: BLE001 - promise: whatever ends the call reaches who asked
            answer.set_exception(error)

    threading.Thread(target=work, name="model-asked", daemon=True).start()
    while not wait([answer], _LOOK_EVERY).done:
        pass  # in turns, so that Ctrl-C is seen also where the kernel gave it to another thread
    return answer.result()


def _completion(response: Any) -> Completion:
    try:
        text = str(response.choices[0].message.content or "")
    except (AttributeError, IndexError, TypeError):
        text = ""
    usage = getattr(response, "usage", None)
    tokens = [getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")]
    usd = getattr(response, "_hidden_params", {}).get("response_cost")
    return Completion(
        text,
        *(counted if isinstance(counted, int) else None for counted in tokens),
        usd=float(usd) if isinstance(usd, int | float) else None,
    )
