"""JavaScript as a tool of a mind: the code of its manager calls it for a part of the task."""

from __future__ import annotations

import pytest

from sandbox import JavaScriptTool, SandboxSettings
from tests.support.scripted_model import ScriptedModel, code, conversation

pytestmark = pytest.mark.docker
LAYERS = {name: {"enabled": False} for name in ("perceptual", "abstract", "metacognitive")}


@pytest.fixture
def javascript(sandbox_image):
    with JavaScriptTool(settings=SandboxSettings(image=sandbox_image, warm=0)) as tool:
        yield tool


def test_the_manager_picks_javascript_for_a_part_of_its_task(make_mind, sandbox_image, javascript):
    answer = (
        "shouted = run_javascript(code='context.words.map(w => w.toUpperCase())', context={'words': ['a', 'b']})\n"
        "final_answer({'answer': '-'.join(shouted['result'])})"
    )
    model = ScriptedModel(lambda _: code(answer))
    sandbox = {"backend": "docker", "image": sandbox_image, "warm": 0}
    with make_mind(
        tiers={"scripted": model}, tier="scripted", layers=LAYERS, sandbox=sandbox, tools=[javascript]
    ) as mind:
        thought = mind.think("shout")
        assert thought.answer == "A-B"
        spans = mind.trace(thought.run_id).to_json(0)
    assert "run_javascript" in str(spans)


def test_an_error_of_the_javascript_is_an_error_in_the_manager_s_code(make_mind, sandbox_image, javascript):
    seen = []

    def play(request):
        seen.append(conversation(request))
        if len(seen) == 1:
            return code("run_javascript(code='null.x')")
        return code("final_answer({'answer': 'mended'})")

    sandbox = {"backend": "docker", "image": sandbox_image, "warm": 0}
    with make_mind(
        tiers={"scripted": ScriptedModel(play)}, tier="scripted", layers=LAYERS, sandbox=sandbox, tools=[javascript]
    ) as mind:
        assert mind.think("go").answer == "mended"
    assert "Cannot read properties of null" in seen[1]
