"""Every backend goes through the same contract: a new one is added to `BACKENDS` and nothing else is changed."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import Backend, Sandbox, SandboxSettings
from sandbox.monty import MontyBackend

BACKENDS: dict[str, Callable[[SandboxSettings], Backend]] = {"monty": MontyBackend}


@pytest.fixture(params=sorted(BACKENDS))
def make_backend(request) -> Iterator[Callable[..., Backend]]:
    made = []

    def make(**limits: Any) -> Backend:
        made.append(BACKENDS[request.param](SandboxSettings(**limits)))
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
