"""gVisor, the real one: Debian's `runsc`, as a runtime of a Docker engine that has the sandbox's image.

An engine that is there and lists gVisor is used as it is. Otherwise one of our own is started beside any other, since
an engine learns of a runtime as root and by its configuration. The platform is ptrace, the only one that needs neither
a kernel module nor a virtual machine; it is also the slowest.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from provision import docker_engine, sandbox_image
from provision.host import PartUnavailableError, apt_install, run

NAME = "gvisor"  # beside `runsc`, which is runc in our engines
_FLAGS = ("--platform=ptrace", "--network=none", "--host-uds=open")
_BY_HAND = (
    "no gVisor. Register `runsc` with the Docker engine (https://gvisor.dev/docs/user_guide/install/); on Debian, run"
    " as root, it's installed, and an engine of its own is started for you"
)


def provide() -> None:
    """Find an engine that has gVisor, or install gVisor and what an engine of our own needs; see that it starts."""
    if _there() is not None:
        return
    if shutil.which("runsc") is None:
        apt_install("runsc", otherwise=_BY_HAND)
    docker_engine.install()
    if os.geteuid() != 0:
        raise PartUnavailableError(_BY_HAND)
    # Control groups are the engine's business: what is tried here is the platform.
    run("runsc", *_FLAGS, "--ignore-cgroups", "do", "/bin/true", timeout=60)
    sandbox_image.provide()


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield where an engine answers that has gVisor and our image, and by which name it knows gVisor."""
    there = _there()
    if there is not None:
        address, name = there
        yield _environment(address, name, sandbox_image.load(address))
        return
    with (
        tempfile.TemporaryDirectory(prefix="dionysus-gvisor-") as folder,
        docker_engine.unused("docker-gvisor") as root,
        docker_engine.own_engine(Path(folder), root, root.with_suffix(".log"), {NAME: _runtime()}) as address,
    ):
        yield _environment(address, NAME, sandbox_image.load(address, ours=True))


def _runtime() -> dict[str, object]:
    return {"path": shutil.which("runsc"), "runtimeArgs": [*_FLAGS]}


def _environment(address: str, name: str, image: str) -> Mapping[str, str]:
    return {"TEST_GVISOR": address, "TEST_GVISOR_RUNTIME": name, "TEST_GVISOR_IMAGE": image}


def _there() -> tuple[str, str] | None:
    """Address of an engine that answers and lists gVisor, with its limits in force; and the name of that runtime."""
    import docker

    from sandbox.docker.detect import facts

    address = docker_engine.running()
    if address is None:
        return None
    with closing(docker.APIClient(base_url=address, version="auto", timeout=60)) as api:
        names = [each.name for each in facts(api).programs if each.gvisor and each.limited]
    return (address, names[0]) if names else None
