"""The same attacks under gVisor: which are tried, which end otherwise than under runc, and which it doesn't hold.

Only outcomes: that an attack is sound is proved under runc. What was seen is that of Debian's `runsc` 0.0~20221219 on
the platform ptrace, a release of December 2022; a newer one may hold more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from tests.sandbox.docker.attacks.attack import Attack
from tests.sandbox.docker.attacks.bombs import THREADS
from tests.sandbox.docker.attacks.tables import TABLES

# Values, errors and poisoned modules meet our own code alone, whichever kernel is below it.
_TABLES: Final = (
    "Process 1, /proc and descriptors",
    "Network",
    "Escapes",
    "The kernel's machinery",
    "Bombs and loops",
    "The wire",
    "Files",
)
_ENDED: Final = {"held": "container ended.*gone", "lost": True}
# Forty fit into the room that gVisor has for itself.
_THREADS: Final = THREADS.replace("range(40)", "range(400)")
_OTHERWISE: Mapping[str, dict[str, Any]] = {
    "open the host's pipe by /proc": {"held": "No such device or address|PermissionError"},
    "see the keys of the kernel": {"held": "FileNotFoundError"},
    "change its control group": {"held": "FileNotFoundError"},
    "calls of 32-bit programs": {"held": "^$|gone", "lost": None},
    "fork": _ENDED,
    "fork in forks": _ENDED,
    "start programs": _ENDED,
    "start threads": {"code": _THREADS, "held": "can't start new thread|container ended.*gone", "lost": None},
    "memory of files without a name": {"held": "MemoryError|Cannot allocate memory|gone", "lost": None},
    "memory of many processes": {"held": "^$|MemoryError|gone", "lost": None},
}
NOT_HELD: Final[Mapping[str, str]] = {
    "list the descriptors of process 1": "files of a process under /proc are open to its user, dumpable or not",
    "read the map of process 1": "files of a process under /proc are open to its user, dumpable or not",
    "read the environment of process 1": "files of a process under /proc are open to its user, dumpable or not",
    "a device": "a device can be made, and is one of gVisor's own, such as its /dev/null",
    "load a library of its own": "noexec keeps programs from being started, and not libraries from being mapped",
    "run a file of its own by the loader": "noexec keeps programs from being started, and not libraries from being mapped",
    "fill the disk with names": "it counts no names; they take memory of the box, whose limit holds",
    "fill the disk with folders": "it counts no names; they take memory of the box, whose limit holds",
    "fill the disk with depth": "it counts no names; they take memory of the box, whose limit holds",
    "fill the disk with links": "it counts no names; they take memory of the box, whose limit holds",
}
"""Names of attacks that work, each with the reason."""
_ELSEWHERE: Final = {"spin on every processor"}  # asks its control group, which a box doesn't see: test_gvisor does
TRIED: Final[tuple[Attack, ...]] = tuple(
    replace(attack, **_OTHERWISE.get(attack.name, {}))
    for table in _TABLES
    for attack in TABLES[table]
    if attack.name not in _ELSEWHERE
)

_OF_THE_KERNEL: Final = {
    "a call of another step",
    "a call that is nested without end",
    "a forged frame: the worker ended",
    "a frame larger than allowed",
    "a frame of four gigabytes",
    "a frame that never ends",
    "an answer stolen from another thread",
    "an answer to another step",
    "two calls at once",
}
HOST_ALONE: Final[frozenset[str]] = frozenset(
    {attack.name for attack in TABLES["The wire"]} - _OF_THE_KERNEL
    | {"fill the disk with folders", "fill the disk with depth", "fill the disk with links"}
)
"""Names of attacks of which `make test` tries others of the same kind under gVisor, and `make test-all` all.

Frames are judged by our own code, the same under every kernel; of each kind one is tried, and all that reach the kernel
with blocked reads, threads or large writes. And what counts no names counts none of folders, depths and links.
"""


def page() -> list[str]:
    """Lines for the threat model's page."""
    reasons: dict[str, list[str]] = {}
    for name, reason in NOT_HELD.items():
        reasons.setdefault(reason, []).append(name)
    held = len(TRIED) - len(NOT_HELD)
    return [
        f"Under gVisor {len(TRIED)} of them are tried, those that reach the kernel or the wire; {held} are held,"
        f" {len(_OTHERWISE)} of these in another way than under runc. Not held, all of them within the box:",
        "",
        *(f"- {', '.join(names)}: {reason}." for reason, names in reasons.items()),
    ]
