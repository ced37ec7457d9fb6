"""Removes containers whose owner is dead: what a power cut, or an engine down at the wrong moment, left behind.

Ordinarily there are none, since a supervisor ends with its stdin.
"""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sandbox.docker.box import remove
from sandbox.docker.detect import engine_errors, knock
from sandbox.errors import SandboxUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    import docker

LABEL: Final = "dionysus.sandbox"
_HOST, _PID, _BORN, _EXPIRES = (f"{LABEL}.{name}" for name in ("host", "pid", "born", "expires"))
_TTL: Final = 24 * 3600.0  # seconds after which a container of a machine that can't be asked counts as left behind


def owner_labels() -> dict[str, str]:
    """Labels that say whose a container is: this machine since its last boot, and this process."""
    pid = os.getpid()
    expires = str(int(time.time() + _TTL))
    return {LABEL: "1", _HOST: _machine(), _PID: str(pid), _BORN: _born(pid), _EXPIRES: expires}


def reap(api: docker.APIClient, own: Mapping[str, str]) -> list[str]:
    """Remove what was left behind.

    Args:
        api: client of the engine.
        own: labels of this process.

    Returns:
        Ids of the containers that were removed.
    """
    try:
        knock(api)
        listed = api.containers(all=True, filters={"label": LABEL})
    except (*engine_errors(), SandboxUnavailable):
        return []
    left = [str(each["Id"]) for each in listed if _abandoned(each.get("Labels") or {}, own)]
    for container in left:
        remove(api, container)
    return left


def _abandoned(labels: Mapping[str, str], own: Mapping[str, str]) -> bool:
    if labels.get(_HOST) == own[_HOST]:
        pid = labels.get(_PID, "")
        return not pid.isdigit() or _born(int(pid)) != labels.get(_BORN)
    expires = labels.get(_EXPIRES, "")
    return expires.isdigit() and int(expires) < time.time()


def _machine() -> str:
    """This machine, which start of it, and which of its tables of processes: ids of others mean nothing here."""
    boot, table = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
    if not boot.exists():
        return platform.node()
    # Two containers that share an engine's socket share the boot id, but not their processes.
    return f"{boot.read_text().strip()}/{table.readlink() if table.is_symlink() else ''}"


def _born(pid: int) -> str:
    """When a process started, so that a number which was given again is told from the first; empty if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return ""
        except OSError:
            pass
        return "alive"
