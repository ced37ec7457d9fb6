"""The live view: a line for each layer, redrawn in a terminal and gone at the end."""

from __future__ import annotations

import re

from cognition.cli.live import Board
from layers.run import Event, EventKind
from tests.cognition.command_line import Command, Terminal
from tests.cognition.conftest import QUESTION


def event(kind: EventKind, path: str, summary: str = "", at: float = 0.0, **detail: object) -> Event:
    return Event("run", 1, at, kind, tuple(path.split("/")), summary, detail)


class TestBoard:
    def test_a_layer_is_a_line_with_its_step_of_the_most_and_its_action(self) -> None:
        board = Board()
        board.take(event(EventKind.LAYER_STARTED, "consciousness", "the task", tier="fast", max_steps=10))
        board.take(event(EventKind.STEP_STARTED, "consciousness", "step 2 of 10", step=2))
        board.take(event(EventKind.TOOL_CALL, "consciousness", "recall(x)"))
        (line,) = board.lines()
        assert (line.name, line.depth, line.step, line.most, line.action) == ("consciousness", 0, 2, 10, "recall(x)")
        assert line.ended is None

    def test_a_layer_below_another_is_a_line_of_its_own_in_order_of_appearance(self) -> None:
        board = Board()
        for path in ("perceptual", "consciousness", "consciousness/abstract"):
            board.take(event(EventKind.LAYER_STARTED, path, max_steps=3))
        board.take(event(EventKind.LAYER_ENDED, "consciousness/abstract", "found it", at=4.0))
        lines = board.lines()
        assert [(line.name, line.depth) for line in lines] == [("perceptual", 0), ("consciousness", 0), ("abstract", 1)]
        assert (lines[2].ended, lines[2].action) == (4.0, "found it")

    def test_a_layer_that_is_called_again_begins_again_on_its_line(self) -> None:
        board = Board()
        for _ in range(2):
            board.take(event(EventKind.LAYER_STARTED, "a", max_steps=3))
            board.take(event(EventKind.STEP_STARTED, "a", step=1))
            board.take(event(EventKind.LAYER_ENDED, "a"))
        board.take(event(EventKind.LAYER_STARTED, "a", max_steps=3))
        (line,) = board.lines()
        assert (line.calls, line.step, line.ended) == (3, 0, None)

    def test_tokens_of_all_layers_are_summed(self) -> None:
        board = Board()
        for path, tokens in (("a", 10), ("b", 5)):
            board.take(event(EventKind.LAYER_STARTED, path))
            board.take(event(EventKind.MODEL_CALL, path, tokens=tokens))
        assert board.tokens == 15

    def test_events_of_the_run_itself_change_no_line(self) -> None:
        board = Board()
        board.take(Event("run", 1, 0.0, EventKind.RUN_STARTED, (), "task"))
        assert board.lines() == []


def test_in_a_terminal_layers_are_drawn_live_and_the_result_stays(remembered: Command) -> None:
    with Terminal(remembered, "think", QUESTION) as terminal:
        assert terminal.ended() == 0
        screen = terminal.screen
    assert re.search(r"● (perceptual|consciousness)", screen)
    assert re.search(r"\b[123]/3\b", screen)
    assert "\x1b[1A" in screen or "\x1b[2K" in screen  # it was redrawn in place
    result = screen.rpartition("\x1b[2K")[2]
    assert "RabbitMQ" in result
    assert "Trace: dionysus trace show" in result
    assert "●" not in result


def test_in_a_terminal_quiet_draws_nothing(remembered: Command) -> None:
    with Terminal(remembered, "think", QUESTION, "--quiet") as terminal:
        assert terminal.ended() == 0
        assert "●" not in terminal.screen
        assert "RabbitMQ" in terminal.screen


def test_a_conversation_in_a_terminal_ends_with_exit_and_with_ctrl_d(remembered: Command) -> None:
    with Terminal(remembered, "chat", "--quiet") as terminal:
        terminal.wait_for("> ")
        terminal.type(f"{QUESTION}\n")
        after = terminal.wait_for("RabbitMQ")
        terminal.wait_for("> ", after)
        terminal.type("/exit\n")
        assert terminal.ended() == 0
    with Terminal(remembered, "chat", "--quiet") as terminal:
        terminal.wait_for("> ")
        terminal.type("\x04")
        assert terminal.ended() == 0


def test_progress_of_remembering_is_a_bar_in_a_terminal(remembered: Command) -> None:
    for number in range(20):
        (remembered.folder / f"{number}.md").write_text(f"# Note {number}\n\nThe number is {number}.\n")
    with Terminal(remembered, "remember", ".") as terminal:
        assert terminal.ended() == 0
        assert re.search(r"\d+/2\d", terminal.screen)
        assert "memories added" in terminal.screen
