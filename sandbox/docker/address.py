"""Where a Docker engine may listen, in the order in which the docker command would look, and then some.

`detect.connect` tries them; nothing here opens a connection.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from docker.tls import TLSConfig

    from sandbox.docker.settings import DockerEnvironment
    from sandbox.settings import SandboxSettings


@dataclass(frozen=True, slots=True)
class Address:
    """One place to try.

    Attributes:
        url: such as `unix:///var/run/docker.sock`, `tcp://build:2376`, `ssh://me@build`.
        named_by: the setting that names it; empty for a place where engines usually are.
        tls: how to speak to it over TCP; None for plain connections.
    """

    url: str
    named_by: str = ""
    tls: TLSConfig | None = None

    @property
    def socket(self) -> Path | None:
        """The file of a Unix socket, None for an engine that is reached over a network."""
        return Path(self.url.removeprefix("unix://")) if self.url.startswith("unix://") else None


def candidates(settings: SandboxSettings, environment: DockerEnvironment) -> list[Address]:
    """Return where to try: one place where it is named, else every usual socket that exists.

    A named place is the only one: who sets DOCKER_HOST doesn't want code to run elsewhere.

    Raises:
        SandboxUnavailable: the Docker context or the TLS certificates can't be read.
    """
    if settings.engine:
        return [_named(settings.engine, "engine in [sandbox]", environment)]
    if environment.docker_host:
        return [_named(environment.docker_host, "DOCKER_HOST", environment)]
    context = _of_context(environment)
    if context is not None:
        return [context]
    return [Address(f"unix://{path}") for path in usual_sockets(environment) if path.exists()]


def usual_sockets(environment: DockerEnvironment) -> list[Path]:
    """Return where Docker, rootless Docker, Docker Desktop and colima put their sockets."""
    home = Path.home()
    rootless = [environment.xdg_runtime_dir / "docker.sock"] if environment.xdg_runtime_dir else []
    own = [home / ".docker/run/docker.sock", home / ".docker/desktop/docker.sock", home / ".colima/default/docker.sock"]
    return [Path("/var/run/docker.sock"), *rootless, *own]


def _named(url: str, by: str, environment: DockerEnvironment) -> Address:
    if url.startswith("unix://"):
        return Address(url, by)
    return Address(url, by, _tls(environment, by))


def _tls(environment: DockerEnvironment, by: str) -> TLSConfig | None:
    """Read the certificates as the docker command does: DOCKER_TLS_VERIFY checks the engine's, a path alone doesn't."""
    from docker.errors import TLSParameterError
    from docker.utils import kwargs_from_env

    given = {
        "DOCKER_HOST": "tcp://named.elsewhere",
        "DOCKER_TLS_VERIFY": environment.docker_tls_verify,
        "DOCKER_CERT_PATH": environment.docker_cert_path,
    }
    try:
        found = kwargs_from_env(environment={k: v for k, v in given.items() if v is not None})
    except TLSParameterError as error:
        raise SandboxUnavailable(
            f"the Docker engine can't be used: {by} is to be reached by TLS, and its certificates can't be read from"
            f" DOCKER_CERT_PATH ({environment.docker_cert_path}); {error}"
        ) from error
    return found.get("tls") or None


def _of_context(environment: DockerEnvironment) -> Address | None:
    """The engine of the context that `docker context use` chose; None for the default one."""
    from docker.context import ContextAPI

    try:
        context = ContextAPI.get_context(environment.docker_context)
        url, name, tls = (context.Host, context.Name, context.TLSConfig) if context else (None, None, None)
    except Exception as error:  # the SDK raises plain `Exception` for a damaged file of a context
        raise SandboxUnavailable(_NO_CONTEXT.format(f"can't be read ({error})")) from error
    if name == "default":
        return None
    if not url:
        wanted = environment.docker_context
        raise SandboxUnavailable(_NO_CONTEXT.format(f"{wanted!r} is not there" if wanted else "in use is not there"))
    return Address(url, f"the Docker context {name!r}", tls)


_NO_CONTEXT = (
    "the Docker engine can't be used: the Docker context {}. See `docker context ls`, and choose one with"
    " `docker context use NAME` or DOCKER_CONTEXT"
)
