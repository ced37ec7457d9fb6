"""The base of an image where no registry can be reached: Debian's own packages, unpacked on this machine.

The tree is made once a recipe and kept as an archive; packages of Python come on top of it later, in the engine.
"""

from __future__ import annotations

import fcntl
import os
import platform
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from sandbox.docker.build.command import Progress, run
from sandbox.errors import ImageNotBuilt

_SUITE = "bookworm"
_FORMAT = 2  # of the archive; a new one makes caches forget the old
# Package lists, archives, manuals and logs serve nobody in a box; what is in the last four, the engine mounts itself.
_LEFT_OUT = (
    *("var/cache/", "var/lib/apt/lists/", "var/log/", "root/.", "tmp/", "var/tmp/", "etc/resolv.conf"),
    *("usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/"),
    *("dev/", "proc/", "sys/", "run/"),
)
_SETUID_AND_SETGID = 0o6000


@dataclass(frozen=True, slots=True)
class Base:
    """A tree of Debian with Python.

    Attributes:
        archive: all of it, as a tar file.
        python: version of its Python, such as `3.11`.
        machine: the architecture it is for, such as `x86_64`.
    """

    archive: Path
    python: str
    machine: str

    @property
    def site(self) -> str:
        """The folder for packages in the image, without a leading slash."""
        return f"usr/local/lib/python{self.python}/dist-packages"


def why_not() -> str | None:
    """Return what this machine lacks to make a base, None if nothing."""
    if sys.platform != "linux":
        return "debootstrap makes images on Linux alone"
    if os.geteuid() != 0:
        return "debootstrap needs root's rights (`sudo`)"
    if shutil.which("debootstrap") is None:
        return "debootstrap is not installed (`apt install debootstrap debian-archive-keyring`)"
    return None


def base(*, node: bool, cache: Path, progress: Progress) -> Base:
    """Return the base with or without Node, from the cache or newly made (about a minute, 400 MB on disk meanwhile).

    Raises:
        ImageNotBuilt: this machine can't, or debootstrap failed.
    """
    machine = platform.machine()
    name = sha256(f"{_FORMAT} {_SUITE} {machine} {node}".encode()).hexdigest()[:12]
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache / f"sandbox-base-{name}.lock", progress) as lock:
        archive = next(cache.glob(f"sandbox-base-{name}-python*.tar"), None)
        if archive is None:
            if lack := why_not():
                raise ImageNotBuilt(f"the image can't be built from Debian's packages here: {lack}")
            archive = _made(cache, f"sandbox-base-{name}", node=node, lock=lock, progress=progress)
    return Base(archive, archive.stem.rpartition("-python")[2], machine)


def _made(cache: Path, name: str, *, node: bool, lock: int, progress: Progress) -> Path:
    for left in (*cache.glob(f"{name}-root-*"), *cache.glob(f"{name}-part-*")):  # by a build that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    root, part = Path(tempfile.mkdtemp(prefix=f"{name}-root-", dir=cache)), cache / f"{name}-part-{os.getpid()}"
    try:
        root.chmod(0o755)
        progress(f"unpacking Debian {_SUITE} with Python{' and Node' if node else ''}")
        _debootstrap(root, ["python3", *(["nodejs"] if node else [])], lock=lock, progress=progress)
        python = _python_of(root)
        progress("packing the base of the image")
        with tarfile.open(part, "w") as tar:
            tar.add(root, arcname=".", filter=_kept)
        archive = cache / f"{name}-python{python}.tar"
        part.rename(archive)  # whole or not at all
        return archive
    finally:
        part.unlink(missing_ok=True)
        shutil.rmtree(root, ignore_errors=True)


def _debootstrap(root: Path, include: list[str], *, lock: int, progress: Progress) -> None:
    """Unpack the packages.

    In mount and process namespaces of its own where we may: however it ends, no mount of it stays in the tree, which
    is deleted afterwards, and none of its processes lives on. It holds the lock as long as it lives, even without us.
    """
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    may = shutil.which("unshare") and not subprocess.run([*alone, "true"], capture_output=True, check=False).returncode  # noqa: S603
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(include)}", _SUITE, str(root)]
    run([*(alone if may else []), *command], progress=progress, cwd=root.parent, keep=[lock])


def _python_of(root: Path) -> str:
    found = re.fullmatch(r"python(3\.\d+)", str((root / "usr/bin/python3").readlink()))
    if found is None:
        raise ImageNotBuilt(f"the image can't be built: Debian {_SUITE} came without a Python of its own")
    return found.group(1)


def _kept(entry: tarfile.TarInfo) -> tarfile.TarInfo | None:
    """Leave out what nobody needs, and take the setuid and setgid bits from the rest."""
    if entry.name.removeprefix("./").startswith(_LEFT_OUT):
        return None
    entry.mode &= ~_SETUID_AND_SETGID
    return entry


@contextmanager
def _alone(path: Path, progress: Progress) -> Generator[int]:
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build to end")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()
