"""A Docker engine with the image `dionysus-sandbox`: the one that is there, or one of our own for the run.

Our own engine needs no network and touches none: no bridge, no iptables rules, no forwarding. Its data stays in the
cache, so the image is loaded once a machine.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

from provision import sandbox_image
from provision.host import PartUnavailableError, apt_install, cache, wait_until
from provision.tether import tethered

_WITHOUT_APT = (
    "no Docker engine answers. Start one (Docker Desktop, colima, `systemctl start docker`) or point DOCKER_HOST at it;"
    " on Debian or Ubuntu, run as root, it's installed and started for you"
)


def provide() -> None:
    """Find an engine that answers, or install Debian's; make the image's archive where this machine can."""
    if running() is None:
        install()
    if running() is None and os.geteuid() != 0:
        raise PartUnavailableError(_WITHOUT_APT)
    sandbox_image.provide()


def install() -> None:
    """Install Debian's engine, unless one is installed."""
    if shutil.which("dockerd") is None:
        apt_install("docker.io", "iptables", otherwise=_WITHOUT_APT)


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield where an engine answers that has our image; one that was there already is left running."""
    address = running()
    if address is not None:
        yield _environment(address, sandbox_image.load(address))
        return
    with (
        tempfile.TemporaryDirectory(prefix="dionysus-docker-") as folder,
        unused("docker") as root,
        own_engine(Path(folder), root, root.with_suffix(".log")) as address,
    ):
        yield _environment(address, sandbox_image.load(address, ours=True))


def _environment(address: str, image: str) -> Mapping[str, str]:
    return {"DOCKER_HOST": address, "TEST_SANDBOX_IMAGE": image, "TEST_SANDBOX_CACHE": str(cache())}


@contextmanager
def unused(name: str) -> Iterator[Path]:
    """Yield the folder `name` of the cache; where another run of tests has it now, `name-2`, and so on.

    Two engines can't share what they keep. The image's archive is shared, so another folder costs seconds.
    """
    for number in count(1):
        folder = cache() / (name if number == 1 else f"{name}-{number}")
        with folder.with_suffix(".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield folder
            return


@contextmanager
def own_engine(
    folder: Path, root: Path, log: Path, runtimes: Mapping[str, Mapping[str, object]] | None = None
) -> Iterator[str]:
    """Run an engine for as long as the block lasts, beside any other.

    Args:
        folder: for its socket, and for what it keeps while it runs; `docker.pid` in it has its process id.
        root: for what it keeps for the next time, images above all.
        log: the file for what it prints.
        runtimes: more of them, as the engine's configuration names them.

    Yields:
        Its address.

    Raises:
        PartUnavailableError: it didn't start.
    """
    address = f"unix://{folder}/docker.sock"
    configuration = folder / "daemon.json"
    configuration.write_text(json.dumps({"runtimes": {**_renamed(), **(runtimes or {})}}))
    command = [
        "dockerd",
        f"--config-file={configuration}",
        f"--host={address}",
        f"--data-root={root}",
        f"--exec-root={folder}/exec",
        f"--pidfile={folder}/docker.pid",
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    try:
        with tethered(command, log) as engine:
            wait_until(lambda: _answers(address), 60, "dockerd", log, alive=lambda: engine.poll() is None)
            yield address
    finally:
        _unmount_below(folder / "exec/netns")


def running() -> str | None:
    """Return the address of an engine that answers, where Docker, Docker Desktop, colima or rootless Docker listen."""
    home, runtime = Path.home(), os.environ.get("XDG_RUNTIME_DIR", "/run/user/0")
    sockets = ["/var/run/docker.sock", home / ".docker/run/docker.sock", home / ".colima/default/docker.sock"]
    addresses = [
        os.environ.get("DOCKER_HOST", ""),
        *(f"unix://{path}" for path in (*sockets, f"{runtime}/docker.sock")),
    ]
    return next((address for address in addresses if address and _answers(address)), None)


def _renamed() -> dict[str, dict[str, object]]:
    """Runc under gVisor's name, so that what is done with a second runtime is tested with every engine of ours.

    The real one is the part `gvisor`.
    """
    return {"runsc": {"path": shutil.which("runc") or "/usr/sbin/runc"}}


def _unmount_below(folder: Path) -> None:
    """Take off what an engine leaves mounted after a container with the host's network: that network's namespace."""
    table = Path("/proc/self/mounts").read_text().splitlines()
    for place in (line.split()[1].replace(r"\040", " ") for line in reversed(table)):
        if place.startswith(f"{folder.resolve()}/"):
            subprocess.run(["umount", "--lazy", place], check=True)


def _answers(address: str) -> bool:
    import docker
    from docker.errors import DockerException

    if address.startswith("unix://") and not Path(address.removeprefix("unix://")).is_socket():
        return False
    try:
        with closing(docker.DockerClient(base_url=address, timeout=5)) as client:
            return client.ping()
    except (DockerException, OSError):
        return False
