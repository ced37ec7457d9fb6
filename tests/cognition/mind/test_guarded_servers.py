"""A guard before the tools of a real MCP server: what is denied never reaches the server, and the layer reads why."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from layers.guards import Decision, Verdict
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.support.scripted_model import ScriptedModel, calls, code, conversation, layer_of, report

SERVER = Path(__file__).parents[2] / "dionysus_mcp" / "small_server.py"
WHY = "nothing is written there"


def never(call):
    return Decision(Verdict.DENY, WHY) if call.tool == "small_die_once" else None


def guarded_by(way):
    """Keywords for a mind that denies `small.die_once`, and nothing else: by a rule, its arguments, or a hook."""
    rule = {"tool": "small.die_once", "verdict": "deny", "reason": WHY}
    return {
        "rule": {"guards": {"rules": [rule]}},
        "pattern": {"guards": {"rules": [rule | {"tool": "small.d*"}]}},
        "arguments": {"guards": {"rules": [rule | {"tool": "*", "arguments": {"path": "*/mark"}}]}},
        "hook": {"before_tool": never},
    }[way]


def served(*tools, **layers):
    """Keywords for a mind with the small server, whose tools the manager may call."""
    given = layers or {"consciousness": {"tools": [f"small.{name}" for name in tools]}}
    return {"mcp": {"small": {"command": sys.executable, "args": [str(SERVER), "stdio"]}}, "layers": given}


def writing(path):
    """Code that has the server leave a mark, and says what came of it; then the manager answers."""
    tried = (
        f"try:\n    print('it said', small_die_once(path={str(path)!r}))\nexcept Exception as error:\n    print(error)"
    )
    return lambda request: report("done") if "Observation" in conversation(request) else code(tried)


@pytest.mark.parametrize("way", ["rule", "pattern", "arguments", "hook"])
def test_a_denied_tool_of_a_server_is_not_called_and_the_code_reads_why(make_mind, tmp_path, way):
    mark = tmp_path / "mark"
    model = ScriptedModel(only_manager(writing(mark)))
    given = {**scripted(None), "tiers": {"scripted": model}, **served("die_once", "echo"), **guarded_by(way)}
    with make_mind(**given) as mind:
        thinking = mind.start("Leave a mark")
        events = list(thinking.events())
        assert thinking.result().answer == "done"
        (tool,) = [node for _, node in mind.trace(thinking.run_id).root.walk() if "small_die_once" in node.name]
    assert not mark.exists()
    assert f"denied: {WHY}" in conversation(model.requests[-1])
    decided = [event.detail for event in events if event.kind == "tool_decision"]
    assert [(each["tool"], each["verdict"]) for each in decided] == [("small_die_once", "deny")]
    assert tool.attributes["dionysus.guard.verdict"] == "deny"
    assert [child.name for child in tool.children] == []  # no request to the server below it


def test_an_allowed_tool_of_a_server_is_called(make_mind, tmp_path):
    mark = tmp_path / "mark"
    mark.write_text("x")  # so that it answers and doesn't die
    model = ScriptedModel(only_manager(writing(mark)))
    guards = {"default": "deny", "rules": [{"tool": "small.*", "layer": "consciousness", "verdict": "allow"}]}
    with make_mind(tiers={"scripted": model}, tier="scripted", guards=guards, **served("die_once")) as mind:
        thinking = mind.start("Ask it")
        events = list(thinking.events())
        assert thinking.result().answer == "done"
    assert "it said second life" in conversation(model.requests[-1])
    decided = [event.detail for event in events if event.kind == "tool_decision"]
    assert [(each["verdict"], each["by"]) for each in decided] == [("allow", "rule 1")]


def test_a_native_call_of_a_servers_tool_is_guarded_alike(make_mind, tmp_path):
    mark = tmp_path / "mark"

    def play(request):
        if layer_of(request) != "perceptual":
            return report("done")
        if "denied" in conversation(request):
            return calls(("final_answer", {"answer": "I was not allowed to."}))
        return calls(("small_die_once", {"path": str(mark)}))

    model = ScriptedModel(play)
    given = served(perceptual={"tools": ["small.die_once"]}) | guarded_by("rule")
    with make_mind(tiers={"scripted": model}, tier="scripted", **given) as mind:
        assert mind.think("Leave a mark").answer == "done"
    assert not mark.exists()
    assert any(f"denied: {WHY}" in conversation(request) for request in model.requests)


@pytest.mark.parametrize("answer", [True, False])
def test_a_person_is_asked_about_a_servers_tool_with_its_arguments(make_mind, answer):
    asked = []

    def approve(call):
        asked.append((call.names, json.loads(json.dumps(call.arguments))))
        return answer

    tried = code("try:\n    print('it said', small_echo(text='aloud'))\nexcept Exception as error:\n    print(error)")
    model = ScriptedModel(only_manager(lambda request: report("done") if "Obs" in conversation(request) else tried))
    guards = {"rules": [{"tool": "small.echo", "verdict": "ask"}]}
    given = {"tiers": {"scripted": model}, "tier": "scripted", "guards": guards, **served("echo")}
    with make_mind(approve=approve, **given) as mind:
        assert mind.think("Say it").answer == "done"
    assert asked == [(("small_echo", "small.echo"), {"text": "aloud"})]
    assert ("it said aloud" in conversation(model.requests[-1])) is answer
    assert ("the user said no" in conversation(model.requests[-1])) is not answer
