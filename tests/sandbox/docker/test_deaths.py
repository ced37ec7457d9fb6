"""The death of every process at every moment: the host is unharmed, and the session usable or clearly replaced."""

import threading
import time
from contextlib import closing, suppress

import pytest
from docker.errors import DockerException

from sandbox import CodeError, DockerBackend, SandboxError, SandboxSettings, SessionLost
from tests.sandbox.docker.patience import wait_for_news
from tests.sandbox.leaks import IDLE, assert_settled, usage

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def backend(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=20))
    yield backend
    backend.close()


@pytest.fixture
def box(backend):
    before = usage()
    with backend.open() as box:
        box.send_tools({"echo": lambda value: value})
        box("kept = 1")
        yield box
    children, threads, descriptors = before
    assert_settled((children, threads + 1, descriptors), spare=1 + IDLE)  # one more thread: the backend's, that removes


def kill_the_worker(box):
    """From outside of the box, as the kernel would; process 1 has exactly one child that can be the worker."""
    api = box._boxes._api
    made = api.exec_create(box.container, ["sh", "-c", "kill -9 $(cat /proc/1/task/1/children)"])
    assert api.exec_start(made["Id"]) == b""


def kill_the_supervisor(box):
    box._boxes._api.kill(box.container, "SIGKILL")


def remove_the_container(box):
    box._boxes._api.remove_container(box.container, force=True)


def cut_the_stream(box):
    import socket

    box._box.channel._socket.shutdown(socket.SHUT_RDWR)


def cut_the_direct_way(box):
    import socket

    box._box.channel._outward.shutdown(socket.SHUT_RDWR)


DEATHS = [kill_the_worker, kill_the_supervisor, remove_the_container, cut_the_stream, cut_the_direct_way]


def later(death, box, seconds=0.3):
    timer = threading.Timer(seconds, death, [box])
    timer.start()
    return timer


def assert_replaced(box):
    """The agent was told; from here on everything works, with nothing of before."""
    assert box("'kept' in globals()").output is False
    assert box("echo(2)").output == 2


@pytest.mark.parametrize("death", DEATHS)
def test_death_while_the_box_is_idle_is_told_at_the_next_step(box, death):
    death(box)
    time.sleep(0.1)  # told or not, as a user meets it
    with pytest.raises(SessionLost, match="gone"):
        box("ran = 1")
    assert box("'ran' in globals()").output is False
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_in_a_step_is_told_by_it(box, death):
    timer = later(death, box)
    with pytest.raises(SessionLost, match="gone"):
        box("while True: pass")
    timer.join()
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_in_a_host_call_is_told_when_the_call_has_ended(box, death):
    called = []
    box.send_tools({"echo": lambda value: value, "die": lambda: (death(box), called.append(1), 5)[2]})
    with pytest.raises(SessionLost, match="gone"):
        box("die()\nwhile True: pass")
    assert called == [1]
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_with_the_final_answer_leaves_the_answer(box, death):
    box.send_tools({"echo": lambda value: value, "final_answer": lambda answer: (death(box), answer)[1]})
    try:
        result = box("final_answer(7)")
    except SessionLost:
        pass
    else:
        assert (result.output, result.is_final_answer) == (7, True)
    with suppress(SessionLost):
        box("1")
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_while_a_file_is_written_is_an_error_or_harmless(box, death):
    timer = later(death, box, 0.01)
    with suppress(SandboxError):
        for number in range(6):
            box.put_file(f"f{number}", bytes(1 << 20))
    timer.join()
    with suppress(SessionLost, CodeError):
        box("1")
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_while_a_file_is_read_is_an_error_or_harmless(box, death):
    box("open('f', 'wb').write(bytes(15 << 20))")
    timer = later(death, box, 0.02)
    with suppress(SandboxError):
        for _ in range(3):
            assert len(box.get_file("f")) == 15 << 20
    timer.join()
    with suppress(SessionLost, CodeError):
        box("1")
    assert_replaced(box)


@pytest.mark.parametrize("death", DEATHS)
def test_death_at_cleanup_leaves_nothing(backend, death):
    box = backend.open()
    box("1")
    container, timer = box.container, later(_quietly(death), box, 0)
    box.cleanup()
    timer.join()
    until = time.monotonic() + 20
    while time.monotonic() < until and container in {each["Id"] for each in backend._api.containers(all=True)}:
        time.sleep(0.05)
    assert container not in {each["Id"] for each in backend._api.containers(all=True)}


@pytest.mark.parametrize("death", DEATHS)
def test_death_of_a_box_that_was_kept_ready_is_not_met_by_a_session(sandbox_image, death):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=1))
    try:
        until = time.monotonic() + 20
        while not backend._pool._ready and time.monotonic() < until:
            time.sleep(0.02)

        class Waiting:
            _boxes, _box, container = backend, backend._pool._ready[0], backend._pool._ready[0].id

        death(Waiting)
        wait_for_news(Waiting._box)
        with backend.open() as box:
            assert box("1").output == 1
    finally:
        backend.close()


def test_the_death_of_a_worker_is_told_at_once_though_its_children_live_on(box):
    # Not by the end of the step's time, which would be told as that.
    with pytest.raises(SessionLost, match="the process that ran the code ended"):
        box("import os, time\nif os.fork() == 0: time.sleep(60)\nos._exit(3)")
    assert_replaced(box)


def test_what_a_worker_said_before_it_died_counts(box):
    box("import os, signal, threading, time\nif os.fork() == 0: time.sleep(60)")
    for number in range(20):
        dying = f"threading.Timer({number / 2000}, os.kill, (os.getpid(), 9)).start()"
        try:
            assert box(f"import os, threading\n{dying}\n{number}").output == number
        except SessionLost:
            continue
        with pytest.raises(SessionLost):  # said first, then it died
            box("import time\ntime.sleep(10)")
    assert_replaced(box)


def test_an_exit_is_not_taken_for_the_memory_that_a_child_ran_out_of_before(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=20, memory=64 << 20))
    with closing(backend), backend.open() as box:
        taken = "held = mmap.mmap(-1, 96 << 20)\n    for at in range(0, 96 << 20, 4096): held[at] = 1"
        status = box(f"import mmap, os\npid = os.fork()\nif pid == 0:\n    {taken}\nos.waitpid(pid, 0)[1]").output
        assert status == 9
        with pytest.raises(SessionLost, match="the process that ran the code ended"):
            box("os._exit(3)")


def _quietly(death):
    def quiet(box):
        with suppress(DockerException, AttributeError, OSError, AssertionError):  # it may be gone already, or half
            death(box)

    return quiet
