"""Attacks on the kernel's own machinery: what code in a box has no use for, and what has had holes."""

from tests.sandbox.docker.attacks.attack import Attack

_FILTER, _ENGINE = "the worker's filter", "the engine's filter"
_BOTH = (_FILTER, _ENGINE)
_STOPS_THE_HOST = "needs a right that could stop the host"

_PERF = "attributes = (ctypes.c_uint32 * 32)(1, 128, 0, 0, *([0] * 6), 0x61)\ncall(298, 241, ctypes.byref(attributes), 0, -1, -1, 0)"
_TYPED = """\
import fcntl, pty
def into():
    os.setsid()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, 0x540E, 0)
    fcntl.ioctl(theirs, 0x5412, b'x')
    return 'reached'
child(into)"""
_QUEUE = "asked(libc.mq_open(b'/x', os.O_CREAT | os.O_RDWR, 0o600, None))"
_KEY = "call(248, 217, b'user', b'a', b'b', ctypes.c_size_t(1), -4)"

ATTACKS = [
    Attack(
        "a program in the kernel",
        "call(321, 280, 0, ctypes.byref((ctypes.c_uint32 * 32)(2, 4, 4, 1)), 128)",
        _BOTH,
        where="bpf",
    ),
    Attack(
        "a ring of calls",
        "call(425, 425, 1, ctypes.byref((ctypes.c_uint32 * 32)()))",
        (_FILTER, _ENGINE),
        where="io_uring",
    ),
    Attack("enter a ring of calls", "call(426, 426, 999, 0, 0, 0, 0, 0)", _BOTH, works="EBADF", where="io_uring"),
    Attack("handle page faults", "call(323, 282, 1)", _BOTH, where="userfaultfd"),
    Attack("a key", _KEY, _BOTH),
    Attack("ask for a key", _KEY + "\ncall(249, 218, b'user', b'a', None, -4)", _BOTH, works="reached|ENOKEY"),
    Attack("a ring of keys", "call(250, 219, 0, -3, 1)", _BOTH),
    Attack("watch the processor", _PERF, _BOTH, where="perf"),
    Attack(
        "the log of the kernel", "call(103, 116, 10, None, 0)", (*_BOTH, "a user without rights", "no capabilities")
    ),
    Attack("the clock of the host", "asked(libc.adjtimex(ctypes.create_string_buffer(512)))", _BOTH),
    Attack("adjust the clock of the host", "call(305, 266, 0, ctypes.create_string_buffer(512))", _BOTH),
    Attack("set the clock of the host", "call(227, 112, 0, None)", unproved=_STOPS_THE_HOST),
    Attack("set the time of the host", "call(164, 170, None, None)", unproved=_STOPS_THE_HOST),
    Attack("load a module", "call(175, 105, None, 0, b'')", unproved=_STOPS_THE_HOST),
    Attack("load a module from a file", "call(313, 273, 0, b'', 0)", unproved=_STOPS_THE_HOST),
    Attack("unload a module", "call(176, 106, b'x', 0)", unproved=_STOPS_THE_HOST),
    Attack("another kernel", "call(246, 104, 0, 0, None, 0)", unproved=_STOPS_THE_HOST),
    Attack("restart the host", "call(169, 142, 0, 0, 0, None)", unproved=_STOPS_THE_HOST),
    Attack("swap to a file", "call(167, 224, b'/tmp/work/x', 0)", unproved=_STOPS_THE_HOST),
    Attack("shared memory of System V", "asked(libc.shmget(0, 4096, 0o1600))", (_FILTER,)),
    Attack("attach shared memory", "call(30, 196, 999, None, 0)", (_FILTER,), works="EINVAL|EIDRM"),
    Attack("semaphores of System V", "asked(libc.semget(0, 1, 0o1600))", (_FILTER,)),
    Attack("a message queue of System V", "asked(libc.msgget(0, 0o1600))", (_FILTER,)),
    Attack("a message queue of POSIX", _QUEUE, (_FILTER, "the limit of queues")),
    Attack("the addresses of the next program", "asked(libc.personality(0x0040000))", _BOTH),
    Attack(
        "the segments of the processor",
        "call(154, 999, 0, ctypes.create_string_buffer(64), 64)",
        _BOTH,
        held="EPERM|ENOSYS",
        where="x86",
    ),
    Attack("the file systems of the kernel", "call(139, 999, 3)", _BOTH, held="EPERM|ENOSYS", where="x86"),
    Attack("where memory lies", "call(238, 237, 0, None, 0)", _BOTH),
    Attack("quotas of disks", "call(179, 60, 0x800001 << 8, None, 0, None)", _BOTH, works="reached|ESRCH|ENOSYS"),
    Attack("type on a terminal", _TYPED, (_FILTER,), where="terminal"),
    Attack("take in another process's death", "call(448, 448, -1, 0)", _BOTH, works="EBADF"),
]
