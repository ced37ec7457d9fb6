"""A whole run whose Docker engine goes away while it thinks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cognition import Mind, SandboxUnavailable
from tests.sandbox.docker.own_engine import IMAGE, OwnEngine, own_engine
from tests.support.scripted_model import ScriptedModel, code

pytestmark = pytest.mark.docker


@pytest.fixture
def engine(docker_engine: str, sandbox_image: str) -> Iterator[OwnEngine]:
    with own_engine(docker_engine, sandbox_image) as engine:
        yield engine


def test_it_ends_the_run_with_what_to_do_and_no_model_hears_of_it(engine, tmp_path):
    asked = []

    def play(request):
        asked.append(str(request))
        if len(asked) == 2:
            engine.stop()
        return code("print('going on')")

    settings = {
        "memory": f"sqlite:///{tmp_path / 'm.db'}",
        "trace": {"path": tmp_path / "t.db"},
        "sandbox": {"backend": "docker", "engine": engine.address, "image": IMAGE},
    }
    with (
        Mind(tiers={"s": ScriptedModel(play)}, tier="s", **settings) as mind,
        pytest.raises(SandboxUnavailable, match="Docker engine") as lost,
    ):
        mind.think("go on")
    assert "start it" in str(lost.value)
    assert not any("docker.sock" in request for request in asked)
