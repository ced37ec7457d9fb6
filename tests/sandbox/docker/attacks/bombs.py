"""Attacks that use up: processes, memory, files, descriptors, output, time. Each ends by itself where nothing ends it."""

from tests.sandbox.docker.attacks.attack import Attack

_MiB = 1 << 20
_SMALL = {"processes": 16}
_LITTLE = {"memory": 64 * _MiB, "step_timeout": 10.0}
_SHORT = {"step_timeout": 0.3}
_HEAP = ("the limit of the heap", "the limit of memory")
_TIME = ("the limit of time",)
_LATE = "TimeoutError"

_FORK = "for _ in range(40):\n    if os.fork() == 0:\n        time.sleep(30)\n        os._exit(0)\n'reached'"
_SPREAD = """\
def spread(depth):
    for _ in range(6):
        if os.fork() == 0:
            if depth: spread(depth - 1)
            time.sleep(30)
            os._exit(0)
spread(1)
until, count = time.monotonic() + 3, 0
while count <= 40 and time.monotonic() < until:
    count = len([n for n in os.listdir('/proc') if n.isdigit()])
'reached' * (count > 40)"""
THREADS = "import threading\nfor _ in range(40): threading.Thread(target=time.sleep, args=(1,), daemon=True).start()\n'reached'"
_PROGRAMS = "import subprocess\nall_of_them = [subprocess.Popen(['sleep', '30']) for _ in range(40)]\n'reached'"
_MAPPED = "import mmap\nheld = mmap.mmap(-1, 96 << 20)\nfor at in range(0, 96 << 20, 4096): held[at] = 1\n'reached'"
_TOGETHER = """\
pids = []
for _ in range(8):
    pids.append(os.fork())
    if pids[-1] == 0:
        held = bytearray(12 << 20)
        time.sleep(3)
        os._exit(0)
'reached' * (not any(os.waitpid(pid, 0)[1] for pid in pids))"""
_ZIP = """\
import zlib
press = zlib.compressobj(1)
bomb = b"".join([press.compress(bytes(1 << 20)) for _ in range(96)]) + press.flush()
'reached' * bool(zlib.decompress(bomb))"""
_MAKE_ZIP = """\
import io, zipfile
made = io.BytesIO()
with zipfile.ZipFile(made, 'w', zipfile.ZIP_DEFLATED) as archive:
    for number in range(3): archive.writestr(str(number), bytes(7 << 20))
zipfile.ZipFile(made).extractall('.')
'reached'"""
_FILES = "for number in range(3):\n    with open(str(number), 'wb') as file: file.write(bytes(7 << 20))\n'reached'"
_NAMES = "for number in range(4100): open(f'n{number}', 'w').close()\n'reached'"
_FOLDERS = "for number in range(4100): os.mkdir(f'd{number}')\n'reached'"
_DEEP = "for number in range(4100):\n    os.mkdir('d')\n    os.chdir('d')\n'reached'"
_LINKS = "for number in range(4100): os.symlink('x', f'l{number}')\n'reached'"
_DESCRIPTORS = "held = [os.open('/dev/null', 0) for _ in range(300)]\n'reached'"
_PIPES = "held = [os.pipe() for _ in range(150)]\n'reached'"
_SOCKETS = "held = [socket.socketpair() for _ in range(150)]\n'reached'"
_EPOLLS = "import select\nheld = [select.epoll() for _ in range(300)]\n'reached'"
# How long SECONDS and LONGER are is said by `host.LASTING` and `host.BRIEF`.
_UNTIL = "until = time.monotonic() + SECONDS\nwhile time.monotonic() < until:\n    {}\n'reached'"
# What heeds no interrupt must go on until well after it is killed.
_LONGER = "until = time.monotonic() + LONGER\nwhile time.monotonic() < until: pass\n'reached'"
_AFTERWARDS = """\
until = time.monotonic() + SECONDS
try:
    while time.monotonic() < until: pass
except BaseException: pass
'reached'"""
_BLOCKED = "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
_IN_C = "import ctypes\nctypes.PyDLL(None).usleep(0)\nfor _ in range(int(SECONDS / 0.2)): ctypes.PyDLL(None).usleep(200000)\n'reached'"
_CATCHING = """\
until = time.monotonic() + LONGER
while time.monotonic() < until:
    try:
        while time.monotonic() < until: pass
    except BaseException: pass
'reached'"""
_HANDLED = "signal.signal(signal.SIGINT, lambda *_: None)\n"
_REGEX = "import re\nwhile time.monotonic() < until:\n    re.match('(a|b|ab)*c', 'ab' * {})\n'reached'"
_ITERATED = """\
import collections, itertools
spun = lambda turns: collections.deque(itertools.repeat(0, turns), 0)
begun = time.perf_counter()
spun(10 ** 6)
spun(int(SECONDS / (time.perf_counter() - begun) * 10 ** 6))
'reached'"""
_BIG_INT = "x = 7 ** 400_000\nwhile time.monotonic() < until: y = x * x\n'reached'"
_PRINTED = "for _ in range(40): print('x' * 99_999)\n"
_SPINNING = """\
import glob
def throttled():
    path = (glob.glob('/sys/fs/cgroup/cpu.stat') + glob.glob('/sys/fs/cgroup/cpu*/cpu.stat'))[0]
    return int(dict(line.split() for line in open(path))['nr_throttled'])
before, until = throttled(), time.monotonic() + 1
if os.fork() == 0:
    while time.monotonic() < until: pass
    os._exit(0)
while time.monotonic() < until: pass
'held back' if throttled() > before else 'reached'"""


