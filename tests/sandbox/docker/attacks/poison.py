"""Attacks on later steps: what one step leaves behind in Python, in processes, in threads; and on the worker's own life."""

from tests.sandbox.docker.attacks.attack import Attack

_FRESH, _EARLY = ("fresh machinery",), ("early names",)
_REPLACED = ("a fresh worker",)
_SAME = "^as it was$"


def _lasting(name: str, poison: str, probe: str) -> Attack:
    return Attack(name, (poison, f"'reached' if {probe} else 'as it was'"), _FRESH, held=_SAME, litters="worker")


def _taken(name: str, poison: str) -> Attack:
    return Attack(name, (poison, "'as it was'"), _EARLY, works="gone|Error", held=_SAME, litters="worker")


def _death(name: str, code: str, held: str = "gone", **more) -> Attack:
    return Attack(name, code, _REPLACED, works="container ended", held=held, lost=True, litters="worker", **more)


_SPIN = "import threading\ncount = 0\ndef spin():\n    global count\n    while True: count += 1\nthreading.Thread(target=spin, daemon=True).start()"
_SPIN_APART = "import mmap\nshared = mmap.mmap(-1, 8)\nif os.fork() == 0:\n    n = 0\n    while True:\n        n += 1\n        shared[:] = n.to_bytes(8, 'big')"
_HOOK = "def hook(*_): raise RuntimeError('reached')\nsys.addaudithook(hook)"
_SLEEPY_HOOK = "def hook(*_): time.sleep(0.3)\nsys.addaudithook(hook)"
_DEAF = "signal.signal(signal.SIGINT, signal.SIG_IGN)"
_CHILD = "x = os.fork()\nif x: os.waitpid(x, 0)\n'as it was' if x else 'reached'"
_CHILD_CALLS = "if os.fork() == 0:\n    try: echo(1)\n    except RuntimeError: os._exit(7)\n    os._exit(0)\n'reached' if os.wait()[1] == 0 else 'as it was'"
_LEFT = "fds = [int(fd) for fd in os.listdir('/proc/self/fd')]\n'reached' if len(fds) > 5 else 'as it was'"
_IMPOSTOR = "os.set_inheritable(3, True)\nos.execv(sys.executable, ['python3', '-c', 'raise SystemExit'])"

ATTACKS = [
    _lasting("another abs", "import builtins\nbuiltins.abs = None", "abs is None"),
    _lasting("another import", "import builtins\nbuiltins.__import__ = None", "__import__ is None"),
    _lasting("another print", "import builtins\nbuiltins.print = None", "print is None"),
    _lasting("another open", "import builtins\nbuiltins.open = None", "open is None"),
    _lasting("no errors to catch", "import builtins\nbuiltins.Exception = int", "Exception is int"),
    _lasting("another output", "sys.stdout = None", "sys.stdout is None"),
    _lasting("another output for errors", "sys.stderr = None", "sys.stderr is None"),
    _lasting("a tracer", "sys.settrace(lambda *_: None)", "sys.gettrace()"),
    _lasting("a profiler", "sys.setprofile(lambda *_: None)", "sys.getprofile()"),
    _lasting("a recursion without limit", "sys.setrecursionlimit(10 ** 9)", "sys.getrecursionlimit() == 10 ** 9"),
    _lasting("no recursion at all", "sys.setrecursionlimit(60)", "sys.getrecursionlimit() == 60"),
    _lasting("another main module", "sys.modules['__main__'] = None", "sys.modules['__main__'] is None"),
    _lasting("another sys", "import sys as real\nsys.modules['sys'] = None", "real.modules['sys'] is None"),
    Attack(
        "a step that can't be interrupted",
        (_DEAF, "while True: pass"),
        _FRESH,
        works="gone",
        held=r"step_timeout\)\.$",
        limits={"step_timeout": 0.3},
        litters="worker",
    ),
    _taken("another way to read", "os.read = None"),
    _taken("another way to write", "os.write = None"),
    _taken("another parser", "import json\njson.loads = None"),
    _taken("another writer", "import json\njson.dumps = lambda _: 'x'"),
    Attack(
        "a hook that raises",
        (_HOOK, "1", "1"),
        _REPLACED,
        works="container ended",
        held="broken by it.*gone",
        lost=True,
        litters="worker",
    ),
    Attack(
        "a hook that takes its time",
        (_SLEEPY_HOOK, "'as it was'"),
        control="'reached'",
        held="TimeoutError|gone|as it was",
        lost=None,
        limits={"step_timeout": 1.0},
        litters="worker",
    ),
    Attack(
        "no modules",
        ("sys.modules.clear()", "1", "'as it was'"),
        control="'reached'",
        held="as it was|gone",
        lost=None,
        litters="worker",
    ),
    Attack(
        "a thread that spins while the code waits",
        (_SPIN, "a = count\nwait()\nb = count\ntime.sleep(1.5)\n'reached' if b - a > (count - b) / 8 else 'as it was'"),
        ("standing still",),
        held=_SAME,
        litters="worker",
    ),
    Attack(
        "a process that spins while the code waits",
        (
            _SPIN_APART,
            "n = lambda: int.from_bytes(shared[:], 'big')\na = n()\nwait()\nb = n()\ntime.sleep(1.5)\n'reached' if b - a > (n() - b) / 8 else 'as it was'",
        ),
        ("standing still",),
        held=_SAME,
        litters="worker",
    ),
    Attack("a fork that goes on as the worker", _CHILD, ("one worker",), held=_SAME, litters="worker"),
    Attack("a fork that calls a tool", _CHILD_CALLS, control="echo('reached')", held=_SAME),
    Attack("descriptors that are left open", _LEFT, ("closed descriptors",), held=_SAME),
    _death("end the worker", "os._exit(0)"),
    _death("end the worker with its own word", "os._exit(70)", "broken by it.*gone"),
    _death("say that memory ran out", "os._exit(71)", "more memory.*gone"),
    _death("kill the worker", "os.kill(os.getpid(), 9)"),
    _death("abort", "os.abort()"),
    _death("read where nothing is", "ctypes.string_at(0)"),
    _death("write where nothing is", "ctypes.memset(1, 0, 1)"),
    _death("run another program", "os.execv('/usr/bin/env', ['env'])"),
    _death("run another Python with the worker's channel", _IMPOSTOR),
    _death("close the channel", "os.close(3)"),
    _death("close all descriptors", "os.closerange(0, 256)"),
    _death("put a file in the channel's place", "os.dup2(os.open('/dev/null', 2), 3)"),
    _death("die at a time", "signal.setitimer(signal.ITIMER_REAL, 0.1)\nwhile True: pass"),
    _death(
        "die of processor time",
        "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (1, 1))\nwhile True: pass",
        limits={"step_timeout": 30.0},
    ),
    _death("dump and end", "import faulthandler\nfaulthandler.dump_traceback_later(0.1, exit=True)\nwhile True: pass"),
    _death(
        "recursion in C",
        "import sys\nsys.setrecursionlimit(10 ** 9)\nv = []\nfor _ in range(3 * 10 ** 5): v = [v]\nrepr(v)",
        "gone",
    ),
    _death(
        "forbid itself memory",
        "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1, 1))\n[bytearray(1 << 20) for _ in range(99)]",
    ),
    _death("stop the worker", "os.kill(os.getpid(), signal.SIGSTOP)", limits={"step_timeout": 0.3}),
]
