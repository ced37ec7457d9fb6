"""LiteLLM, imported quietly and guarded, and the clients that it keeps for a loop."""

from __future__ import annotations

import asyncio
import os
import warnings
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from dionysus_mcp.models.guards import install_guards, is_guarded

# LiteLLM asks GitHub for prices and headers while it starts, and loads the `.env` of the working directory into this
# process's environment (mode DEV): no network look-up and no stranger's settings without the user's asking.
_QUIET = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_MODE": "PRODUCTION",
}


def load_litellm() -> Any:
    """Import LiteLLM; the first time takes seconds.

    Its types complain of a qualifier that pydantic doesn't enforce, which LiteLLM mutes only while it is imported.
    """
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    import litellm

    litellm.suppress_debug_info = True
    warnings.filterwarnings("ignore", message=".*`ReadOnly` qualifier.*", category=UserWarning)
    install_guards()
    return litellm


async def close_clients(litellm: Any) -> None:
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


def forget_clients_of_others(litellm: Any) -> None:
    """Take clients that aren't guarded off this loop's books: another loop, closed by now, was at the same address.

    They are left as they are: their connections went with their loop.
    """
    cached = litellm.in_memory_llm_clients_cache.cache_dict
    for key in _of_this_loop(cached):
        if not is_guarded(cached[key]):
            cached.pop(key, None)


def _of_this_loop(cached: Mapping[Any, Any]) -> list[Any]:
    mine = f"-{id(asyncio.get_running_loop())}"
    return [key for key in list(cached) if str(key).endswith(mine)]
