"""Which Docker engine there is, and what it can do: for the backend that uses it and for `dionysus doctor`."""

from __future__ import annotations

import queue
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sandbox.docker import gvisor
from sandbox.docker.address import Address, candidates, usual_sockets
from sandbox.docker.settings import DockerEnvironment
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    import docker

    from sandbox.settings import SandboxSettings

FIRST_ANSWER = 5  # seconds an engine has for its first word
_LIMITS = {"MemoryLimit": "memory", "SwapLimit": "swap", "CpuCfsQuota": "cpu", "PidsLimit": "pids"}
_NO_ADDRESS = "the Docker engine can't be used: {url!r}{by} is no address such as unix:///var/run/docker.sock"
START_ONE = "start it (Docker Desktop, colima, `systemctl start docker`), or name another by DOCKER_HOST"


@dataclass(frozen=True, slots=True)
class Engine:
    """What an engine says about itself.

    Attributes:
        address: where it was reached, such as `unix:///var/run/docker.sock`.
        version: of the engine, such as `29.1.0`.
        api_version: the newest it speaks.
        rootless: it runs without root, so that a hole in it isn't root on its host.
        userns_remap: root in a container is nobody on its host.
        cgroup: version of its host's control groups.
        missing_limits: of memory, swap, cpu and pids, those that it can't enforce.
        runtimes: names it knows, in alphabetical order.
        default_runtime: the one of containers that name none.
        runsc: gVisor's name is among its runtimes.
        architecture: of its host, such as `x86_64`.
        remote: it is reached over a network, so it sees no file and no process of this machine.
        seccomp: it filters system calls by a profile.
        apparmor: it confines containers by AppArmor.
        programs: the same runtimes, with what each starts.
    """

    address: str
    version: str
    api_version: str
    rootless: bool
    userns_remap: bool
    cgroup: Literal["1", "2"]
    missing_limits: tuple[str, ...]
    runtimes: tuple[str, ...]
    default_runtime: str
    runsc: bool
    architecture: str
    remote: bool
    seccomp: bool
    apparmor: bool
    programs: tuple[gvisor.Runtime, ...]


def connect(settings: SandboxSettings, *, timeout: int = 60) -> docker.APIClient:
    """Find an engine that answers. The caller closes the client.

    Looks at `engine` in the settings, then DOCKER_HOST, the Docker context in use, and the usual sockets. An engine
    that doesn't answer within 5 s counts as dead.

    Args:
        settings: `engine` names the address.
        timeout: seconds that the client waits for the answer to a later request.

    Raises:
        SandboxUnavailable: none answers; the message says why and what to do.
    """
    environment = DockerEnvironment()
    places = candidates(settings, environment)
    if not places:
        looked = ", ".join(str(path) for path in usual_sockets(environment))
        raise SandboxUnavailable(f"no Docker engine was found: there is none of {looked}; {START_ONE}")
    refusals: list[SandboxUnavailable] = []
    for place in places:
        try:
            client = _open(place)
        except SandboxUnavailable as refusal:
            refusals.append(refusal)
        else:
            client.timeout = timeout
            return client
    raise refusals[0]


def facts(api: docker.APIClient) -> Engine:
    """Ask an engine about itself.

    Raises:
        SandboxUnavailable: it doesn't answer any more.
    """
    address = address_of(api)
    try:
        info, version = api.info(), api.version()
    except engine_errors() as error:
        raise SandboxUnavailable(
            f"the Docker engine does not answer: {address} said {innermost(error)}; {START_ONE}"
        ) from error
    return engine_of(address, info, version)


def engine_of(address: str, info: Mapping[str, Any], version: Mapping[str, Any]) -> Engine:
    """Read what `GET /info` and `GET /version` of an engine say; what they leave out counts as not there."""
    security = [str(option) for option in info.get("SecurityOptions") or ()]
    programs = gvisor.listed(info.get("Runtimes") or {})
    runtimes = tuple(each.name for each in programs)
    return Engine(
        address=address,
        version=str(version.get("Version", "unknown")),
        api_version=str(version.get("ApiVersion", "unknown")),
        rootless=_has(security, "rootless"),
        userns_remap=_has(security, "userns"),
        cgroup="2" if str(info.get("CgroupVersion")) == "2" else "1",  # engines before 20.10 know only the first
        missing_limits=tuple(name for key, name in _LIMITS.items() if not info.get(key)),
        runtimes=runtimes,
        default_runtime=str(info.get("DefaultRuntime", "")),
        runsc=gvisor.NAME in runtimes,
        architecture=str(info.get("Architecture", "unknown")),
        remote=not address.startswith("unix://"),
        seccomp=_has(security, "seccomp"),
        apparmor=_has(security, "apparmor"),
        programs=programs,
    )


def choose_runtime(engine: Engine, wanted: str) -> str | None:
    """Return the name of the runtime to start containers with; None for the engine's own choice.

    Args:
        engine: what it has.
        wanted: `runtime` of the settings; `auto` takes gVisor where it is there.

    Raises:
        SandboxUnavailable: a runtime was named that the engine doesn't have.
    """
    if wanted == "auto":
        return gvisor.NAME if engine.runsc else None
    # Engines start the shim of a containerd runtime (`io.containerd.runsc.v1`) without listing it.
    if wanted in engine.runtimes or wanted.startswith("io.containerd."):
        return wanted
    raise SandboxUnavailable(
        f"the Docker engine has no runtime {wanted!r}: it has {', '.join(engine.runtimes) or 'none that it names'};"
        ' register it with the engine, or set runtime = "auto" in [sandbox]'
    )


