"""Sandboxes with a Node, all from one backend; a session of its own where a test leaves something behind."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import DockerBackend, JavaScriptSandbox, SandboxSettings
from tests.sandbox.backends import OF_THE_HOST, RenewedContainers


@pytest.fixture(scope="session")
def backend(sandbox_image: str) -> Iterator[DockerBackend]:
    backend = DockerBackend(SandboxSettings(image=sandbox_image, warm=0, step_timeout=20))
    yield backend
    backend.close()


@pytest.fixture(scope="module")
def js(backend) -> Iterator[JavaScriptSandbox]:
    """One session for a module: a test may only leave names behind that no other one reads."""
    with JavaScriptSandbox(backend=backend) as box:
        yield box


@pytest.fixture(scope="module")
def renewing(sandbox_image) -> Iterator[Callable[..., DockerBackend]]:
    """The backend with these limits, whose containers are used by one session after another."""
    made: dict[str, DockerBackend] = {}

    def backend_with(**limits: Any) -> DockerBackend:
        key = repr(sorted(limits.items()))
        if key not in made:
            made[key] = RenewedContainers(SandboxSettings(image=sandbox_image, warm=0, **limits))
        return made[key]

    yield backend_with
    for backend in made.values():
        backend.close()


@pytest.fixture
def limited_js(renewing) -> Iterator[Callable[..., JavaScriptSandbox]]:
    """Open a session with limits of its own."""
    opened = []

    def open_one(**limits: Any) -> JavaScriptSandbox:
        of_host = {name: limits.pop(name) for name in OF_THE_HOST & {*limits}}
        backend = renewing(**limits)
        opened.append(JavaScriptSandbox(limits=backend.settings.changed(**of_host), backend=backend))
        return opened[-1]

    yield open_one
    for box in opened:
        box.cleanup()


@pytest.fixture
def own_js(limited_js) -> JavaScriptSandbox:
    return limited_js(step_timeout=20)
