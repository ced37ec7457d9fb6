"""A filter of system calls for the worker and all it starts, stacked on the engine's own.

Needs no privilege once no_new_privs is set, can't be taken off, and doesn't depend on the engine's version. What it
refuses is of three kinds: surface of the kernel that code in a box has no use for, ways to reach process 1 although it
has the same uid, and every socket but those between processes of the box.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 38, 22, 2
_RET_ALLOW, _RET_ERRNO, _RET_KILL = 0x7FFF0000, 0x00050000, 0x80000000
_LOAD, _EQUAL, _ABOVE_OR_EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT = 0, 4, (16, 24, 32)  # offsets in struct seccomp_data; low half of each argument
_NAMESPACES = 0x7E020000  # CLONE_NEW*: mount, cgroup, uts, ipc, user, pid, net
_NEGATIVE = 0x80000000
# First number newer than this table: refused until somebody has thought about it. So is x86-64's second table of calls
# (x32), whose numbers start far above.
_UNKNOWN = 451
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10

# name: (x86-64, arm64); None where the architecture lacks the call.
_REFUSED: dict[str, tuple[int | None, int | None]] = {
    # other processes' memory, descriptors and signals
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "move_pages": (279, 239), "migrate_pages": (256, 238),
    # who runs first, also for process 1
    "setpriority": (141, 140), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122), "sched_setattr": (314, 274), "ioprio_set": (251, 30),
    # namespaces, mounts, roots
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "fanotify_init": (300, 262),
    # the kernel's own machinery
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "add_key": (248, 217), "request_key": (249, 218),
    "keyctl": (250, 219), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "syslog": (103, 116), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "acct": (163, 89), "swapon": (167, 224), "swapoff": (168, 225), "reboot": (169, 142),
    "sethostname": (170, 161), "setdomainname": (171, 162), "iopl": (172, None), "ioperm": (173, None),
    "modify_ldt": (154, None), "uselib": (134, None), "ustat": (136, None), "sysfs": (139, None),
    "vhangup": (153, 58), "lookup_dcookie": (212, 18), "personality": (135, 92),
    # clocks
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    # programs and memory without a file
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "execveat": (322, 281),
    # System V and POSIX message queues: counted for the uid, not for the box
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "semget": (64, 190), "semop": (65, 193),
    "semctl": (66, 191), "semtimedop": (220, 192), "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188),
    "msgctl": (71, 187), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "mbind": (237, 235), "set_mempolicy": (238, 237), "set_mempolicy_home_node": (450, 450),
}  # fmt: skip
_KILL, _TKILL, _TGKILL = (62, 129), (200, 130), (234, 131)
_SIGQUEUE, _TGSIGQUEUE = (129, 138), (297, 240)
_PRLIMIT, _CLONE, _CLONE3 = (302, 261), (56, 220), (435, 435)
_SOCKET, _SOCKETPAIR = (41, 198), (53, 199)
_IOCTL, _TERMINAL_INPUT = (16, 29), 0x5412  # TIOCSTI
_ARCHES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


class UnknownMachineError(RuntimeError):
    """There is no table of system calls for this architecture; code must not run without one."""


def confine(*, loopback: bool = False) -> None:
    """Put the filter on this thread, and on all that it starts from now on.

    Args:
        loopback: internet sockets may be made; the box's only interface is its own loopback.

    Raises:
        UnknownMachineError: the architecture is not x86-64 or arm64.
        OSError: the kernel refused the filter.
    """
    program = _program(platform.machine(), loopback=loopback)
    libc = ctypes.CDLL(None, use_errno=True)
    held = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    whole = Program(len(program) // 8, ctypes.cast(held, ctypes.c_void_p))
    _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1, 0)
    _prctl(libc, _PR_SET_SECCOMP, _MODE_FILTER, ctypes.addressof(whole))


def _prctl(libc: ctypes.CDLL, option: int, second: int, third: int) -> None:
    arguments = [ctypes.c_ulong(number) for number in (second, third, 0, 0)]
    if libc.prctl(option, *arguments) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"prctl {option} was refused")


def _program(machine: str, *, loopback: bool) -> bytes:
    """The filter as classic BPF: every rule either returns or falls through to the next."""
    if machine not in _ARCHES:
        raise UnknownMachineError(f"there is no filter of system calls for {machine}")
    column, arch = _ARCHES[machine]
    refuse = _RET_ERRNO | errno.EPERM
    absent = _RET_ERRNO | errno.ENOSYS
    families = (_AF_UNIX, _AF_INET, _AF_INET6) if loopback else (_AF_UNIX,)
    code = [_op(_LOAD, 0, 0, _ARCH), _op(_EQUAL, 1, 0, arch), _op(_RETURN, 0, 0, _RET_KILL), _op(_LOAD, 0, 0, _NUMBER)]
    code += [_op(_ABOVE_OR_EQUAL, 0, 1, _UNKNOWN), _op(_RETURN, 0, 0, absent)]
    for numbers in _REFUSED.values():
        if (number := numbers[column]) is not None:
            code += [_op(_EQUAL, 0, 1, number), _op(_RETURN, 0, 0, refuse)]
    code += [_op(_EQUAL, 0, 1, _CLONE3[column]), _op(_RETURN, 0, 0, absent)]
    code += _when(_CLONE[column], 0, [_op(_ANY_BIT, 0, 1, _NAMESPACES), _op(_RETURN, 0, 0, refuse)])
    for number in (_KILL[column], _TKILL[column], _TGKILL[column], _SIGQUEUE[column], _TGSIGQUEUE[column]):
        code += _when(number, 0, _not_process_1(refuse))
    code += _when(_PRLIMIT[column], 0, [_op(_EQUAL, 1, 0, 0), _op(_RETURN, 0, 0, refuse)])
    for number in (_SOCKET[column], _SOCKETPAIR[column]):
        code += _when(number, 0, _one_of(families, _RET_ERRNO | errno.EAFNOSUPPORT))
    code += _when(_IOCTL[column], 1, [_op(_EQUAL, 0, 1, _TERMINAL_INPUT), _op(_RETURN, 0, 0, refuse)])
    return b"".join([*code, _op(_RETURN, 0, 0, _RET_ALLOW)])


def _when(number: int, argument: int, rules: list[bytes]) -> list[bytes]:
    """Rules about one argument of one call; all that they don't refuse is allowed."""
    body = [_op(_LOAD, 0, 0, _ARGUMENT[argument]), *rules, _op(_RETURN, 0, 0, _RET_ALLOW)]
    return [_op(_EQUAL, 0, len(body), number), *body]


def _not_process_1(refuse: int) -> list[bytes]:
    """Refuse 1, and negative numbers, which stand for groups of processes."""
    return [
        _op(_EQUAL, 1, 0, 1),
        _op(_ABOVE_OR_EQUAL, 0, 1, _NEGATIVE),
        _op(_RETURN, 0, 0, refuse),
    ]


def _one_of(families: tuple[int, ...], otherwise: int) -> list[bytes]:
    tests = [_op(_EQUAL, len(families) - place, 0, family) for place, family in enumerate(families)]
    return [*tests, _op(_RETURN, 0, 0, otherwise)]


def _op(code: int, if_true: int, if_false: int, operand: int) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, operand)
