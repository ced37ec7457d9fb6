"""Which process wrote a row, and whether it is still there; so that a crash is told from a long run.

A pid alone is not enough, since pids are used again: an owner is host, boot, pid namespace, pid and the time that the
process started.
"""

import os
import socket
import subprocess
import sys
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, named so that no other is ever confused with it. `id` is unique for each opened store."""

    id: str
    host: str
    boot: str
    namespace: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> "Owner":
        """Name this process."""
        return cls(uuid.uuid4().hex, socket.gethostname(), _boot(), _namespace(), os.getpid(), _started(os.getpid()))

    def gone(self, here: "Owner") -> bool:
        """Whether this owner surely runs no more, seen from the process `here`.

        Another machine or container that shares the file can't be asked: then the answer is False.
        """
        if self.host != here.host:
            return False
        if self.boot != here.boot:
            return True
        return self.namespace == here.namespace and self.started != _started(self.pid)


def _boot() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    return boot.read_text().strip() if boot.exists() else ""


def _namespace() -> str:
    namespace = Path("/proc/self/ns/pid")
    return str(namespace.readlink()) if namespace.exists() else ""


def _started(pid: int) -> str:
    """The start time of a process in the system's own words; empty when there is no such process."""
    if sys.platform == "linux":
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return ""
        state, *fields = stat.rpartition(")")[2].split()  # the command before ")" may hold spaces
        return "" if state in "ZX" else fields[18]
    answer = subprocess.run(  # noqa: S603 - fixed program, a number as argument; macOS has no /proc
        ["/bin/ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False, timeout=5
    )
    return answer.stdout.strip()
