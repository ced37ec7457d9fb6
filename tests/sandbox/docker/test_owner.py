"""No container outlives the process that opened it, whatever ends that; and what a crash left is found by the next."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import docker
import pytest

from sandbox import DockerBackend, SandboxSettings
from sandbox.docker.detect import connect
from sandbox.docker.reaper import LABEL, owner_labels, reap

pytestmark = pytest.mark.docker

PROMISED = 1.0  # seconds from the end of a process to that of its containers
OPEN = """\
import os, signal, sys, threading, time
from sandbox import DockerBackend, SandboxSettings
backend = DockerBackend(SandboxSettings(image=sys.argv[1], warm={warm}, step_timeout={step}))
box = backend.open()
def now(): print("now", flush=True)
def soon(act=now): threading.Timer(0.3, act).start()
def all_ready():
    while len(backend._pool._ready) < {warm}: time.sleep(0.02)
"""
# Number of boxes that are kept ready, and what else the owner does; the container is there when it says "now".
MOMENTS = {
    "with boxes that wait": (2, "all_ready()\nnow()\ntime.sleep(60)"),
    "between two steps": (0, "box('x = 1')\nnow()\ntime.sleep(60)"),
    "in a step": (0, "box('1')\nsoon()\nbox('while True: pass')"),
    "in a step that forks": (
        0,
        "box('1')\nsoon()\nbox('import os, signal\\nsignal.pthread_sigmask(0, range(1, 64))\\n"
        'for _ in range(5): os.fork() or exec("while True: pass")\\nwhile True: pass\')',
    ),
    "in a call of the host": (
        0,
        "def wait():\n    now()\n    time.sleep(60)\nbox.send_tools({'wait': wait})\nbox('wait()')",
    ),
    "with a flood of output": (0, "box('1')\nsoon()\nbox('while True: print(\"x\" * 1000)')"),
    "and a forked child that lives on": (
        1,
        "box('x = 1')\nall_ready()\nif os.fork() == 0:\n    time.sleep(20)\n    os._exit(0)\nnow()\ntime.sleep(60)",
    ),
}


def opened(warm: int, rest: str, *, step: float = 30) -> str:
    """The code of an owner."""
    return OPEN.format(warm=warm, step=step) + rest


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


def of_owner(api: docker.APIClient, pid: int, **filters: object) -> list[str]:
    return [each["Id"] for each in api.containers(all=True, filters={"label": f"{LABEL}.pid={pid}", **filters})]


def gone(find: Callable[[], list[str]], seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if not find():
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("moment", MOMENTS)
def test_containers_of_a_killed_owner_are_gone_in_a_second(api, sandbox_image, moment):
    warm, rest = MOMENTS[moment]
    owner = subprocess.Popen(
        [sys.executable, "-c", opened(warm, rest), sandbox_image],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        assert owner.stdout.readline() == "now\n"
        assert of_owner(api, owner.pid)
        owner.kill()
        assert gone(lambda: of_owner(api, owner.pid), 3 * PROMISED)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(owner.pid, 9)
        owner.wait()
        owner.stdout.close()


def test_a_step_that_nobody_looks_after_ends_its_box_though_the_stream_stays_open(api, sandbox_image):
    stopping = "box('1')\nsoon(lambda: os.kill(os.getpid(), signal.SIGSTOP))\nbox('while True: pass')"
    code = opened(0, stopping, step=3)
    owner = subprocess.Popen([sys.executable, "-c", code, sandbox_image], start_new_session=True)  # nobody wakes it
    try:
        _, status = os.waitpid(owner.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        assert of_owner(api, owner.pid, status="running")
        assert gone(lambda: of_owner(api, owner.pid, status="running"), 3 * (3 + 10))  # 10 s after the step's time
    finally:
        owner.kill()
        owner.wait()


@pytest.mark.parametrize("delay", [0.02, 0.06, 0.1, 0.16])
def test_an_owner_killed_while_containers_are_made_leaves_none_that_runs_and_the_next_process_removes_the_rest(
    api, sandbox_image, delay
):
    code = opened(4, "now()\ntime.sleep(60)")
    owner = subprocess.Popen([sys.executable, "-c", code, sandbox_image], stdout=subprocess.PIPE, text=True)
    assert owner.stdout.readline() == "now\n"
    time.sleep(delay)
    owner.kill()
    owner.wait()
    owner.stdout.close()
    assert gone(lambda: of_owner(api, owner.pid, status="running"), 3 * PROMISED)
    # An engine that is busy makes what it was asked for when the owner is long dead: hence again and again.
    assert gone(lambda: reap(api, owner_labels()) or of_owner(api, owner.pid), 20)


class TestWhatIsLeftBehind:
    @pytest.fixture
    def left(self, api: docker.APIClient, sandbox_image: str) -> Iterator[Callable[..., str]]:
        """Leave a container behind with these labels, on top of this process's own; its id."""
        made = []

        def leave(**labels: str) -> str:
            own = owner_labels() | {f"{LABEL}.{name}": value for name, value in labels.items()}
            made.append(api.create_container(sandbox_image, ["true"], labels=own)["Id"])
            return made[-1]

        yield leave
        for container in made:
            with suppress(docker.errors.APIError):
                api.remove_container(container, force=True)

    def there(self, api: docker.APIClient, container: str) -> bool:
        return container in [each["Id"] for each in api.containers(all=True)]

    @pytest.mark.parametrize(
        "labels",
        [
            {"pid": "999999999"},  # nobody has this number
            {"born": "1"},  # somebody else has had it
            {"pid": "x"},
            {"host": "elsewhere", "expires": "1"},
        ],
    )
    def test_that_of_a_dead_owner_is_removed(self, api, left, labels):
        container = left(**labels)
        reap(api, owner_labels())
        assert not self.there(api, container)

    @pytest.mark.parametrize("labels", [{}, {"host": "elsewhere", "pid": "1"}, {"host": "elsewhere", "expires": "?"}])
    def test_that_of_a_living_one_or_of_who_knows_whom_is_left_alone(self, api, left, labels):
        container = left(**labels)
        reap(api, owner_labels())
        assert self.there(api, container)

    def test_processes_of_another_table_count_as_those_of_another_machine(self, api, left):
        host = owner_labels()[f"{LABEL}.host"]
        container = left(host=f"{host.partition('/')[0]}/pid:[1]", pid="999999999")
        reap(api, owner_labels())
        assert self.there(api, container)

    def test_a_new_backend_removes_it_in_the_background(self, api, left, sandbox_image):
        container = left(pid="999999999")
        backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0))
        try:
            assert gone(lambda: [container] * self.there(api, container), 10)
        finally:
            backend.close()

    def test_containers_of_others_are_none_of_our_business(self, api, sandbox_image):
        theirs = api.create_container(sandbox_image, ["true"], labels={"dionysus": "1"})["Id"]
        try:
            reap(api, owner_labels())
            assert self.there(api, theirs)
        finally:
            api.remove_container(theirs, force=True)


FORKED = """\
import os, sys, time
from sandbox import DockerBackend, SandboxSettings, BackendLost, SandboxUnavailable
backend = DockerBackend(SandboxSettings(image=sys.argv[1], warm=1))
box = backend.open()
box("x = 1")
child = os.fork()
if child == 0:
    try:
        for use in (lambda: box("x"), backend.open):
            try:
                use()
            except (BackendLost, SandboxUnavailable) as refused:
                assert "forked" in str(refused), refused
            else:
                os._exit(3)
        box.cleanup()
        backend.close()
        own = DockerBackend(SandboxSettings(image=sys.argv[1], warm=0))
        with own.open() as mine:
            assert mine("1 + 1").output == 2
        own.close()
        os._exit(0)
    except BaseException as error:
        print(repr(error))
        os._exit(4)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), box("x + 1").output)
backend.close()
"""


def test_a_forked_child_can_do_its_parent_s_sessions_no_harm_and_open_its_own(sandbox_image):
    done = subprocess.run(
        [sys.executable, "-c", FORKED, sandbox_image], capture_output=True, text=True, timeout=250, check=False
    )
    assert done.stdout.split() == ["0", "2"], done.stdout + done.stderr
