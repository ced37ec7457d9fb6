"""The way past the engine: taken where box and host share a kernel, given up where not, closed to everybody else."""

from __future__ import annotations

import os
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import docker
import pytest

from sandbox import CodeError, DockerBackend, SandboxSettings
from sandbox.docker import box as boxes
from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.detect import connect
from sandbox.docker.direct import DirectChannel, Way, offer, tidy
from sandbox.docker.guest.wire import DONE, frame
from tests.sandbox.docker.engines import forwarded

pytestmark = pytest.mark.docker

_CONNECT = "import socket\nsocket.socket(socket.AF_UNIX).connect('/run/host/wire')\n'reached'"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    """Where temporary files are made; the engine reads it by name, and names of sockets must be short."""
    with tempfile.TemporaryDirectory(prefix="d-") as place:
        monkeypatch.setattr(tempfile, "tempdir", place)
        yield Path(place)


@pytest.fixture(scope="module")
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        yield api


@pytest.fixture
def open_backend(sandbox_image) -> Iterator[Callable[..., DockerBackend]]:
    opened: list[DockerBackend] = []

    def make(**settings: Any) -> DockerBackend:
        opened.append(DockerBackend(SandboxSettings(image=sandbox_image, warm=0, **settings)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


def mounts(api: docker.APIClient, container: str | None) -> list[dict[str, Any]]:
    return api.inspect_container(container)["HostConfig"].get("Mounts") or []


def works(backend: DockerBackend) -> bool:
    """Run a step with a call in a new box; return whether its frames go past the engine."""
    with backend.open() as box:
        box.send_tools({"double": lambda number: 2 * number})
        assert box("double(21)").output == 42
        held = box._box
        assert held is not None
        return held.direct


def spoilt(monkeypatch, spoil: Callable[[Way], None]) -> list[Way]:
    """Have something happen to each way that is offered; return the list of them."""
    offered: list[Way] = []

    def offer() -> Way:
        way = Way()
        spoil(way)
        offered.append(way)
        return way

    monkeypatch.setattr(boxes, "offer", offer)
    return offered


@pytest.mark.parametrize("runtime", ["runc", "auto"])
def test_a_box_of_this_machine_takes_the_direct_way(open_backend, runtime):
    assert works(open_backend(runtime=runtime))


def test_large_values_go_through_it_both_ways(open_backend):
    with open_backend().open() as box:
        box.send_tools({"echo": lambda text: text})
        assert box("len(echo('ä' * 1_000_000))").output == 1_000_000
        assert box("print('x' * 200_000)\n'y' * 1_000_000").output == "y" * 1_000_000


def test_nothing_of_it_is_left_here_once_a_box_runs(open_backend, folder):
    with open_backend().open() as box:
        box("1")
        assert list(folder.iterdir()) == []


def test_code_finds_an_empty_folder_that_it_can_not_write_to(open_backend):
    with open_backend().open() as box:
        assert box("import os\nos.listdir('/run/host')").output == []
        for attempt in ("open('/run/host/new', 'w')", "os.mkdir('/run/host/new')", _CONNECT):
            with pytest.raises(CodeError, match=r"Read-only|Permission|No such file"):
                box(attempt)


def test_the_folder_is_read_only_also_while_it_is_there(open_backend, monkeypatch, api):
    ended = Way.close
    monkeypatch.setattr(Way, "close", lambda way: None)
    offered = spoilt(monkeypatch, lambda way: None)
    with open_backend().open() as box:
        for attempt in ("open('/run/host/new', 'w')", "import os\nos.remove('/run/host/wire')"):
            with pytest.raises(CodeError, match=r"Read-only|Permission"):
                box(attempt)
        assert [mount["ReadOnly"] for mount in mounts(api, box.container)] == [True]
        assert box(_CONNECT).output == "reached", "which is why it is ended before code runs"
    for way in offered:
        ended(way)


def connected() -> tuple[DirectChannel, socket.socket, socket.socket]:
    """A channel whose box has taken the way; the engine's end of its stream, and the box's of the way."""
    ours, engine = socket.socketpair()
    way = Way()
    channel = DirectChannel(ours, 1000, way)
    box = socket.socket(socket.AF_UNIX)
    box.connect(str(way.folder / way.NAME))
    assert channel.receive() is None
    assert channel.settle()
    return channel, engine, box


def test_the_last_frame_of_a_box_counts_although_its_engine_has_told_of_the_end():
    channel, engine, box = connected()
    box.sendall(frame(DONE, b"{}") * 2)
    box.close()
    engine.close()
    assert channel.receive() == (DONE, b"{}")
    assert channel.receive() == (DONE, b"{}")
    with pytest.raises(ChannelClosedError, match="ended"):
        for _ in range(100):
            channel.receive()
    channel.close()


def test_closing_wakes_a_sender_that_nobody_reads_from():
    channel, engine, box = connected()
    failed: list[BaseException] = []

    def send() -> None:
        try:
            channel.send(DONE, b"x" * 10_000_000)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=send)
    thread.start()
    time.sleep(0.2)
    channel.close()
    thread.join(10)
    assert [type(error) for error in failed] == [ChannelClosedError]
    engine.close()
    box.close()


def test_a_forked_child_holds_no_way():
    way = offer()
    assert way is not None
    pid = os.fork()
    if pid == 0:
        os._exit(0 if way.listener.fileno() == -1 and way.folder.exists() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert way.listener.fileno() >= 0
    way.close()


def test_the_folder_is_closed_to_other_users_of_this_machine():
    way = Way()
    assert stat.S_IMODE(os.stat(way.folder.parent).st_mode) == 0o700
    way.close()
    assert not way.folder.parent.exists()


def test_a_box_that_can_not_reach_the_socket_speaks_through_the_engine_and_no_other_is_offered_one(
    open_backend, monkeypatch, api
):
    offered = spoilt(monkeypatch, lambda way: (way.folder / way.NAME).chmod(0))
    backend = open_backend()
    assert not works(backend)
    assert len(offered) == 1
    with backend.open() as box:
        assert box("1").output == 1
        assert mounts(api, box.container) == []
    assert len(offered) == 1


def test_an_engine_that_refuses_the_folder_starts_boxes_without_it(open_backend, monkeypatch):
    offered = spoilt(monkeypatch, lambda way: way.close())
    backend = open_backend()
    assert not works(backend)
    assert not works(backend)
    assert len(offered) == 1


def test_without_room_for_temporary_files_boxes_speak_through_the_engine(open_backend, monkeypatch, folder):
    backend = open_backend()
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "gone"))
    assert not works(backend)


def test_the_settings_can_forbid_it(open_backend, api):
    backend = open_backend(direct=False)
    with backend.open() as box:
        assert box("1 + 1").output == 2
        assert mounts(api, box.container) == []


def test_an_engine_over_a_network_is_not_offered_it(open_backend, docker_engine, api):
    with forwarded(Path(docker_engine.removeprefix("unix://"))) as port:
        backend = open_backend(engine=f"tcp://127.0.0.1:{port}")
        with backend.open() as box:
            assert box("1 + 1").output == 2
            assert mounts(api, box.container) == []
        backend.close()


def test_only_what_killed_owners_left_is_tidied_away():
    old, young = Way(), Way()
    long_ago = time.time() - 7200
    os.utime(old.folder.parent, (long_ago, long_ago))
    tidy()
    assert not old.folder.parent.exists()
    assert young.folder.exists()
    for way in (old, young):
        way.close()
