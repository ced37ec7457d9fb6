"""What code in a container can't do, tried from inside of it: each attempt says how it ended."""

import subprocess
import sys
import time

import pytest

from sandbox import CodeError, DockerBackend, SandboxSettings

pytestmark = pytest.mark.docker

LIBC = """\
import ctypes, errno, os
libc = ctypes.CDLL(None, use_errno=True)
def call(*arguments):
    result = libc.syscall(*arguments)
    return 'done' if result >= 0 else errno.errorcode[ctypes.get_errno()]
"""
X86_64 = {
    "ptrace of process 1": ("call(101, 16, 1, 0, 0)", "EPERM"),
    "reading process 1's memory": ("call(310, 1, None, 0, None, 0, 0)", "EPERM"),
    "a descriptor of process 1": ("call(434, 1, 0)", "EPERM"),
    "a signal to process 1": ("call(62, 1, 9)", "EPERM"),
    "a signal to all": ("call(62, -1, 9)", "EPERM"),
    "a limit of process 1": ("call(302, 1, 7, None, None)", "EPERM"),
    "niceness of process 1": ("call(141, 0, 1, 19)", "EPERM"),
    "idle scheduling of process 1": ("call(144, 1, 5, ctypes.c_int(0))", "EPERM"),
    "a user namespace": ("call(272, 0x10000000)", "EPERM"),
    "a clone into a namespace": ("call(56, 0x10000011, 0, 0, 0, 0)", "EPERM"),
    "clone3": ("call(435, 0, 0)", "ENOSYS"),
    "a mount": ("call(165, b'x', b'/tmp', b'tmpfs', 0, 0)", "EPERM"),
    "chroot": ("call(161, b'/tmp')", "EPERM"),
    "bpf": ("call(321, 0, 0, 0)", "EPERM"),
    "io_uring": ("call(425, 1, 0)", "EPERM"),
    "userfaultfd": ("call(323, 0)", "EPERM"),
    "a keyring": ("call(248, b'user', b'a', b'b', 1, -4)", "EPERM"),
    "perf events": ("call(298, 0, 0, -1, -1, 0)", "EPERM"),
    "a file without a name": ("call(319, b'x', 0)", "EPERM"),
    "System V shared memory": ("call(29, 0, 4096, 0o1600)", "EPERM"),
    "a call newer than the table": ("call(460)", "ENOSYS"),
    "a call of the x32 table": ("call(0x40000000 + 39)", "ENOSYS"),
    **{
        f"a socket of family {name}": (f"call(41, {family}, {kind}, {protocol})", "EAFNOSUPPORT")
        for name, family, kind, protocol in (
            ("inet", 2, 1, 0),
            ("inet6", 10, 1, 0),
            ("netlink", 16, 3, 0),
            ("packet", 17, 3, 0),
            ("vsock", 40, 1, 0),
            ("alg", 38, 5, 0),
            ("raw inet", 2, 3, 1),
        )
    },
}
REFUSED = {
    "write to the root": "open('/usr/x', 'w')",
    "the supervisor's channel": "open('/proc/1/fd/1', 'wb')",
    "the supervisor's memory": "open('/proc/1/mem', 'rb')",
    "run a file of its own": "import os, shutil\nshutil.copy('/usr/bin/true', 't')\nos.execv('./t', ['t'])",
    "a larger file than allowed": "with open('f', 'wb') as f: f.truncate(64 << 20)",
    "more descriptors than allowed": "files = [open('/dev/null') for _ in range(300)]",
    "more threads than allowed": (
        "import threading, time\n"
        "for _ in range(200): threading.Thread(target=time.sleep, args=(3,), daemon=True).start()"
    ),
    "a kernel setting": "open('/proc/sys/kernel/hostname', 'w').write('x')",
    "a setting of its cgroup": "open('/sys/fs/cgroup/memory.max', 'w').write('max')",
}


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=5))
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def machine(backend):
    with backend.open() as box:
        return box("import platform\nplatform.machine()").output


@pytest.fixture(scope="module")
def asked(backend, machine):
    """One box for all questions that only ask: what they try is refused before anything changes."""
    if machine != "x86_64":
        pytest.fail("the numbers of these calls are those of x86-64; write them down for this machine too")
    with backend.open() as box:
        box(LIBC)
        yield box


@pytest.mark.parametrize(("attempt", "answer"), X86_64.values(), ids=X86_64.keys())
def test_the_worker_s_filter_refuses(asked, attempt, answer):
    assert asked(attempt).output == answer


def test_the_same_calls_work_for_a_worker_without_filter(tmp_path):
    # What the filter refuses must be refused by the filter: in this process, which has none, they end otherwise.
    code = f"{LIBC}\nprint(call(319, b'x', 0), call(41, 2, 1, 0), call(41, 16, 3, 0), call(434, os.getpid(), 0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["done"] * 4


