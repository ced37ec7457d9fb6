"""No Node, or no engine: what is said, and what runs instead."""

from collections.abc import Iterator

import pytest

from sandbox import JavaScriptAgent, JavaScriptTool, SandboxSettings, SandboxUnavailable
from sandbox.docker.detect import connect
from sandbox.docker.image import LABEL

NO_ENGINE = SandboxSettings(engine="unix:///nowhere/docker.sock", warm=0)


@pytest.fixture(scope="module")
def without_node(sandbox_image) -> Iterator[SandboxSettings]:
    """The image with its Node taken out."""
    yield from _changed(sandbox_image, "dionysus-test-no-node:latest", "rm -f /usr/bin/node")


@pytest.fixture(scope="module")
def broken_node(sandbox_image) -> Iterator[SandboxSettings]:
    """The image with a Node that doesn't start."""
    yield from _changed(sandbox_image, "dionysus-test-broken-node:latest", "cp /bin/false /usr/bin/node")


def _changed(image: str, name: str, command: str) -> Iterator[SandboxSettings]:
    api = connect(SandboxSettings(image=image))
    container = api.create_container(image, ["sh", "-c", command], user="0", network_disabled=True)["Id"]
    try:
        api.start(container)
        assert api.wait(container)["StatusCode"] == 0
        api.commit(container, *name.split(":"), changes=f"LABEL {LABEL}test=1")
    finally:
        api.remove_container(container, force=True)
    yield SandboxSettings(image=name, warm=0)
    api.remove_image(name, force=True)
    api.close()


@pytest.mark.docker
def test_an_image_without_node_is_said_with_what_to_type(without_node):
    with JavaScriptAgent(without_node) as js:
        assert js.runtime_available is False
        assert "dionysus sandbox build" in js.why_unavailable
        answer = js.execute_code("1 + 1")
    assert answer["success"] is False
    assert "has no Node" in answer["error"]
    assert "dionysus sandbox build" in answer["error"]


@pytest.mark.docker
def test_a_node_that_does_not_start_is_said(broken_node):
    with JavaScriptAgent(broken_node) as js:
        assert "does not start" in js.execute_code("1 + 1")["error"]


@pytest.mark.docker
def test_python_code_given_as_the_fallback_runs_in_the_python_sandbox(without_node):
    with JavaScriptAgent(without_node, fallback="print('py'); sum(context['n'])") as js:
        answer = js.execute_code("context.n.reduce((a, b) => a + b)", {"n": [1, 2]})
    assert answer["success"] is True
    assert answer["result"] == 3
    assert "The Python fallback ran" in answer["logs"]
    assert answer["logs"].endswith("py\n")


@pytest.mark.docker
def test_an_agent_s_tool_falls_back_too_or_says_write_python(without_node):
    with JavaScriptTool(settings=without_node) as tool, pytest.raises(SandboxUnavailable, match="write Python instead"):
        tool(code="1")
    with JavaScriptTool(settings=without_node, fallback=lambda context: context["n"] + 1) as tool:
        assert tool(code="context.n + 1", context={"n": 1})["result"] == 2


def test_no_engine_is_said():
    with JavaScriptAgent(NO_ENGINE) as js:
        assert js.runtime_available is False
        answer = js.execute_code("1")
    assert answer["success"] is False
    assert "/nowhere/docker.sock" in answer["error"]


def test_without_an_engine_a_fallback_runs_in_the_embedded_interpreter():
    with JavaScriptAgent(NO_ENGINE.model_copy(update={"backend": "monty"})) as js:
        answer = js.execute_code("context.n * 2", {"n": 4}, fallback="context['n'] * 2")
    assert (answer["success"], answer["result"]) == (True, 8)


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), float("nan")])
def test_a_time_that_is_none_is_the_caller_s_mistake(timeout):
    with JavaScriptAgent(NO_ENGINE) as js, pytest.raises(ValueError, match="timeout is in seconds"):
        js.execute_code("1", timeout=timeout)


def test_a_function_given_as_the_fallback_is_called_with_the_context():
    with JavaScriptAgent(NO_ENGINE, fallback=lambda context: context["n"] * 2) as js:
        assert js.execute_code("context.n * 2", {"n": 4})["result"] == 8


def test_a_fallback_that_fails_is_told_with_both_reasons():
    def fail(_context):
        raise ValueError("neither")

    with JavaScriptAgent(NO_ENGINE, fallback=fail) as js:
        answer = js.execute_code("1")
    assert answer["success"] is False
    assert "ValueError: neither" in answer["error"]
    assert "JavaScript can't run here" in answer["error"]


@pytest.mark.docker
def test_a_fallback_does_not_run_where_javascript_does(backend):
    with JavaScriptAgent(backend=backend, fallback=lambda _: "python") as js:
        assert js.execute_code("'javascript'")["result"] == "javascript"
        assert not js.execute_code("null.x")["success"]
