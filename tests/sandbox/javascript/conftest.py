"""Sandboxes with a Node, all from one backend; a box of its own where a test leaves something behind."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from sandbox import DockerBackend, JavaScriptSandbox, SandboxSettings


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


@pytest.fixture
def own_js(backend) -> Iterator[JavaScriptSandbox]:
    with JavaScriptSandbox(backend=backend) as box:
        yield box


@pytest.fixture
def limited_js(sandbox_image) -> Iterator[Callable[..., JavaScriptSandbox]]:
    """Open a session with limits of its own."""
    opened = []

    def open_one(**limits: Any) -> JavaScriptSandbox:
        opened.append(JavaScriptSandbox(limits=SandboxSettings(image=sandbox_image, warm=0, **limits)))
        return opened[-1]

    yield open_one
    for box in opened:
        box.cleanup()
