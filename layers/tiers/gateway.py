"""LiteLLM, kept quiet: imported late and once, its Routers built per deployment, its connections closed at the end.

Everything here runs on the event loop of one `Mind`, except the import, which takes seconds and has its own thread.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import threading
import warnings
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from dionysus_mcp.models.endpoint import Endpoint
from dionysus_mcp.models.guards import in_guarded_call
from dionysus_mcp.models.loading import close_clients, forget_clients_of_others, load_litellm

if TYPE_CHECKING:
    from litellm.router import Router

    from layers.tiers.settings import Deployment

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
        return in_guarded_call() and _MISFITS.match(message) is not None


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
        forget_clients_of_others(litellm)
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
        await close_clients(self._litellm.result())

    @staticmethod
    def _load(loaded: Future[Any]) -> None:
        try:
            litellm = load_litellm()
            # Its handlers write to the terminal; each failure is told in our own words instead.
            for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)
            asyncio.run(_rehearse(litellm))
            loaded.set_result(litellm)
        except BaseException as error:  # noqa: BLE001 - whoever waits for the import gets its error
            loaded.set_exception(error)


async def _rehearse(litellm: Any) -> None:
    """Have LiteLLM do once what it puts off until its first call: two seconds that would hold up the Mind's loop.

    The call is answered by LiteLLM itself. Its types complain of what an endpoint put into an answer's fields.
    """
    misfits: Any = ("ignore", _OfOurCalls(), UserWarning, None, 0)
    if misfits not in warnings.filters:
        cast("list[Any]", warnings.filters).insert(0, misfits)
    importlib.import_module("openai.resources")
    params = {"model": "openai/rehearsal", "api_key": "none", "mock_response": "ready"}
    router = litellm.Router(model_list=[{"model_name": "rehearsal", "litellm_params": params}], num_retries=0)
    await router.acompletion(model="rehearsal", messages=[{"role": "user", "content": "ready?"}])
    router.discard()


def _params(deployment: Deployment) -> dict[str, Any]:
    return Endpoint(deployment.model, deployment.api_base, deployment.api_key).parameters()
