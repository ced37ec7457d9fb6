"""Two boxes side by side: what one takes is not missing in the other, and neither sees the other."""

import re

import pytest

from sandbox import CodeError, DockerBackend, SandboxSettings
from tests.sandbox.docker.attacks.defences import WeakenedBackend
from tests.sandbox.docker.attacks.prelude import PRELUDE

pytestmark = pytest.mark.docker

FILTERS = ("the worker's filter", "the engine's filter")
# What one box takes, what another then asks for, how that fails when both have one user, and what else hides it.
SHARED = {
    "instances of inotify": (
        "most = int(open('/proc/sys/fs/inotify/max_user_instances').read())\n"
        "for _ in range(min(most // 200 + 1, 60)):\n"
        "    if os.fork() == 0:\n"
        "        while libc.inotify_init1(0) >= 0: pass\n"
        "        time.sleep(60)\n"
        "time.sleep(0.5)",
        "asked(libc.inotify_init1(0))",
        "EMFILE",
        (),
    ),
    "timers": (
        "import resource\nresource.setrlimit(11, (100, 100))\n"
        "while libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())) == 0: pass",
        "import resource\nresource.setrlimit(11, (100, 100))\n"
        "asked(libc.timer_create(1, None, ctypes.byref(ctypes.c_void_p())))",
        "EAGAIN",
        (),
    ),
    "room in pipes": (
        "import fcntl\npipes = [os.pipe() for _ in range(100)]\n"
        "try:\n    for ours, _ in pipes: fcntl.fcntl(ours, 1031, 1 << 20)\nexcept OSError: pass",
        "import fcntl\nfcntl.fcntl(os.pipe()[0], 1031, 1 << 20) and 'reached'",
        "PermissionError",
        (),
    ),
    "processes": (
        "for _ in range(60):\n    if os.fork() == 0: time.sleep(60)",
        "import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (50, 50))\nchild(lambda: 'reached')",
        "BlockingIOError",
        (),
    ),
    "keys": (
        "while call(248, 217, b'user', os.urandom(8).hex().encode(), b'b', ctypes.c_size_t(1), -4) == 'reached': pass",
        "call(248, 217, b'user', b'mine', b'b', ctypes.c_size_t(1), -4)",
        "EDQUOT",
        FILTERS,
    ),
    "message queues": (
        "number = 0\nwhile libc.mq_open(f'/q{number}'.encode(), os.O_CREAT | os.O_RDWR, 0o600, None) >= 0: number += 1",
        "asked(libc.mq_open(b'/mine', os.O_CREAT | os.O_RDWR, 0o600, None))",
        "EMFILE|ENOMEM",
        (*FILTERS, "the limit of queues"),
    ),
}


def left(backend, take, ask):
    """What the second box is told after the first has taken all it can."""
    with backend.open() as greedy, backend.open() as other:
        for box in (greedy, other):
            box(PRELUDE)
        greedy(take)
        try:
            return str(other(ask).output)
        except CodeError as error:
            return str(error).splitlines()[-1]


@pytest.mark.parametrize("name", SHARED)
def test_boxes_of_one_user_would_take_it_from_each_other(sandbox_image, name):
    take, ask, refused, others = SHARED[name]
    backend = WeakenedBackend(sandbox_image, ("a user of its own", *others), {"step_timeout": 10.0})
    try:
        # It is enough that they can: the kernel doesn't count at once everywhere, and timers were missed now and then.
        assert any(re.search(refused, left(backend, take, ask)) for _ in range(3))
    finally:
        backend.close()


@pytest.mark.parametrize("name", SHARED)
def test_boxes_with_users_of_their_own_don_t(sandbox_image, name):
    take, ask, _, others = SHARED[name]
    backend = WeakenedBackend(sandbox_image, others, {"step_timeout": 10.0})
    try:
        assert left(backend, take, ask) == "reached"
    finally:
        backend.close()


def test_two_sessions_never_see_each_other(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
    try:
        with backend.open(files={"secret.txt": b"x"}) as one, backend.open() as other:
            one("import os, socket, subprocess\nopen('/tmp/secret', 'w').write('x')\nos.environ['SECRET'] = 'x'")
            one("server = socket.socket(socket.AF_UNIX)\nserver.bind('\\0secret')\nserver.listen()")
            one("sleeper = subprocess.Popen(['sleep', '31415'])")
            other("import os, socket")
            for path in ("/tmp/secret", "secret.txt"):
                assert other(f"os.path.exists({path!r})").output is False
            assert other("os.environ.get('SECRET')").output is None
            with pytest.raises(CodeError, match="ConnectionRefusedError"):
                other("socket.socket(socket.AF_UNIX).connect('\\0secret')")
            processes = "[open(f'/proc/{n}/cmdline').read() for n in os.listdir('/proc') if n.isdigit() and n != '1']"
            assert not any("31415" in each for each in other(processes).output)
            assert any("31415" in each for each in one(processes).output)
            assert one("os.getuid()").output != other("os.getuid()").output
            names = ("pid", "net", "ipc", "mnt", "uts")
            spaces = f"[os.readlink(f'/proc/self/ns/{{name}}') for name in {names}]"
            assert not set(one(spaces).output) & set(other(spaces).output)
    finally:
        backend.close()