@pytest.mark.parametrize("attempt", REFUSED.values(), ids=REFUSED.keys())
def test_the_container_refuses(backend, attempt):
    with backend.open() as box:
        with pytest.raises(CodeError):
            box(attempt)
        assert box("1").output == 1


def test_a_fork_bomb_is_ended_and_the_next_step_works(backend):
    with backend.open() as box:
        with pytest.raises(CodeError):
            box("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
        assert box("1").output == 1


def test_a_session_without_modules_is_usable_or_clearly_replaced(backend):
    with backend.open() as box:
        box("import sys\nsys.modules.clear()")
        try:
            assert box("print('here')").logs == "here\n"
        except CodeError as lost:
            assert "gone" in str(lost)
        assert box("1").output == 1


def test_a_forked_child_never_goes_on_as_the_worker(backend):
    with backend.open() as box:
        assert box("import os\nx = os.fork()\n'parent' if x else 'child'").output == "parent"
        assert box("'next'").output == "next"


@pytest.mark.parametrize(
    "code",
    [
        "import os\nos.execv('/usr/bin/env', ['env'])",
        "import os\nos._exit(0)",
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)",
        "import os\nos.close(3)",
        "import os\nos.write(3, b'\\xff' * 64)",
        "import os\nos.write(3, (2).to_bytes(4, 'big') + b'd{}')",
        "import os\nos.write(3, (2).to_bytes(4, 'big') + b'd[]')",
        "import os\nos.write(3, (2).to_bytes(4, 'big') + b'c{}')",
        "import os\nos.write(3, (4).to_bytes(4, 'big') + b'cnull')",
        "import os\nos.write(3, (9).to_bytes(4, 'big') + b'l' + b'{\"id\":1}  ')",
        "import os\nos.write(3, (200000).to_bytes(4, 'big') + b'd' + b'[' * 200000)",
        "import os\nos.write(3, (0xffffffff).to_bytes(4, 'big') + b'd')\nwhile True: os.write(3, b'x' * 65536)",
    ],
)
def test_a_worker_that_is_gone_or_forges_is_replaced_and_the_agent_told(backend, code):
    with backend.open() as box:
        box("kept = 1")
        with pytest.raises(CodeError, match="gone"):
            box(code)
        assert box("'kept' in globals()").output is False


def test_an_audit_hook_that_stops_every_later_step_costs_the_worker_its_life(backend):
    with backend.open() as box:
        with pytest.raises(CodeError, match="gone"):
            box("import sys\ndef hook(*_): raise RuntimeError('no')\nsys.addaudithook(hook)")
            box("1")
        assert box("1").output == 1


def test_poisoned_builtins_and_streams_end_with_their_step(backend):
    with backend.open() as box:
        box("import builtins, sys\nbuiltins.print = builtins.len = None\nsys.stdout = None")
        assert box("print(len('ab'))").logs == "2\n"


def test_threads_of_a_step_stand_still_between_steps_and_during_host_calls(backend):
    with backend.open() as box:
        box.send_tools({"wait": lambda: time.sleep(1)})
        box("import threading, time\ncount = 0\ndef spin():\n    global count\n    while True: count += 1")
        box("threading.Thread(target=spin, daemon=True).start()")
        first = box("count").output
        time.sleep(1)
        between = box("count").output - first
        during = box("a = count\nwait()\ncount - a").output
        worked = box("a = count\ntime.sleep(1)\ncount - a").output
        assert between < worked / 3
        assert during < worked / 3


def test_a_tool_may_put_a_file_while_the_code_waits_for_it(backend):
    with backend.open() as box:
        box.send_tools({"fetch": lambda: box.put_file("got.txt", b"here")})
        assert box("fetch()\nopen('got.txt').read()").output == "here"


@pytest.mark.parametrize(
    "make",
    [
        "import os\nos.symlink('/etc/passwd', 'x')",
        "import os\nos.mkfifo('x')",
        "import os\nos.mkdir('x')",
        "import socket\nsocket.socket(socket.AF_UNIX).bind('x')",
    ],
)
def test_what_is_no_regular_file_is_never_read(backend, make):
    from sandbox import FileRefused

    with backend.open() as box:
        box(make)
        assert box.list_files() == []
        with pytest.raises(FileRefused):
            box.get_file("x")


def test_a_box_that_is_kept_ready_serves_the_next_session_once(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=1))
    try:
        with backend.open() as one, backend.open() as other:
            one("x = 1")
            other("x = 2")
            assert one.container != other.container
            assert one("x").output == 1
    finally:
        backend.close()
