"""No container outlives the process that opened it, whatever ends that; and what a crash left is found by the next."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress

import docker
import pytest

from sandbox import DockerBackend, SandboxSettings
from sandbox.docker.detect import connect
from sandbox.docker.reaper import LABEL, owner_labels, reap
from tests.sandbox.docker.owners import gone

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


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
