"""Attacks on process 1, which holds the host's pipes, and on what /proc and descriptors give away."""

from tests.sandbox.docker.attacks.attack import Attack

_FILTER, _ENGINE, _HIDING = "the worker's filter", "the engine's filter", "hiding"
_SOCKET = "a socket as the way"
_SEEN = (_FILTER, _ENGINE, _HIDING)

_SECOND_HAND = """\
def into():
    fd = libc.syscall(434, 1, 0)
    if fd < 0: return errno.errorcode[ctypes.get_errno()]
    return asked(libc.syscall(438, fd, 1, 0))
child(into)"""
_READ = """\
class Vector(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]
got = ctypes.create_string_buffer(16)
here, there = Vector(ctypes.addressof(got), 16), Vector(id(sys), 16)
asked(libc.process_vm_readv(1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))"""
_WRITE = """\
class Vector(ctypes.Structure): _fields_ = [('at', ctypes.c_void_p), ('size', ctypes.c_size_t)]
got = ctypes.create_string_buffer(ctypes.string_at(id(sys) + 8, 8))
here, there = Vector(ctypes.addressof(got), 8), Vector(id(sys) + 8, 8)
asked(libc.process_vm_writev(1, ctypes.byref(here), 1, ctypes.byref(there), 1, 0))"""
_EVERYBODY = """\
pid = os.fork()
if pid == 0: time.sleep(20)
os.kill(-1, 9)
'reached' * (os.waitpid(pid, 0)[1] == 9)"""
_QUEUED = "info = (ctypes.c_int * 32)(17, 0, -1)\n"

ATTACKS = [
    Attack("trace process 1", "child(lambda: asked(libc.ptrace(0x4206, 1, 0, 0)))", _SEEN, where="ptrace"),
    Attack("read the memory of process 1", _READ, _SEEN, where="ptrace"),
    Attack("write the memory of process 1", _WRITE, _SEEN, where="ptrace"),
    Attack("take a descriptor of process 1", _SECOND_HAND, _SEEN, where="ptrace"),
    Attack("hold process 1 by a descriptor", "call(434, 434, 1, 0)", (_FILTER,)),
    Attack("compare with process 1", "call(312, 272, os.getpid(), 1, 1, 0, 0)", _SEEN),
    Attack("open the memory of process 1", "open('/proc/1/mem', 'rb')\n'reached'", (_HIDING,), where="ptrace"),
    Attack("open the host's pipe by /proc", "open('/proc/1/fd/1', 'wb')\n'reached'", (_HIDING, _SOCKET)),
    Attack("list the descriptors of process 1", "os.listdir('/proc/1/fd')\n'reached'", (_HIDING,)),
    Attack("read the map of process 1", "'reached' * bool(open('/proc/1/maps').read())", (_HIDING,)),
    Attack("read the environment of process 1", "open('/proc/1/environ').read()\n'reached'", (_HIDING,)),
    Attack("enter the root of process 1", "os.listdir('/proc/1/root')\n'reached'", (_HIDING,)),
    Attack("let process 1 die first", "open('/proc/1/oom_score_adj', 'w').write('1000')\n'reached'", (_HIDING,)),
    Attack("rename process 1", "open('/proc/1/comm', 'w').write('x')\n'reached'", (_HIDING,)),
    Attack("kill process 1", "os.kill(1, 9)\n'reached'", (_FILTER,)),
    Attack("stop process 1", "os.kill(1, signal.SIGSTOP)\n'reached'", (_FILTER,)),
    Attack("wake process 1 without end", "[os.kill(1, signal.SIGCHLD) for _ in range(100)]\n'reached'", (_FILTER,)),
    Attack("interrupt process 1", "os.kill(1, signal.SIGINT)\n'reached'", (_FILTER,)),
    Attack("signal a thread of process 1", "call(234, 131, 1, 1, 17)", (_FILTER,)),
    Attack("signal a thread of process 1, the old way", "call(200, 130, 1, 17)", (_FILTER,)),
    Attack("queue a signal for process 1", _QUEUED + "call(129, 138, 1, 17, ctypes.byref(info))", (_FILTER,)),
    Attack("queue a signal for its thread", _QUEUED + "call(297, 240, 1, 1, 17, ctypes.byref(info))", (_FILTER,)),
    Attack("signal process 1 by a descriptor", "call(424, 424, os.open('/proc/1', 0), 17, 0, 0)", (_FILTER, _ENGINE)),
    Attack("signal every process", _EVERYBODY, (_FILTER,)),
    Attack(
        "limit process 1",
        "import resource\nresource.prlimit(1, resource.RLIMIT_CORE, (0, 0))\n'reached'",
        (_FILTER, _ENGINE),
    ),
    Attack("make process 1 nice", "os.setpriority(os.PRIO_PROCESS, 1, 19)\n'reached'", (_FILTER,), litters="box"),
    Attack(
        "let process 1 run only when idle",
        "os.sched_setscheduler(1, os.SCHED_IDLE, os.sched_param(0))\n'reached'",
        (_FILTER,),
        litters="box",
    ),
    Attack(
        "let process 1 run in batches",
        "call(314, 274, 1, ctypes.byref((ctypes.c_uint32 * 12)(48, 3)), 0)",
        (_FILTER,),
        litters="box",
    ),
    Attack("change the schedule of process 1", "os.sched_setparam(1, os.sched_param(0))\n'reached'", (_FILTER,)),
    Attack("keep process 1 to one processor", "os.sched_setaffinity(1, {0})\n'reached'", (_FILTER,), litters="box"),
    Attack("let process 1 wait for disks", "call(251, 30, 1, 1, 3 << 13)", (_FILTER,), litters="box"),
    Attack("run before process 1", "os.setpriority(os.PRIO_PROCESS, 0, 19)\n'reached'", (_FILTER,)),
]
