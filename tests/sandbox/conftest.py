"""Every backend goes through the same contract: a new one is added to `BACKENDS` and nothing else is changed."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import Backend, Sandbox, SandboxSettings
from sandbox.docker.backend import DockerBackend
from sandbox.monty import MontyBackend


def docker_backend(**limits: Any) -> Backend:
    image = os.environ.get("TEST_SANDBOX_IMAGE", "dionysus-sandbox:latest")
    return DockerBackend(SandboxSettings(**{"warm": 0, "image": image, **limits}))


def gvisor_backend(**limits: Any) -> Backend:
    place = {"engine": "TEST_GVISOR", "runtime": "TEST_GVISOR_RUNTIME", "image": "TEST_GVISOR_IMAGE"}
    under = {name: os.environ[variable] for name, variable in place.items()}
    return DockerBackend(SandboxSettings(**{"warm": 0, **under, **limits}))


def monty_backend(**limits: Any) -> Backend:
    return MontyBackend(SandboxSettings(**limits))


BACKENDS = [
    pytest.param(docker_backend, id="docker", marks=pytest.mark.docker),
    pytest.param(gvisor_backend, id="gvisor", marks=pytest.mark.gvisor),
    pytest.param(monty_backend, id="monty"),
]
NOT_UNDER_GVISOR = {
    "test_files_are_limited_in_number",  # it counts none; the threat model's page says so
    # Tens of containers, or of thousands of calls, each five to ten times as slow there; nothing in them is gVisor's.
    "test_thirty_sessions_in_a_row_leave_nothing_behind",
    "test_a_session_that_was_stopped_leaves_nothing_behind",
    "test_a_hostile_value_of_the_code_harms_neither_output_nor_tool_nor_answer",
    # A container for each of many cases that the host decides alone.
    "test_a_stop_signal_of_a_tool_leaves_as_the_same_object_and_closes_the_session",
    "test_a_hostile_result_of_a_tool_is_a_clean_error_and_the_next_step_works",
    "test_a_file_name_that_is_not_plain_is_refused",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what gVisor is not asked for."""
    items[:] = [
        item
        for item in items
        if not (item.get_closest_marker("gvisor") and getattr(item, "originalname", "") in NOT_UNDER_GVISOR)
    ]


@pytest.fixture(params=BACKENDS)
def make_backend(request) -> Iterator[Callable[..., Backend]]:
    made = []

    def make(**limits: Any) -> Backend:
        made.append(request.param(**limits))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture
def open_box(make_backend) -> Callable[..., Sandbox]:
    """Open a sandbox of the backend under test; what is not an argument of `open` is a limit."""

    def open_one(tools: dict[str, Callable[..., Any]] | None = None, **options: Any) -> Sandbox:
        own = {key: options.pop(key) for key in ("tracer", "stop", "deadline", "files") if key in options}
        box = make_backend(**options).open(**own)
        box.send_tools({"final_answer": lambda answer: answer, **(tools or {})})
        return box

    return open_one


@pytest.fixture
def box(open_box) -> Sandbox:
    return open_box()
