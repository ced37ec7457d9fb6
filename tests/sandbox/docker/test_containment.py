"""What holds in a container beyond single attacks, which are in `attacks` and run by `test_attacks`."""

import time

import pytest

from sandbox import CodeError, DockerBackend, SandboxSettings

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=5))
    yield backend
    backend.close()


def test_a_fork_bomb_is_ended_and_the_next_step_works(backend):
    with backend.open() as box:
        with pytest.raises(CodeError):
            box("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass")
        assert box("1").output == 1


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


def test_the_address_space_is_not_limited_where_the_kernel_counts_data(backend):
    with backend.open() as box:
        assert box("import resource\nresource.getrlimit(resource.RLIMIT_AS)").output == (-1, -1)
        assert box("resource.getrlimit(resource.RLIMIT_DATA)[0]").output > 0


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
