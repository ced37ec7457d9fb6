"""LiteLLM, kept quiet: imported late and once, its Routers built per deployment, its connections closed at the end.

Everything here runs on the event loop of one `Mind`, except the import, which takes seconds and has its own thread.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import re
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from layers.tiers.wary import in_our_call, is_wary, make_wary

if TYPE_CHECKING:
    from litellm.router import Router

    from layers.tiers.settings import Deployment

# LiteLLM asks GitHub for prices and headers while it starts, and loads the `.env` of the working directory into this
# process's environment (mode DEV): no network look-up and no stranger's settings without the user's asking.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
}


_MISFITS = re.compile(
    r"Pydantic serializer warnings:\n[\s\S]*field_name='"
    r"(?:prompt_tokens|completion_tokens|total_tokens|usage|content|arguments|name|id|choices|role|tool_calls)'"
)


@dataclass(frozen=True, slots=True)
class _OfOurCalls:
    """Stands for a pattern in a filter of warnings: where an endpoint's answer doesn't fit OpenAI's types.

    The user's own models have fields of these names, too: outside of our calls their warnings are heard.
    """

    def match(self, message: str) -> bool:
        """Return whether a warning is of such an answer."""
        return in_our_call() and _MISFITS.match(message) is not None


class Gateway:
    """The one way of a `Mind` to LiteLLM."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._litellm: Future[Any] | None = None
        self._routers: list[Router] = []

    def warm(self) -> Future[Any]:
        """Begin to import LiteLLM in the background, if nobody did; ready when the future is."""
        with self._lock:
            if self._litellm is None:
                self._litellm = Future()
                # A daemon: a program that ends meanwhile must not wait for the import.
                threading.Thread(target=self._load, args=(self._litellm,), name="litellm-import", daemon=True).start()
            return self._litellm

    async def router(self, deployment: Deployment) -> Router:
        """Return a Router of one deployment, under its own name.

        Of one: `RouterModel` keeps order, retries and cooldown itself, so that each failure's reason is known and
        every wait can be cancelled. The Router's own retries wait for minutes, out of reach.
        """
        litellm = await asyncio.shield(asyncio.wrap_future(self.warm()))
        _forget_clients_of_others(litellm)
        entry = {"model_name": deployment.model, "litellm_params": _params(deployment)}
        router = litellm.Router(model_list=[entry], num_retries=0, disable_cooldowns=True)
        self._routers.append(router)
        return router

    async def close(self) -> None:
        """Close the connections that LiteLLM keeps for this loop, and take its routers off its books. Idempotent."""
        if self._litellm is None or not self._litellm.done() or self._litellm.exception():
            return
        while self._routers:
            self._routers.pop().discard()
        await _close_clients(self._litellm.result())

    @staticmethod
    def _load(loaded: Future[Any]) -> None:
        try:
            for name, value in _QUIET.items():
                os.environ.setdefault(name, value)
            import litellm

            litellm.suppress_debug_info = True
            make_wary()
            # Its handlers write to the terminal; each failure is told in our own words instead.
            for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            asyncio.run(_rehearse(litellm))
            loaded.set_result(litellm)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the import gets its error
            loaded.set_exception(error)


async def _rehearse(litellm: Any) -> None:
    """Have LiteLLM do once what it puts off until its first call: two seconds that would hold up the Mind's loop.

    The call is answered by LiteLLM itself. Its types complain of a qualifier that pydantic doesn't enforce, which
    LiteLLM mutes only while it is imported, and of what an endpoint put into an answer's fields.
    """
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier.*", category=UserWarning)
    misfits: Any = ("ignore", _OfOurCalls(), UserWarning, None, 0)
    if misfits not in warnings.filters:
        cast("list[Any]", warnings.filters).insert(0, misfits)
    importlib.import_module("openai.resources")
    params = {"model": "openai/rehearsal", "api_key": "none", "mock_response": "ready"}
    router = litellm.Router(model_list=[{"model_name": "rehearsal", "litellm_params": params}], num_retries=0)
    await router.acompletion(model="rehearsal", messages=[{"role": "user", "content": "ready?"}])
    router.discard()


def _params(deployment: Deployment) -> dict[str, Any]:
    params: dict[str, Any] = {"model": deployment.model}
    if deployment.api_base is not None:
        # A placeholder where no key is set, or LiteLLM would send the provider's key from the environment.
        params |= {"api_base": deployment.api_base, "api_key": "none"}
    if deployment.api_key is not None:
        params["api_key"] = deployment.api_key.get_secret_value()
    return params


async def _close_clients(litellm: Any) -> None:
    """Close the cached clients of this loop; others belong to other loops, perhaps to the user's own code."""
    cached = litellm.in_memory_llm_clients_cache.cache_dict
    for key in _of_this_loop(cached):
        client = cached.pop(key)
        if getattr(client, "_client", client) is litellm.aclient_session:
            continue  # the program's own, for all its calls
        close = getattr(client, "aclose", None) or getattr(client, "close", None)
        if close is not None:
            with suppress(Exception):  # a connection that is already broken is as good as closed
                await close()


def _forget_clients_of_others(litellm: Any) -> None:
    """Take clients that aren't wary off this loop's books: another loop, closed by now, was at the same address.

    They are left as they are: their connections went with their loop.
    """
    cached = litellm.in_memory_llm_clients_cache.cache_dict
    for key in _of_this_loop(cached):
        if not is_wary(cached[key]):
            cached.pop(key, None)


def _of_this_loop(cached: Mapping[Any, Any]) -> list[Any]:
    mine = f"-{id(asyncio.get_running_loop())}"
    return [key for key in list(cached) if str(key).endswith(mine)]
