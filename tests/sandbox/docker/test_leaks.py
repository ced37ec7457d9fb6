"""Sessions come and go, one after another and side by side, and leave nothing: neither here nor at the engine."""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import docker
import pytest

from sandbox import BackendLost, CodeError, DockerBackend, SandboxSettings
from sandbox.docker.detect import connect
from sandbox.docker.reaper import LABEL
from tests.sandbox.docker.owners import gone
from tests.sandbox.leaks import IDLE, assert_settled, usage

pytestmark = pytest.mark.docker

GROWTH = 8 << 20  # bytes that a hundred sessions may leave in the heap; one session's frames and threads are more


@pytest.fixture
def api(docker_engine: str) -> Iterator[docker.APIClient]:
    with closing(connect(SandboxSettings(engine=docker_engine))) as api:
        api.ping()  # opens the connection that it keeps
        yield api


def ours(api: docker.APIClient) -> list[str]:
    found = api.containers(all=True, filters={"label": f"{LABEL}.pid={os.getpid()}"})
    return [each["Id"] for each in found]


def resident() -> int:
    """Bytes of this process's memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def session(backend: DockerBackend, number: int) -> None:
    """One of four ways that a session goes: with an error, a tool, a file, and without an end."""
    box = backend.open(files={"in.txt": b"x" * 1000})
    box.send_tools({"echo": lambda value: value})
    assert box(f"echo({number}) + len(open('in.txt').read())").output == number + 1000
    if number % 4 == 0:
        with pytest.raises(CodeError):
            box("1 / 0")
    elif number % 4 == 1:
        with pytest.raises(CodeError):
            box("import os\nos._exit(1)")
    if number % 4 != 3:
        box.cleanup()  # else the last reference to it is the one that goes now


def test_a_hundred_sessions_in_sequence_leave_nothing(api, sandbox_image):
    before = usage()
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=1))
    for number in range(12):
        session(backend, number)
    backend._pool._makers.finish(20)
    backend._pool._enders.finish(20)
    (children, threads, descriptors), memory = usage(), resident()
    for number in range(100):
        session(backend, number)
    assert resident() - memory < GROWTH
    backend._pool._makers.finish(20)
    backend._pool._enders.finish(20)
    assert_settled((children, threads, descriptors), spare=IDLE)
    assert gone(lambda: ours(api)[1:], 10)  # but for the one that is ready
    backend.close()
    assert gone(lambda: ours(api), 10)
    assert_settled(before)


def test_eight_threads_have_sessions_of_their_own_and_never_more_than_agreed(api, sandbox_image):
    before = usage()
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=2, max_sessions=3, open_timeout=60))
    seen: set[str | None] = set()
    counts: list[int] = []
    lock = threading.Lock()

    def work(worker: int) -> None:
        for turn in range(3):
            with backend.open() as box:
                box(f"mine = {worker * 100 + turn}")
                with lock:
                    assert box.container not in seen
                    seen.add(box.container)
                    counts.append(len(backend._used))
                assert box("mine").output == worker * 100 + turn

    with ThreadPoolExecutor(8) as threads:
        for done in [threads.submit(work, worker) for worker in range(8)]:
            done.result()
    assert len(seen) == 24
    assert max(counts) <= 3
    backend.close()
    assert gone(lambda: ours(api), 10)
    assert_settled(before)


def test_whoever_finds_no_room_is_told_the_limit_and_room_comes_back(sandbox_image):
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, max_sessions=1, open_timeout=0.2))
    with closing(backend):
        with backend.open() as one:
            one("1")
            with backend.open() as other, pytest.raises(BackendLost, match="max_sessions"):
                other("1")
        with backend.open() as next_one:
            assert next_one("1 + 1").output == 2


def test_a_backend_closed_while_others_open_sessions_leaves_nothing(api, sandbox_image):
    before = usage()
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=2))
    started = threading.Barrier(5)

    def work() -> None:
        started.wait()
        try:
            while True:
                with backend.open() as box:
                    box("1")
        except Exception:
            return
        except BackendLost:
            return

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait()
    threading.Event().wait(0.7)
    backend.close()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert_settled(before)
    assert gone(lambda: ours(api), 10)
