"""An engine of the tests' own, beside the shared one, that they may stop, kill and restart; with a small image."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import docker
import pytest

_ROOT = Path(__file__).resolve().parents[3]
_SCRIPT = """\
import sys
from pathlib import Path
from provision.docker_engine import own_engine
folder = Path(sys.argv[1])
with own_engine(folder, folder / "root", folder / "log"):
    print("up", flush=True)
    sys.stdin.read()
"""
IMAGE = "tiny:1"
# What the standard library needs stays; this is most of the size.
_LEFT_OUT = ("usr/share/", "-packages/", "bin/node", "libnode", "libicu", "perl", "include/", "lib2to3", "/test/")


class OwnEngine:
    """One engine with a socket and data of its own.

    Attributes:
        address: where it listens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._runner: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._runner = subprocess.Popen(
            [sys.executable, "-c", _SCRIPT, str(self.folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": f"{_ROOT / 'scripts'}{os.pathsep}{_ROOT}"},
        )
        assert self._runner.stdout.readline() == "up\n", "the engine didn't start"

    def stop(self) -> None:
        """Stop it in order, and wait for its end."""
        if self._runner is not None:
            self._runner.stdin.close()
            self._runner.wait()
            self._runner.stdout.close()
            self._runner = None

    def kill(self) -> None:
        """End it as a crash would, with the containerd that it started."""
        self._signal(signal.SIGKILL)
        with suppress(OSError, ValueError):
            os.kill(int((self.folder / "exec/containerd/containerd.pid").read_text()), signal.SIGKILL)
        self.stop()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """For this time it takes no step."""
        self._signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._signal(signal.SIGCONT)

    def ask(self) -> closing[docker.APIClient]:
        """A client of it, for a `with` block."""
        return closing(docker.APIClient(base_url=self.address, version="auto", timeout=60))

    def containers(self) -> list[str]:
        """Ids of all its containers."""
        with self.ask() as api:
            return [each["Id"] for each in api.containers(all=True)]

    def _signal(self, number: int) -> None:
        os.kill(int((self.folder / "docker.pid").read_text()), number)


@contextmanager
def own_engine(shared: str, image: str) -> Iterator[OwnEngine]:
    """Start an engine that has a small image; at the end all of it is removed.

    Args:
        shared: address of the engine that has the image of the other tests.
        image: name of that.
    """
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        pytest.skip("these tests stop and restart an engine: that takes dockerd on this machine, and root's rights")
    with tempfile.TemporaryDirectory(prefix="dionysus-engine-", ignore_cleanup_errors=True) as place:
        engine = OwnEngine(Path(place))
        engine.start()
        try:
            with closing(docker.APIClient(base_url=shared, version="auto", timeout=60)) as api, engine.ask() as own:
                own.import_image_from_data(_small(api, image), repository="tiny", tag="1")
            yield engine
        finally:
            engine.stop()
            _end_shims(place)
            _unmount(Path(place))


def _small(api: docker.APIClient, image: str) -> bytes:
    """The files of an image that Python needs, as an archive."""
    container = api.create_container(image, ["true"])["Id"]
    small = io.BytesIO()
    try:
        with closing(api.export(container)) as octets:
            with (
                tarfile.open(fileobj=_Stream(octets), mode="r|") as source,
                tarfile.open(fileobj=small, mode="w") as target,
            ):
                for member in source:
                    if not any(word in f"{member.name}/" for word in _LEFT_OUT):
                        target.addfile(member, source.extractfile(member) if member.isreg() else None)
    finally:
        api.remove_container(container, force=True)
    return small.getvalue()


class _Stream(io.RawIOBase):
    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts, self._held = parts, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        if not self._held:
            self._held = next(self._parts, b"")
        taken = self._held[: len(buffer)]
        buffer[: len(taken)] = taken
        self._held = self._held[len(taken) :]
        return len(taken)


def _end_shims(place: str) -> None:
    """End what an engine that was killed left running."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"-address\0{place}/" in (process / "cmdline").read_text():
                os.kill(int(process.name), signal.SIGKILL)


def _unmount(folder: Path) -> None:
    """Let go of what an engine that was killed left mounted."""
    for _ in range(50):
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        ours = sorted((place for place in mounted if place.startswith(str(folder))), reverse=True)
        if not ours:
            return
        for place in ours:
            subprocess.run(["umount", "-l", place], check=False, capture_output=True)
        time.sleep(0.1)


def gone(engine: OwnEngine, container: str | None, seconds: float) -> bool:
    """Whether the engine has let go of a container, None for all of them, within so many seconds."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with suppress(docker.errors.DockerException):
            there = engine.containers()
            if container not in there and (container is not None or not there):
                return True
        time.sleep(0.05)
    return False
