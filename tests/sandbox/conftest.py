"""Every backend goes through the same contract: a new one is added to `BACKENDS` and nothing else is changed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import Backend, Sandbox
from tests.sandbox.backends import SharedBackends, docker_backend, gvisor_backend, monty_backend

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
    # Many cases that the host decides alone.
    "test_a_stop_signal_of_a_tool_leaves_as_the_same_object_and_closes_the_session",
    "test_a_hostile_result_of_a_tool_is_a_clean_error_and_the_next_step_works",
    "test_a_file_name_that_is_not_plain_is_refused",
}
OF_THE_KERNEL = {"test_contract_attacks", "test_contract_isolation", "test_contract_limits"}
"""Modules of the contract that gVisor could break; the others are about our own code, which is the same there."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what gVisor is not asked for, and to the exhaustive run what hardly depends on it."""
    items[:] = [item for item in items if not (_under_gvisor(item) and _function(item) in NOT_UNDER_GVISOR)]
    for item in items:
        if _under_gvisor(item) and item.path.stem not in OF_THE_KERNEL:
            item.add_marker(pytest.mark.exhaustive)


def _under_gvisor(item: pytest.Item) -> bool:
    return "maker" in getattr(item, "fixturenames", ()) and item.get_closest_marker("gvisor") is not None


def _function(item: pytest.Item) -> str:
    return getattr(item, "originalname", "")


@pytest.fixture(params=BACKENDS)
def maker(request) -> Callable[..., Backend]:
    """What makes the backend under test."""
    return request.param


@pytest.fixture
def make_backend(maker) -> Iterator[Callable[..., Backend]]:
    """Make a backend of this test's own."""
    made = []

    def make(**limits: Any) -> Backend:
        made.append(maker(**limits))
        return made[-1]

    yield make
    for backend in made:
        backend.close()


@pytest.fixture(scope="module")
def shared_backends() -> Iterator[SharedBackends]:
    backends = SharedBackends()
    yield backends
    backends.close()


@pytest.fixture
def open_box(maker, shared_backends) -> Iterator[Callable[..., Sandbox]]:
    """Open a sandbox of the backend under test; what is not an argument of `open` is a limit."""
    opened = []

    def open_one(tools: dict[str, Callable[..., Any]] | None = None, **options: Any) -> Sandbox:
        box = shared_backends.open(maker, **options)
        opened.append(box)
        box.send_tools({"final_answer": lambda answer: answer, **(tools or {})})
        return box

    yield open_one
    for box in opened:
        box.cleanup()


@pytest.fixture
def box(open_box) -> Sandbox:
    return open_box()
