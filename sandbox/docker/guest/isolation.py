"""What the kernel is told about the two processes of a box: who may look into whom, who dies first, who runs first."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource

from sandbox.docker.guest.seccomp import confine

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_PR_SET_DUMPABLE = 4
_SA_NOCLDSTOP = 1
_NICEST = 19
_OOM_FIRST = "1000"
_M_ARENA_MAX = -8
_PAGE = resource.getpagesize()
_READ_AND_WRITE = 0x1 | 0x2  # PROT_READ, PROT_WRITE
_PRIVATE_WITHOUT_FILE = 0x02 | 0x20  # MAP_PRIVATE, MAP_ANONYMOUS: what the limit of data counts
_OOM_COUNTERS = ("/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control")


def hide() -> None:
    """Make this process's memory and descriptors unreachable for others of its uid, under /proc too."""
    _set_dumpable(0)


def confine_worker(settings: dict[str, Any]) -> None:
    """In the worker, before any code of the user: it dies first, runs last, and can't get at process 1.

    Its weight of 15 to the supervisor's 1,024 counts only among the processes of this box.
    """
    os.setsid()
    os.nice(_NICEST)
    _set_dumpable(1)  # or its own files under /proc would belong to root
    with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - no pathlib in the guest
        score.write(_OOM_FIRST)
    if settings["heap"]:
        _limit_heap(settings["heap"])
    confine(loopback=settings["loopback"])


def _limit_heap(most: int) -> None:
    """Have Python raise MemoryError where the cgroup would kill.

    gVisor takes the limit of data and counts nothing for it. There the whole address space is what can be limited, so
    what is mapped already, programs and libraries above all, comes on top.
    """
    resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if not _counts_data(most):
        with contextlib.suppress(AttributeError):  # musl, which has neither
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 1)  # or each thread would reserve 64 MiB of addresses
        whole = most + _mapped()
        resource.setrlimit(resource.RLIMIT_AS, (whole, whole))


def _counts_data(limit: int) -> bool:
    """Whether more memory than the limit of data is refused. It is asked for, and never touched."""
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    place = libc.mmap(None, limit + _PAGE, _READ_AND_WRITE, _PRIVATE_WITHOUT_FILE, -1, 0)
    if place == ctypes.c_void_p(-1).value:
        return True
    libc.munmap(ctypes.c_void_p(place), ctypes.c_size_t(limit + _PAGE))
    return False


def _mapped() -> int:
    """Bytes of address space in use."""
    with open("/proc/self/statm") as counters:  # noqa: PTH123 - no pathlib in the guest
        return int(counters.read().split()[0]) * _PAGE


def ignore_stops(number: int) -> None:
    """Have a signal about children, which has a handler already, tell of their ends alone.

    A worker is stopped and goes on at every step; each would wake this process once more. What can't be set is no loss
    but of time.
    """
    libc = ctypes.CDLL(None)
    held = _Action()
    if libc.sigaction(number, None, ctypes.byref(held)) == 0:
        held.flags |= _SA_NOCLDSTOP
        libc.sigaction(number, ctypes.byref(held), None)


class _Action(ctypes.Structure):
    """The C library's `struct sigaction`, as glibc and musl have it on 64-bit Linux."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_uint64 * 16),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


def oom_kills() -> int:
    """How many processes of this box the kernel has ended for want of memory; 0 where it doesn't say."""
    for path in _OOM_COUNTERS:
        try:
            with open(path) as counters:  # noqa: PTH123 - no pathlib in the guest
                words = counters.read().split()
        except OSError:
            continue
        if "oom_kill" in words:
            return int(words[words.index("oom_kill") + 1])
    return 0


def _set_dumpable(value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, value, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE was refused")