def knock(api: docker.APIClient) -> None:
    """See whether anybody listens, where the engine is one of this machine.

    Before a request that may find nobody: the SDK leaves its socket open when it can't connect it.

    Raises:
        SandboxUnavailable: nobody does.
    """
    place = Address(address_of(api))
    if place.socket is not None:
        _knock(place.socket, "")


def engine_errors() -> tuple[type[Exception], ...]:
    """What Docker's SDK raises when an engine refuses, can't be reached, or is gone."""
    from docker.errors import DockerException
    from requests import RequestException

    ssh = sys.modules.get("paramiko")  # which the SDK imports with itself, where it is installed
    return (DockerException, RequestException, *((ssh.SSHException, EOFError) if ssh else ()))


def address_of(api: docker.APIClient) -> str:
    """Return the address that a client speaks to, as DOCKER_HOST would name it."""
    base = str(api.base_url)
    if base.startswith("http+docker://"):
        adapter = api.get_adapter(base)
        path = getattr(adapter, "socket_path", None)
        return f"unix://{path}" if path else f"ssh://{getattr(adapter, 'ssh_host', 'unknown')}"
    scheme, _, rest = base.partition("://")
    return f"tcp://{rest}" if scheme in ("http", "https") else base


def _open(place: Address) -> docker.APIClient:
    from docker import APIClient

    if place.socket is not None:
        _knock(place.socket, place.named_by)
    options: dict[str, Any] = {"tls": place.tls} if place.tls else {}
    try:
        return _with_one_pool(APIClient(base_url=place.url, version="auto", timeout=FIRST_ANSWER, **options))
    # ValueError: an address with an impossible port; AttributeError: an answer that isn't Docker's.
    except (*engine_errors(), OSError, ValueError, AttributeError) as error:
        raise SandboxUnavailable(_silence(place, error)) from error


def _with_one_pool(client: docker.APIClient) -> docker.APIClient:
    """Keep one idle connection and not 25: over a Unix socket the SDK has a pool for each URL it ever asked for.

    Its own option for that, `num_pools`, is read for ssh:// alone.
    """
    adapter: Any = client.get_adapter(client.base_url)
    if (ssh := getattr(adapter, "ssh_client", None)) is not None:
        ssh.get_transport().channel_timeout = FIRST_ANSWER  # an hour by default
    pools = getattr(adapter, "pools", None)
    if pools is not None:
        adapter.pools = type(pools)(1, dispose_func=_close)
        pools.clear()
    return client


def _close(pool: Any) -> None:
    """Close the idle connections of a pool that gives way, and not the pool: another thread may be about to use it."""
    with suppress(queue.Empty):
        while True:
            connection = pool.pool.get(block=False)
            if connection is not None:  # a place where there is none yet
                connection.close()


def _knock(path: Path, named_by: str) -> None:
    """Tell apart what the SDK reports as one and the same: no file, no right, nobody listening."""
    by = f" (named by {named_by})" if named_by else ""
    if not path.is_absolute():
        raise SandboxUnavailable(_NO_ADDRESS.format(url=f"unix://{path}", by=by))
    try:
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(FIRST_ANSWER)
            probe.connect(str(path))
    except FileNotFoundError as error:
        raise SandboxUnavailable(f"no Docker engine was found: there is no {path}{by}; {START_ONE}") from error
    except PermissionError as error:
        raise SandboxUnavailable(
            f"the Docker engine can't be used: you have no right to open {path}{by}. Whoever has it is root on that"
            " machine: `sudo usermod -aG docker $USER` gives it to you at the next login, rootless Docker needs none"
        ) from error
    except OSError as error:
        raise SandboxUnavailable(
            f"the Docker engine does not answer: nobody listens at {path}{by} ({error}); {START_ONE}"
        ) from error


def _silence(place: Address, error: Exception) -> str:
    by = f" (named by {place.named_by})" if place.named_by else ""
    if "paramiko" in str(error):
        return (
            "the Docker engine can't be used: Docker's SDK speaks to ssh:// only with the package paramiko. Install it"
            " (`pip install paramiko`), or forward a socket: ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST,"
            " and DOCKER_HOST=unix:///tmp/engine.sock"
        )
    if place.url.startswith("ssh://") and "authentication" in str(error).lower():
        return (
            f"the Docker engine can't be used: {place.url}{by} let us in with no key of the ssh agent or ~/.ssh"
            f" ({error}); try `ssh` to it by hand"
        )
    if "Invalid bind address" in str(error):
        return _NO_ADDRESS.format(url=place.url, by=by)
    return f"the Docker engine does not answer: {place.url}{by} said {innermost(error)}; {START_ONE}"


def innermost(error: BaseException) -> str:
    """Say the innermost cause of an error of the SDK, which wraps it in the text of three libraries."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return f"{type(error).__name__}: {error}"


def _has(security: list[str], name: str) -> bool:
    """Whether an option such as `name=seccomp,profile=default` is there and in force."""
    return any(f"name={name}" in option.split(",") and "profile=unconfined" not in option for option in security)
