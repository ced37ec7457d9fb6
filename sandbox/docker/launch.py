"""What a box is started with: the limits as the engine takes them, and the guest's source, sent over its stdin.

The image needs nothing of ours, only a `python3`.
"""

from __future__ import annotations

import json
import secrets
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.codecs import here
from sandbox.docker.guest.codecs import MODULES
from sandbox.docker.guest.tunnel import PORT
from sandbox.docker.gvisor import OWN_MEMORY, OWN_PROCESSES

if TYPE_CHECKING:
    from sandbox.settings import Limits, SandboxSettings

HOME: Final = "/tmp/work"  # noqa: S108 - in the container, on its own tmpfs
_MiB: Final = 1024 * 1024
_IMAGE: Final = 64 * _MiB
_CPU_PERIOD: Final = 100_000  # µs
_INODES: Final = 4096
_OPEN_FILES: Final = 256
_GUEST: Final = (
    "wire",
    "channel",
    "tags",
    "codecs",
    "seccomp",
    "isolation",
    "folder",
    "values",
    "interrupts",
    "calls",
    "failures",
    "evaluation",
    "worker",
    "tunnel",
    "way",
    "supervisor",
)
_BOOT: Final = """\
import json, os, sys, types
def take(size):
    parts = []
    while size:
        part = os.read(0, size)
        if not part: os._exit(0)
        parts.append(part); size -= len(part)
    return b"".join(parts)
boot = json.loads(take(int.from_bytes(take(4), "big")))
for name in ("sandbox", "sandbox.docker", "sandbox.docker.guest"):
    sys.modules[name] = types.ModuleType(name)
for name, source in boot["modules"]:
    full = "sandbox.docker.guest." + name
    module = sys.modules[full] = types.ModuleType(full)
    setattr(sys.modules["sandbox.docker.guest"], name, module)
    exec(compile(source, "<" + full + ">", "exec", dont_inherit=True), module.__dict__)
del source
sys.modules["sandbox.docker.guest.supervisor"].main(boot["settings"])
"""
COMMAND: Final = ("python3", "-I", "-B", "-c", _BOOT)


def frame_limit(settings: Limits) -> int:
    """Bytes of the largest frame that either side takes; JSON and base64 make values longer."""
    return 2 * settings.value_limit + 64 * 1024


def host_frame_limit(settings: Limits) -> int:
    """Bytes of the largest frame that a box takes: the host may send many variables at once."""
    return 8 * frame_limit(settings)


def unpacked_limit(settings: SandboxSettings) -> int:
    """Bytes that arrays, tables and images of one message may take, once they are unpacked: one large image."""
    return 4 * settings.value_limit + _IMAGE


def boot(settings: SandboxSettings, way: str | None = None) -> bytes:
    """What is written to a new box's stdin.

    Args:
        settings: the limits.
        way: name of the socket that it speaks to us by, if it can reach it; None for none.
    """
    folder = files("sandbox.docker.guest")
    modules = [(name, (folder / f"{name}.py").read_text("utf-8")) for name in _GUEST]
    late = {name: (folder / f"{name}.py").read_text("utf-8") for name in MODULES}
    guest = {
        "late": late,
        "packages": here(),
        "unpacked_limit": unpacked_limit(settings),
        "home": HOME,
        "way": way,
        "heap": settings.memory - max(24 * _MiB, settings.memory // 8),
        "output_limit": settings.output_limit,
        "value_limit": settings.value_limit,
        "value_depth": settings.value_depth,
        "recursion_limit": settings.recursion_limit,
        "frame_limit": frame_limit(settings),
        "host_frame_limit": host_frame_limit(settings),
        "loopback": bool(settings.network),  # the way to the proxy
        "network": bool(settings.network),
        "patience": settings.step_timeout,
    }
    octets = json.dumps({"modules": modules, "settings": guest}).encode()
    return len(octets).to_bytes(4, "big") + octets


def uid(*, rootless: bool) -> int:
    """A user id for one box, so that no two share what the kernel counts by user.

    Where the engine maps ids, only the first 65,536 exist.
    """
    lowest, count = (10_000, 50_000) if rootless else (200_000, 1_000_000_000)
    return lowest + secrets.randbelow(count)


def host_config(
    settings: SandboxSettings,
    user: int,
    runtime: str | None,
    mount: dict[str, Any] | None = None,
    *,
    gvisor: bool = False,
) -> dict[str, Any]:
    """The engine's `HostConfig`: everything that a box may not have or do.

    Args:
        settings: the limits.
        user: id of the box's user.
        runtime: its container runtime; None for the engine's own choice.
        mount: the one thing of this machine that it may look into; None for nothing.
        gvisor: the host counts gVisor's own memory and threads with those of the box.
    """
    room = max(1, settings.files_limit)  # none at all would be no limit, to the kernel
    tmpfs = f"rw,noexec,nosuid,nodev,size={room},nr_inodes={_INODES},mode=0700,uid={user},gid={user}"
    file = min(settings.file_limit, settings.files_limit)
    limits = {"nofile": _OPEN_FILES, "fsize": file, "core": 0, "msgqueue": 0}
    memory = settings.memory + (OWN_MEMORY if gvisor else 0)
    config = {
        "Memory": memory,
        "MemorySwap": memory,
        "CpuPeriod": _CPU_PERIOD,
        "CpuQuota": int(settings.cpus * _CPU_PERIOD),
        "PidsLimit": settings.processes + (OWN_PROCESSES if gvisor else 0),
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges:true"],
        "ReadonlyRootfs": True,
        "Tmpfs": {"/tmp": tmpfs},  # noqa: S108
        "NetworkMode": "none",
        "IpcMode": "none",
        "CgroupnsMode": "private",
        "Ulimits": [{"Name": name, "Soft": most, "Hard": most} for name, most in limits.items()],
        "LogConfig": {"Type": "none", "Config": {}},  # json-file would write every frame to the host's disk
        "AutoRemove": True,
        "Init": False,  # docker-init is dumpable and has the worker's uid: the channel would be open to the worker
    }
    return config | ({"Runtime": runtime} if runtime else {}) | ({"Mounts": [mount]} if mount else {})


def environment(settings: SandboxSettings) -> dict[str, str]:
    """Variables of a box's processes."""
    if not settings.network:
        return dict(_ENVIRONMENT)
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return _ENVIRONMENT | dict.fromkeys(names, f"http://127.0.0.1:{PORT}")


_ENVIRONMENT: Final = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": HOME,
    "LANG": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MPLBACKEND": "agg",
}
