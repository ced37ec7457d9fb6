"""One question to a language model, through LiteLLM, for consolidation and the graph where a user names a model."""

import threading
from concurrent.futures import Future, wait
from typing import Any

from dionysus_mcp.consolidation.settings import keep_litellm_quiet

_LOOK_EVERY = 0.5
"""Seconds after which the main thread looks for signals while it waits."""


def ask_model(**call: Any) -> str:
    """Return the text of a model's answer, empty if it has none.

    The call has a thread of its own: LiteLLM takes the event loop of the thread that calls it, and a main thread that
    has none is given one that nobody closes.

    Args:
        call: what `litellm.completion` takes.

    Raises:
        Exception: LiteLLM's, of dozens of kinds.
    """
    answer: Future[str] = Future()
    threading.Thread(target=_answer, args=(answer, call), name="model-asked", daemon=True).start()
    while not wait([answer], _LOOK_EVERY).done:
        pass  # in turns, so that Ctrl-C is seen also where the kernel gave it to another thread
    return answer.result()


def _answer(answer: Future[str], call: dict[str, Any]) -> None:
    try:
        keep_litellm_quiet()
        import litellm

        litellm.suppress_debug_info = True
        said: Any = litellm.completion(**call)
        answer.set_result(str(said.choices[0].message.content or ""))
    except BaseException as error:  # noqa: BLE001 - promise: whatever ends the call reaches who asked
        answer.set_exception(error)
