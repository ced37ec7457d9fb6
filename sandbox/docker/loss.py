"""Whose end it was, when a box fell silent: its own, or that of its engine.

Its own end is for the agent, who lost its variables; the engine's end is for the user, and no mistake of any code. An
engine remembers for a while which containers ended, and one that was restarted remembers none.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.detect import START_ONE, address_of, engine_errors, innermost, knock
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

ANSWER: Final = 5.0  # seconds that an engine has to say that it is there
_REMEMBERED: Final = 3.0  # seconds in which an engine says that a container ended, also when it is just ending


def check_engine(api: docker.APIClient) -> None:
    """Ask the engine whether it is there.

    Raises:
        SandboxUnavailable: nobody listens there, or it doesn't answer in five seconds.
    """
    try:
        knock(api)
        api.get(f"{_base(api)}/_ping", timeout=ANSWER).raise_for_status()
    except (*engine_errors(), SandboxUnavailable) as error:
        raise _gone(api, error) from error


def check_end(api: docker.APIClient, container: str) -> None:
    """Return if the engine is there and knows that this container ended.

    Raises:
        SandboxUnavailable: it doesn't answer, or knows nothing of such an end: it was restarted meanwhile.
    """
    check_engine(api)
    if not _remembers_end(api, container):
        raise SandboxUnavailable(
            f"the Docker engine at {address_of(api)} was restarted while code ran, and the container was lost;"
            " wait until it is up again, and run once more"
        )


def _gone(api: docker.APIClient, error: BaseException) -> SandboxUnavailable:
    """What to raise when the engine didn't answer."""
    place, cause = address_of(api), innermost(error)
    if "timed out" in cause.lower():
        return SandboxUnavailable(f"the Docker engine at {place} hangs: no answer in {ANSWER:g} s; restart it")
    return SandboxUnavailable(f"the Docker engine at {place} went away ({cause}); {START_ONE}")


def _remembers_end(api: docker.APIClient, container: str) -> bool:
    """Whether the engine tells of the container's end: one that was, or one that comes in a moment."""
    wanted = {"type": ["container"], "container": [container], "event": ["die"]}
    asked: dict[str, Any] = {"since": "1", "filters": json.dumps(wanted)}  # from the first that it remembers
    try:
        with api.get(f"{_base(api)}/events", params=asked, stream=True, timeout=_REMEMBERED) as answer:
            answer.raise_for_status()
            return any(answer.iter_content(None))
    except engine_errors():
        return False  # no event in time is a timeout of reading


def _base(api: docker.APIClient) -> str:
    return f"{api.base_url}/v{api.api_version}"
