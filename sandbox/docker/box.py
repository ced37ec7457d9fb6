"""One container from create to remove, over the Engine API."""

from __future__ import annotations

import contextlib
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from sandbox.docker.channel import Channel, ChannelClosedError
from sandbox.docker.detect import engine_errors, knock
from sandbox.docker.direct import PLACE, DirectChannel, Way, offer
from sandbox.docker.forks import known_to_forks
from sandbox.docker.guest.wire import READY, WireError
from sandbox.docker.gvisor import advice, named
from sandbox.docker.launch import COMMAND, boot, environment, frame_limit, host_config, uid
from sandbox.docker.loss import check_engine
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import docker

    from sandbox.docker.detect import Engine
    from sandbox.settings import SandboxSettings

_READY_TIMEOUT = 30.0  # seconds for a container's first frame
_REMOVE_TIMEOUT = 10.0  # seconds an engine has to remove a container
_ATTACH = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}


class ImageGoneError(SandboxUnavailable):
    """The engine has the image no more from which the container was to be made."""


class RefusedError(SandboxUnavailable):
    """The engine refused what it was asked; of a box with a direct way that may be the folder of it."""


class Box:
    """A running container whose supervisor has said that it is ready.

    Attributes:
        id: of the container.
        channel: to its supervisor.
        python: version of the Python in it.
        direct: whether its frames go past the engine.
        born: moment of the clock at which it was ready, in seconds.
    """

    def __init__(
        self,
        container: str,
        channel: Channel,
        ready: Mapping[str, Any],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.id = container
        self.channel = channel
        self.direct = channel.settle()
        self.python = str(ready.get("python", "3"))[:20]
        self.born = clock()


def start(
    api: docker.APIClient,
    settings: SandboxSettings,
    engine: Engine,
    image: str,
    runtime: str | None,
    labels: Mapping[str, str],
    *,
    direct: bool = False,
    clock: Callable[[], float] = time.monotonic,
) -> Box:
    """Create and start a container and wait until its worker waits for code.

    Args:
        api: client of the engine.
        settings: the limits.
        engine: what it said about itself.
        image: id of the image.
        runtime: name of the container runtime; None for the engine's own choice.
        labels: of the container.
        direct: offer the box a way past the engine; it need not take it.
        clock: the moment, in seconds.

    Raises:
        ImageGoneError: the engine doesn't have the image.
        RefusedError: the engine refused to make or start such a container; nothing is left then.
        SandboxUnavailable: the engine didn't do it; nothing is left then.
    """
    container, channel = "", None
    knock(api)
    way = offer() if direct else None
    try:
        created = api.create_container(image, labels=dict(labels), **_shape(settings, engine, runtime, way))
        container = str(created["Id"])
        channel = known_to_forks(partial(_attached, api, container, settings, way, clock))
        api.start(container)
        channel.send_raw(boot(settings, f"{PLACE}/{Way.NAME}" if way else None))
        return Box(container, channel, _ready(channel, clock), clock=clock)
    except BaseException as error:
        complaint = channel.complaint if channel is not None else ""
        if channel is not None:
            channel.close()
        if container:
            remove(api, container)
        failure = _failure(api, image, error, complaint)
        if failure is None:
            raise
        raise failure from error
    finally:
        if way is not None:
            way.close()


def _failure(api: docker.APIClient, image: str, error: BaseException, complaint: str) -> SandboxUnavailable | None:
    """What to raise of an error of engine or box; None for any other, which stays what it is."""
    from docker.errors import APIError, ImageNotFound

    if isinstance(error, ImageNotFound):
        return ImageGoneError(f"the Docker engine has no image {image} any more")
    if not isinstance(error, (*engine_errors(), ChannelClosedError, WireError)):
        return None
    failure = _not_started(api, error, complaint)
    return RefusedError(str(failure)) if isinstance(error, APIError) else failure


def _attached(
    api: docker.APIClient, container: str, settings: SandboxSettings, way: Way | None, clock: Callable[[], float]
) -> Channel:
    stream, limit = api.attach_socket(container, params=dict(_ATTACH)), frame_limit(settings)
    return DirectChannel(stream, limit, way, clock=clock) if way is not None else Channel(stream, limit, clock=clock)


def _shape(settings: SandboxSettings, engine: Engine, runtime: str | None, way: Way | None) -> dict[str, Any]:
    """What every box is: a user of its own, nothing of the image's own wishes, no network, the settings' limits."""
    user = uid(rootless=engine.rootless or engine.userns_remap)
    gvisor = named(runtime or engine.default_runtime, engine.programs).gvisor
    return {
        "command": list(COMMAND),
        "hostname": "sandbox",
        "user": f"{user}:{user}",
        "environment": environment(settings),
        "entrypoint": [],
        "stdin_open": True,
        "working_dir": "/tmp",  # noqa: S108 - in the container
        "stop_signal": "SIGKILL",  # nothing in it takes another, and an engine that stops would wait ten seconds
        "host_config": host_config(settings, user, runtime, way.mount if way else None, gvisor=gvisor),
        "network_disabled": True,
        "detach": False,
    }


def remove(api: docker.APIClient, container: str) -> None:
    """Kill a container and remove it; one that is gone, or an engine that is, is fine."""
    url = f"{api.base_url}/v{api.api_version}/containers/{container}"
    # Gone already, or being removed, is fine; what a dead engine keeps is found by the next reaper.
    with contextlib.suppress(*engine_errors(), SandboxUnavailable):
        knock(api)
        api.delete(url, params={"force": "1", "v": "1"}, timeout=_REMOVE_TIMEOUT).close()


def _not_started(api: docker.APIClient, error: Exception, complaint: str) -> SandboxUnavailable:
    """Tell an engine that is gone from one that refused, and from a box that ended."""
    if not complaint and not isinstance(error, WireError):
        try:
            check_engine(api)
        except SandboxUnavailable as gone:
            return gone
    return SandboxUnavailable(f"the Docker engine can't start a sandbox: {complaint or error}{advice(str(error))}")


def _ready(channel: Channel, clock: Callable[[], float]) -> Mapping[str, Any]:
    until = clock() + _READY_TIMEOUT
    while clock() < until:
        received = channel.receive()
        if received is not None and received[0] == READY:
            said = json.loads(received[1])
            return said if isinstance(said, dict) else {}
    raise ChannelClosedError(f"it was not ready after {_READY_TIMEOUT:g} s")
