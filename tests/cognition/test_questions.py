"""Questions in the terminal: a tool is called after a yes, and never where nobody can be asked."""

from __future__ import annotations

import threading

import pytest

from cognition.cli.output import visible
from cognition.cli.questions import MOST_SHOWN, _asked
from layers.guards import ToolCall
from tests.cognition.command_line import Command, Terminal
from tests.cognition.conftest import QUESTION

ALLOW = "Allow it?"


def shown(most: int | None = MOST_SHOWN, **arguments: object) -> str:
    call = ToolCall("delete", ("delete",), arguments, ("consciousness", "abstract"), "run", "rule 2", threading.Event())
    return "\n".join(_asked(call, most))


def test_a_question_says_who_wants_to_call_what_with_what_and_why() -> None:
    assert "consciousness/abstract wants to call delete (rule 2)" in shown(path="/a", force=True)
    assert '    path = "/a"\n    force = true' in shown(path="/a", force=True)


@pytest.mark.parametrize(
    "trick", ["\x1b[2K\x1b[1A", "a\rb", "a\nAllow it? y", "\u202egpj.exe", "\u200b", "\x9b31m", "\U000e0041", "\ud800"]
)
def test_what_a_model_wrote_can_not_steer_the_terminal_or_hide(trick: str) -> None:
    text = shown(path=trick)
    assert all(each.isprintable() for line in text.splitlines() for each in line)
    assert len(text.splitlines()) == len(shown(path="x").splitlines())
    assert "\\" in visible(trick)


def test_a_long_argument_is_cut_with_its_length_told_and_shown_in_full_on_demand() -> None:
    hidden = "a" * 5000 + "; rm -rf /"
    assert "rm -rf" not in shown(body=hidden)
    assert "characters more: s shows them" in shown(body=hidden)
    assert "rm -rf" in shown(None, body=hidden)
    many = {f"a{number}": number for number in range(40)}
    assert "28 arguments more" in shown(**many)
    assert "a39 = 39" in shown(None, **many)


def test_after_a_yes_the_tool_is_called_and_always_asks_no_more(remembered: Command) -> None:
    with Terminal(remembered, "think", QUESTION, "--ask", "rec*") as terminal:
        terminal.type("n\n")  # typed before there was a question: it answers none
        terminal.wait_for("perceptual wants to call recall")
        terminal.wait_for("query = ")
        terminal.wait_for(ALLOW)
        terminal.type("what?\n")
        terminal.wait_for(ALLOW, terminal.screen.index(ALLOW) + 1)
        terminal.type("a\n")
        assert terminal.ended() == 0
        assert terminal.screen.count("wants to call") == 1
        assert "RabbitMQ" in terminal.screen.rpartition("\x1b[2K")[2]


def test_after_a_no_the_layers_go_on_without_it(remembered: Command) -> None:
    with Terminal(remembered, "think", QUESTION, "--ask", "recall", "--layer", "perceptual.max_steps=1") as terminal:
        assert terminal.ended(answering=(ALLOW, "\n")) == 3
        assert "denied in perceptual: recall (approve) the user said no" in terminal.screen


def test_ctrl_c_at_a_question_cancels_the_run_and_leaves_nothing(remembered: Command) -> None:
    with Terminal(remembered, "think", QUESTION, "--ask", "recall") as terminal:
        terminal.wait_for(ALLOW)
        terminal.type("\x03")
        terminal.wait_for("Cancelling")
        assert terminal.ended() == 130
    assert remembered.left_behind() == []


@pytest.mark.parametrize("where", ["option", "settings"])
def test_where_nobody_can_be_asked_the_call_is_denied_and_the_way_out_told(remembered: Command, where: str) -> None:
    options = ["--ask", "recall"]
    if where == "settings":
        remembered.settings('[[guards.rules]]\ntool = "recall"\nverdict = "ask"\n')
        options = []
    ended = remembered("think", QUESTION, *options)
    assert ended.code == 3
    assert "denied in perceptual: recall" in ended.err
    assert "--approve TOOL" in ended.err


def test_what_is_approved_on_the_command_line_is_not_asked(remembered: Command) -> None:
    ended = remembered("think", QUESTION, "--ask", "*", "--approve", "*")
    assert ended.code == 0
    assert "denied" not in ended.err


def test_a_denied_tool_stays_denied_and_the_trace_says_so(remembered: Command) -> None:
    ended = remembered("think", QUESTION, "--deny", "re*", "--approve", "*", "--json")
    assert ended.code == 3
    told = remembered("trace", "show", ended.json["run_id"], "--json").out
    assert '"dionysus.guard.verdict": "deny"' in told or '"dionysus.guard.verdict":"deny"' in told


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[guards]\ndefault = "maybe"\n', "[guards] default"),
        ('[[guards.rules]]\ntool = "x"\n', "verdict"),
        ('[[guards.rules]]\ntol = "x"\nverdict = "deny"\n', "tool"),
    ],
)
def test_a_wrong_rule_stops_the_start_and_says_where(remembered: Command, text: str, says: str) -> None:
    remembered.settings(text)
    ended = remembered("think", QUESTION)
    assert ended.code == 2
    assert "dionysus.toml:" in ended.err
    assert says in ended.err
