"""An engine that restarts, hangs or is gone is the user's matter: it ends the run, and is never told to the agent."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from smolagents import CodeAgent
from smolagents.monitoring import LogLevel

from sandbox import BackendLost, DockerBackend, ExecutionStopped, SandboxSettings, SandboxUnavailable, SessionLost
from tests.sandbox.docker.own_engine import IMAGE, OwnEngine, gone, own_engine
from tests.sandbox.leaks import assert_settled, usage
from tests.sandbox.test_smolagents import Script

pytestmark = pytest.mark.docker

PROMISED_STOP = 1.0  # seconds from a stop signal to its effect


@pytest.fixture(scope="module")
def engine(docker_engine: str, sandbox_image: str) -> Iterator[OwnEngine]:
    with own_engine(docker_engine, sandbox_image) as engine:
        yield engine


@pytest.fixture
def make(engine: OwnEngine) -> Iterator[Callable[..., DockerBackend]]:
    made: list[DockerBackend] = []

    def one(**settings: object) -> DockerBackend:
        made.append(DockerBackend(SandboxSettings(**{"engine": engine.address, "image": IMAGE, "warm": 0, **settings})))
        return made[-1]

    yield one
    for backend in made:
        backend.close()


def restart(engine: OwnEngine) -> None:
    engine.stop()
    engine.start()


def assert_unavailable(lost: BackendLost, *words: str) -> None:
    assert isinstance(lost.__cause__, SandboxUnavailable)
    for word in words:
        assert word in str(lost)


def test_an_engine_of_our_own_leaves_nothing_mounted(engine):
    with engine.ask() as api:
        options = api.create_host_config(network_mode="host")
        container = api.create_container(IMAGE, ["python3", "-c", ""], host_config=options)["Id"]
        api.start(container)
        api.wait(container)
        api.remove_container(container)
    assert f"{engine.folder}/exec/netns" in Path("/proc/self/mounts").read_text(), "or there was nothing to take off"
    engine.stop()
    assert f"{engine.folder}/exec" not in Path("/proc/self/mounts").read_text()
    engine.start()


def test_a_restart_in_the_middle_of_a_step_ends_the_run_and_the_next_session_works(engine, make):
    backend = make()
    with backend.open() as box:
        box("kept = 1")
        restarting = threading.Timer(0.5, restart, [engine])
        restarting.start()
        with pytest.raises(BackendLost) as lost:
            box("while True: pass")
        restarting.join()
        assert_unavailable(lost.value, "the Docker engine at ", engine.address)
    with backend.open() as box:
        assert box("1 + 1").output == 2


def test_a_restart_while_a_tool_works_is_told_as_a_restart(engine, make):
    with make().open() as box:
        box.send_tools({"restart": lambda: restart(engine)})
        with pytest.raises(BackendLost) as lost:
            box("restart()\n1")
        assert_unavailable(lost.value, "was restarted while code ran", engine.address)


def test_a_restart_between_steps_is_told_as_a_restart(engine, make):
    with make().open() as box:
        box("kept = 1")
        restart(engine)
        with pytest.raises(BackendLost) as lost:
            box("kept")
        assert_unavailable(lost.value, "was restarted while code ran")


def test_an_agent_never_gets_to_see_it(engine, make):
    class Restarting(Script):
        def generate(self, messages, **keywords):
            if self.asked:
                restart(engine)
            return super().generate(messages, **keywords)

    model = Restarting("print(1)", "print(2)", "final_answer('done')")
    with make().open() as box:
        agent = CodeAgent(tools=[], model=model, executor=box, max_steps=6, verbosity_level=LogLevel.OFF)
        with pytest.raises(BackendLost):
            agent.run("go")
    assert len(model.asked) == 2
    assert "engine" not in model.asked[-1]


def test_a_box_that_was_ready_before_the_restart_serves_nobody(engine, make):
    backend = make(warm=1)
    until = time.monotonic() + 20
    while not backend._pool._ready and time.monotonic() < until:
        time.sleep(0.05)
    restart(engine)
    with backend.open() as box:
        assert box("1 + 1").output == 2


def test_a_container_that_somebody_removed_is_no_lost_engine(engine, make):
    with make().open() as box:
        box("kept = 1")
        with engine.ask() as api:
            api.remove_container(box.container, force=True)
        with pytest.raises(SessionLost, match="gone"):
            box("kept")
        assert box("'kept' in globals()").output is False


def test_a_step_in_an_engine_that_hangs_ends_in_bounded_time_and_is_no_timeout_of_the_code(engine, make):
    before = usage()
    backend = make(step_timeout=1, direct=False)
    with backend.open() as box:
        container = box("1") and box.container
        with engine.frozen():
            started = time.monotonic()
            with pytest.raises(BackendLost) as lost:
                box("2")
            assert time.monotonic() - started < 3 * (1 + 1 + 5 + 5)  # the step, the ladder, and the question
            assert_unavailable(lost.value, "hangs", engine.address)
            closing = time.monotonic()
            box.cleanup()
            assert time.monotonic() - closing < 3 * PROMISED_STOP
    assert gone(engine, container, 20)
    backend.close()
    assert_settled(before)


def test_a_step_past_an_engine_that_hangs_works(engine, make):
    with make().open() as box:
        box.send_tools({"double": lambda number: 2 * number})
        box("kept = 20")
        with engine.frozen():
            assert box("double(kept + 1)").output == 42


def test_a_stop_is_heard_while_an_engine_that_hangs_makes_the_container(engine, make):
    stop = threading.Event()
    backend = make()
    with engine.frozen(), backend.open(stop=stop) as box:
        timer = threading.Timer(0.3, stop.set)
        timer.start()
        started = time.monotonic()
        with pytest.raises(ExecutionStopped):
            box("1")
        assert time.monotonic() - started < 0.3 + 3 * PROMISED_STOP
        timer.join()
    assert gone(engine, None, 20)


def test_a_backend_that_closes_while_its_engine_hangs_waits_for_seconds_only(engine, make):
    backend = make(warm=1)
    with engine.frozen():
        box = backend.open()
        threading.Timer(0.2, backend.close).start()
        started = time.monotonic()
        with pytest.raises(Exception, match="closed"):
            box("1")
        assert time.monotonic() - started < 3 * 5


@pytest.fixture
def moving(engine: OwnEngine) -> Iterator[Callable[[], str]]:
    """Give the name `moving:1` to an image of its own kind; each call gives it to another."""
    with engine.ask() as api:

        def move() -> str:
            container = api.create_container(IMAGE, ["true"])["Id"]
            image = api.commit(container, "moving", "1")["Id"]
            api.remove_container(container)
            return image

        yield move
        assert gone(engine, None, 20)
        for each in api.images("moving"):
            api.remove_image(each["Id"], force=True)


def image_of(engine: OwnEngine, container: str | None) -> str:
    with engine.ask() as api:
        return api.inspect_container(container)["Image"]


def test_a_name_that_moves_to_another_image_changes_no_session(engine, moving, make):
    first = moving()
    backend = make(image="moving:1")
    assert moving() != first
    with backend.open() as box:
        box("1")
        assert image_of(engine, box.container) == first


def test_an_image_that_went_with_a_rebuild_is_replaced_by_its_successor(engine, moving, make):
    first = moving()
    backend = make(image="moving:1")
    second = moving()
    with engine.ask() as api:
        api.remove_image(first)
    with backend.open() as box:
        assert box("1 + 1").output == 2
        assert image_of(engine, box.container) == second


def test_an_image_that_went_without_a_successor_is_told_with_what_to_type(engine, moving, make):
    first = moving()
    backend = make(image="moving:1")
    with engine.ask() as api:
        api.remove_image(first)
    with backend.open() as box, pytest.raises(BackendLost) as lost:
        box("1")
    assert_unavailable(lost.value, "has no image 'moving:1'", "dionysus sandbox build --tag moving:1")


def test_an_engine_that_is_killed_ends_the_run_and_nothing_hangs(engine, make):
    backend = make(warm=1, step_timeout=1)
    box = backend.open()
    box("1")
    killing = threading.Timer(0.3, engine.kill)
    killing.start()
    started = time.monotonic()
    with pytest.raises(BackendLost) as lost:
        box("while True: pass")
    killing.join()
    assert_unavailable(lost.value, "went away", "start it")
    with pytest.raises(BackendLost) as lost, backend.open() as other:
        other("3")
    assert_unavailable(lost.value, engine.address.removeprefix("unix://"), "start it")
    backend.close()
    assert time.monotonic() - started < 3 * 5
