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
    "test_many_sessions_in_a_row_leave_nothing_behind",
    "test_a_session_that_was_stopped_leaves_nothing_behind",
    "test_a_hostile_value_of_the_code_harms_neither_output_nor_tool_nor_answer",
    # Many cases that the host decides alone.
    "test_a_stop_signal_of_a_tool_leaves_as_the_same_object_and_closes_the_session",
    "test_a_hostile_result_of_a_tool_is_a_clean_error_and_the_next_step_works",
    "test_a_file_name_that_is_not_plain_is_refused",
}
OF_THE_KERNEL = {"test_contract_attacks", "test_contract_isolation", "test_contract_limits"}
"""Modules of the contract that gVisor could break; the others are about our own code, which is the same there."""
ONLY_EXHAUSTIVE = {
    # Of the modules above: what our own code holds, and not the kernel.
    "gvisor": {
        "test_printed_output_is_cut_and_the_rest_is_counted",
        "test_output_is_cut_between_characters",
        "test_time_in_a_tool_is_not_charged_to_the_step",
        "test_a_stop_that_came_before_runs_no_code",
        "test_a_stop_during_a_tool_ends_the_step_when_the_tool_returns",
        "test_a_stop_during_the_last_tool_of_a_step_is_not_missed",
        "test_no_more_sandboxes_run_than_the_backend_may_have",
        "test_a_session_opens_another_inside_a_tool_as_a_manager_does_for_its_layers",
        "test_sessions_run_side_by_side_in_threads",
        "test_a_closed_backend_leaves_nothing_behind",
    },
    "monty": {
        # test_monty_time has the same by a clock that it moves.
        "test_time_in_a_tool_is_not_charged_to_the_step",
        "test_sleep_is_charged_to_the_step",
        # Its process has no memory that something could fit in twice.
        "test_a_hostile_value_of_the_code_harms_neither_output_nor_tool_nor_answer[monty-more items than fit twice]",
    },
    # Seconds of one processor; fewer of them are shared by default.
    "docker": {"test_a_hostile_value_of_the_code_harms_neither_output_nor_tool_nor_answer[docker-shared many times]"},
}


@pytest.hookimpl(tryfirst=True)  # before what is marked exhaustive is left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what gVisor is not asked for, and to the exhaustive run what hardly depends on it."""
    items[:] = [item for item in items if not (_under_gvisor(item) and _function(item) in NOT_UNDER_GVISOR)]
    for item in items:
        if _is_only_exhaustive(item):
            item.add_marker(pytest.mark.exhaustive)


def _is_only_exhaustive(item: pytest.Item) -> bool:
    if _under_gvisor(item) and item.path.stem not in OF_THE_KERNEL:
        return True
    return not ONLY_EXHAUSTIVE.get(_backend(item), set()).isdisjoint((_function(item), item.name))


def _backend(item: pytest.Item) -> str:
    """Id of the backend that goes through the contract here; empty where none does."""
    callspec = getattr(item, "callspec", None)
    given = callspec.params.get("maker") if callspec else None
    return next((backend.id or "" for backend in BACKENDS if given in backend.values), "")


def _under_gvisor(item: pytest.Item) -> bool:
    return _backend(item) == "gvisor"


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
