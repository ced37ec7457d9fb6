"""One container from create to remove, over the Engine API."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from sandbox.docker.channel import Channel, ChannelClosedError
from sandbox.docker.guest.wire import READY, WireError
from sandbox.docker.launch import COMMAND, ENVIRONMENT, boot, frame_limit, host_config, uid
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

    from sandbox.docker.detect import Engine
    from sandbox.settings import SandboxSettings

_READY_TIMEOUT = 30.0  # seconds for a container's first frame
_ATTACH = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}


class Box:
    """A running container whose supervisor has said that it is ready.

    Attributes:
        id: of the container.
        channel: to its supervisor.
        python: version of the Python in it.
    """

    def __init__(self, container: str, channel: Channel, ready: Mapping[str, Any]) -> None:
        self.id = container
        self.channel = channel
        self.python = str(ready.get("python", "3"))[:20]


def start(
    api: docker.APIClient,
    settings: SandboxSettings,
    engine: Engine,
    image: str,
    runtime: str | None,
    labels: Mapping[str, str],
) -> Box:
    """Create and start a container and wait until its worker waits for code.

    Raises:
        SandboxUnavailable: the engine didn't do it; nothing is left then.
    """
    from docker.errors import DockerException
    from requests import RequestException

    user = uid(rootless=engine.rootless or engine.userns_remap)
    container, channel = "", None
    try:
        created = api.create_container(
            image,
            command=list(COMMAND),
            hostname="sandbox",
            user=f"{user}:{user}",
            environment=ENVIRONMENT,
            entrypoint=[],
            stdin_open=True,
            labels=dict(labels),
            working_dir="/tmp",  # noqa: S108 - in the container
            host_config=host_config(settings, user, runtime),
            network_disabled=True,
            detach=False,
        )
        container = str(created["Id"])
        channel = Channel(api.attach_socket(container, params=dict(_ATTACH)), frame_limit(settings))
        api.start(container)
        channel.send_raw(boot(settings))
        return Box(container, channel, _ready(channel))
    except (DockerException, RequestException, ChannelClosedError, WireError) as error:
        complaint = channel.complaint if channel is not None else ""
        if channel is not None:
            channel.close()
        if container:
            remove(api, container)
        raise SandboxUnavailable(f"the Docker engine can't start a sandbox: {complaint or error}") from error
    except BaseException:
        if channel is not None:
            channel.close()
        if container:
            remove(api, container)
        raise


def remove(api: docker.APIClient, container: str) -> None:
    """Kill a container and remove it; one that is gone, or an engine that is, is fine."""
    from docker.errors import DockerException
    from requests import RequestException

    try:
        api.remove_container(container, force=True, v=True)
    except (DockerException, RequestException):
        return  # gone already, or being removed; what a dead engine keeps is found by the next reaper


def _ready(channel: Channel) -> Mapping[str, Any]:
    until = time.monotonic() + _READY_TIMEOUT
    while time.monotonic() < until:
        received = channel.receive()
        if received is not None and received[0] == READY:
            said = json.loads(received[1])
            return said if isinstance(said, dict) else {}
    raise ChannelClosedError(f"it was not ready after {_READY_TIMEOUT:g} s")
