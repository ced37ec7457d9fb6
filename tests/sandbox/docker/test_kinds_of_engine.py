"""Sessions under the runtimes and over the addresses that an engine may have.

`runsc` is runc registered under gVisor's name: what is done with a second runtime is real, gVisor is not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from sandbox import BackendLost, DockerBackend, DockerSandbox, SandboxSettings, SandboxUnavailable
from sandbox.docker.detect import connect, facts
from sandbox.docker.launch import environment, uid
from tests.sandbox.docker.engines import forwarded
from tests.sandbox.docker.ssh_engine import over_ssh

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


@pytest.mark.parametrize(("asked", "taken"), [("auto", "runsc"), ("runsc", "runsc"), ("runc", "runc")])
def test_a_box_runs_under_the_runtime_that_was_asked_for_and_auto_prefers_gvisor(api, sandbox_image, asked, taken):
    if not facts(api).runsc:
        pytest.skip("this engine has no runtime by the name runsc; that of `make test` has one")
    with DockerSandbox(image=sandbox_image, runtime=asked) as box:
        assert box("1 + 1").output == 2
        assert api.inspect_container(box.container)["HostConfig"]["Runtime"] == taken


def test_a_runtime_that_the_engine_lacks_is_an_error_and_never_replaced(sandbox_image):
    with pytest.raises(SandboxUnavailable, match="no runtime 'kata'"):
        DockerSandbox(image=sandbox_image, runtime="kata")


class TestAnEngineOverTcp:
    def test_it_runs_steps_calls_and_files(self, docker_engine, sandbox_image):
        with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
            backend = DockerBackend(SandboxSettings(engine=f"tcp://127.0.0.1:{port}", image=sandbox_image, warm=1))
            with closing(backend), backend.open(files={"in.txt": b"x" * 200_000}) as box:
                assert backend.engine.remote
                box.send_tools({"double": lambda number: 2 * number})
                assert box("double(len(open('in.txt').read()))").output == 400_000
                assert box.get_file("in.txt") == b"x" * 200_000

    def test_it_is_the_one_that_docker_host_names(self, docker_engine, sandbox_image, monkeypatch):
        with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
            monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{port}")
            with DockerSandbox(image=sandbox_image) as box:
                assert box("1 + 1").output == 2

    def test_a_connection_that_is_cut_ends_the_run(self, docker_engine, sandbox_image):
        with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
            box = DockerSandbox(limits=SandboxSettings(engine=f"tcp://127.0.0.1:{port}", image=sandbox_image))
            box("1")
        with pytest.raises(BackendLost, match=f"the Docker engine at tcp://127.0.0.1:{port} went away"):
            box("2")
        box.cleanup()


class TestAnEngineOverSsh:
    @pytest.fixture
    def address(self, docker_engine, tmp_path, monkeypatch) -> Iterator[str]:
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
        with over_ssh(Path(docker_engine.removeprefix("unix://")), tmp_path) as address:
            yield address

    def test_it_runs_steps_calls_and_files(self, address, sandbox_image):
        backend = DockerBackend(SandboxSettings(engine=address, image=sandbox_image, warm=1))
        with closing(backend), backend.open(files={"in.txt": b"x" * 200_000}) as box:
            assert backend.engine.remote
            box.send_tools({"double": lambda number: 2 * number})
            assert box("double(len(open('in.txt').read()))").output == 400_000
            assert box("'y' * 1_000_000").output == "y" * 1_000_000
            assert box.get_file("in.txt") == b"x" * 200_000

    def test_a_connection_that_is_cut_ends_the_run(self, address, sandbox_image):
        box = DockerSandbox(limits=SandboxSettings(engine=address, image=sandbox_image))
        box("1")
        adapter = box._boxes._api.get_adapter(box._boxes._api.base_url)
        adapter.ssh_client.get_transport().close()
        with pytest.raises(BackendLost, match=r"the Docker engine at ssh://.* went away"):
            box("2")
        box.cleanup()

    def test_a_forked_child_leaves_it_alone(self, address, sandbox_image):
        with DockerSandbox(limits=SandboxSettings(engine=address, image=sandbox_image)) as box:
            box("kept = 20")
            pid = os.fork()
            if pid == 0:
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            assert box("kept + 1").output == 21

    def test_its_containers_end_with_their_sessions(self, address, sandbox_image, api):
        with DockerSandbox(limits=SandboxSettings(engine=address, image=sandbox_image)) as box:
            assert box("1").output == 1
            container = box.container
        until = time.monotonic() + 3 * 1.0
        while api.containers(filters={"id": container}) and time.monotonic() < until:
            time.sleep(0.05)
        assert api.containers(filters={"id": container}) == []


def test_where_an_engine_maps_ids_boxes_get_ids_that_exist_there():
    assert all(10_000 <= uid(rootless=True) < 60_000 for _ in range(100))
    assert all(uid(rootless=False) >= 200_000 for _ in range(100))
    assert len({uid(rootless=False) for _ in range(100)}) == 100


def test_only_a_box_with_a_network_is_told_of_a_proxy():
    assert "HTTPS_PROXY" not in environment(SandboxSettings())
    assert environment(SandboxSettings(network=("example.org:443",)))["HTTPS_PROXY"] == "http://127.0.0.1:3128"