def _late(name: str, code: str, *, lost: bool = False) -> Attack:
    return Attack(name, code, _TIME, held="gone" if lost else _LATE, limits=_SHORT, lost=lost, litters="worker")


ATTACKS = [
    Attack("fork", _FORK, ("the limit of processes",), held="BlockingIOError", limits=_SMALL, litters="worker"),
    Attack(
        "fork in forks",
        _SPREAD,
        ("the limit of processes",),
        held="^$|BlockingIOError",
        limits=_SMALL,
        litters="worker",
    ),
    Attack(
        "start threads",
        THREADS,
        ("the limit of processes",),
        held="can't start new thread",
        limits=_SMALL,
        litters="worker",
    ),
    Attack(
        "start programs",
        _PROGRAMS,
        ("the limit of processes",),
        held="BlockingIOError",
        limits=_SMALL,
        litters="worker",
    ),
    Attack(
        "a large object",
        "held = bytearray(96 << 20)\n'reached'",
        _HEAP,
        held="MemoryError",
        limits=_LITTLE,
        litters="worker",
    ),
    Attack(
        "many small objects",
        "held = [str(n) * 10 for n in range(900_000)]\n'reached'",
        _HEAP,
        held="MemoryError",
        limits=_LITTLE,
        litters="worker",
    ),
    Attack(
        "memory of files without a name",
        _MAPPED,
        _HEAP,
        held="MemoryError|gone",
        limits=_LITTLE,
        litters="worker",
        lost=True,
    ),
    Attack("memory of many processes", _TOGETHER, _HEAP, held="^$|MemoryError|gone", limits=_LITTLE, litters="worker"),
    Attack("a bomb of zlib", _ZIP, _HEAP, held="MemoryError", limits=_LITTLE, litters="worker"),
    Attack(
        "a bomb of zip",
        _MAKE_ZIP,
        ("the limit of files",),
        held="No space",
        limits={"files_limit": 16 * _MiB},
        litters="worker",
    ),
    Attack(
        "fill the disk",
        _FILES,
        ("the limit of files",),
        held="No space",
        limits={"files_limit": 16 * _MiB},
        litters="worker",
    ),
    Attack("fill the disk with names", _NAMES, ("the limit of names",), held="No space", litters="worker"),
    Attack("fill the disk with folders", _FOLDERS, ("the limit of names",), held="No space", litters="worker"),
    Attack("fill the disk with depth", _DEEP, ("the limit of names",), held="No space", litters="worker"),
    Attack("fill the disk with links", _LINKS, ("the limit of names",), held="No space", litters="worker"),
    Attack(
        "a file of any size",
        "with open('f', 'wb') as f: f.truncate(17 << 20)\n'reached'",
        ("the limit of one file",),
        held="File too large",
    ),
    Attack(
        "reserve a file of any size",
        "os.posix_fallocate(os.open('f', os.O_RDWR | os.O_CREAT), 0, 17 << 20)\n'reached'",
        ("the limit of one file",),
        held="File too large",
    ),
    Attack("open files", _DESCRIPTORS, ("the limit of descriptors",), held="Too many open files", litters="worker"),
    Attack("open pipes", _PIPES, ("the limit of descriptors",), held="Too many open files", litters="worker"),
    Attack("open sockets", _SOCKETS, ("the limit of descriptors",), held="Too many open files", litters="worker"),
    Attack("open polls", _EPOLLS, ("the limit of descriptors",), held="Too many open files", litters="worker"),
    Attack(
        "more of all by a higher limit",
        "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))\nheld = [os.open('/dev/null', 0) for _ in range(300)]\n'reached'",
        ("the limit of descriptors",),
        held="ValueError|PermissionError",
    ),
    Attack(
        "spin on every processor",
        _SPINNING,
        ("the limit of processor time",),
        held="held back",
        limits={"cpus": 0.15},
        litters="worker",
    ),
    _late("loop", _UNTIL.format("pass")),
    _late("answer after its time", _AFTERWARDS),
    _late("loop and catch everything", _CATCHING, lost=True),
    _late("loop with a handler for the interrupt", _HANDLED + _LONGER, lost=True),
    _late("loop with all signals blocked", _BLOCKED + _LONGER, lost=True),
    _late("loop in C", _IN_C),
    Attack("loop in an iterator", _ITERATED, _TIME, held=_LATE, limits=_SHORT, lost=None, litters="worker"),
    _late("multiply", "until = time.monotonic() + SECONDS\n" + _BIG_INT),
    _late("sleep", "time.sleep(SECONDS)\n'reached'"),
    _late("wait for a lock", "import threading\nthreading.Event().wait(SECONDS)\n'reached'"),
    _late("a regular expression that goes back and back", "until = time.monotonic() + SECONDS\n" + _REGEX.format(9)),
    _late("sleep in a process that was started", "import subprocess\nsubprocess.run(['sleep', 'SECONDS'])\n'reached'"),
    Attack("print without end", _PRINTED, ("the limit of output",), works="x\n?$", held="more bytes were not kept"),
]
