"""Memory server, sandbox and models open beside the runs that wait for them: nobody hangs on a part that is slow."""

from __future__ import annotations

import sys
import threading
import time

import pytest

from cognition import Cancelled, ConfigurationError, DeadlineExceeded
from observability import Kind, conventions
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.sandbox.leaks import assert_settled, children, usage
from tests.support.scripted_model import report

FINE = only_manager(lambda _: report("fine"))
PROMISED = 1.0


def silent_until(file):
    """An MCP server that starts to speak when a file is there."""
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(file)!r}).exists(): time.sleep(0.05)\n"
    serve = "from mcp.server.mcpserver import MCPServer\nMCPServer('slow').run()"
    return {"slow": {"command": sys.executable, "args": ["-c", wait + serve], "connect_timeout": 60}}


@pytest.fixture
def gate(tmp_path):
    """The file that lets a slow part open."""
    return tmp_path / "gate"


@pytest.fixture
def slow(make_mind, gate):
    """A mind one part of which opens when the gate does."""
    mind = make_mind(mcp=silent_until(gate), **scripted(FINE))
    yield mind
    gate.touch()
    mind.close()


def test_a_start_does_not_wait_for_the_parts_and_their_opening_is_told_with_their_notices(slow, gate):
    began = time.monotonic()
    thinking = slow.start("x")
    assert time.monotonic() - began < 3 * PROMISED
    events = thinking.events()
    assert next(events).kind == "run_started"
    gate.touch()
    opened = next(events)
    assert opened.kind == "parts_opened"
    assert tuple(opened.detail["notices"]) == slow.notices
    assert thinking.result().answer == "fine"


def test_a_run_that_waits_for_the_parts_has_a_span_of_its_wait_and_the_next_one_has_none(slow, gate):
    thinking = slow.start("x")
    threading.Timer(0.5, gate.touch).start()
    waited = [node for node in slow.trace(thinking.result().run_id).spans() if node.kind is Kind.OPENING]
    assert [node.layer for node in waited] == [None]
    assert (waited[0].end_ns - waited[0].start_ns) / 1e9 > 0.3
    again = slow.trace(slow.think("y").run_id)
    assert not [node for node in again.spans() if node.kind is Kind.OPENING]


@pytest.mark.parametrize(("ending", "error"), [("cancel", Cancelled), ("deadline", DeadlineExceeded)])
def test_a_run_that_ends_while_the_parts_open_leaves_the_opening_to_the_next_one(slow, gate, ending, error):
    thinking = slow.start("x", deadline=1.0 if ending == "deadline" else None)
    if ending == "cancel":
        time.sleep(0.5)
        thinking.cancel()
    began = time.monotonic()
    with pytest.raises(error) as ended:
        thinking.result()
    assert time.monotonic() - began < (1.0 if ending == "deadline" else 0.0) + 3 * PROMISED
    assert ended.value.partial.run_id == thinking.run_id
    parts = [thread for thread in threading.enumerate() if thread.name == "dionysus-parts"]
    gate.touch()
    assert slow.think("x").answer == "fine"
    assert [thread for thread in threading.enumerate() if thread.name == "dionysus-parts"] == parts
    root = next(iter(slow.trace(thinking.run_id).spans()))
    assert root.attributes[conventions.STOP_REASON] == str(ended.value.stop_reason)


def test_runs_that_wait_for_the_same_parts_end_each_on_its_own(slow, gate):
    one, other = slow.start("x"), slow.start("x")
    one.cancel()
    with pytest.raises(Cancelled):
        one.result()
    assert not other.done()
    gate.touch()
    assert other.result().answer == "fine"


def test_a_mind_closed_while_it_opens_leaves_nothing_and_cancels_who_waits(make_mind, gate):
    before = usage()
    mind = make_mind(mcp=silent_until(gate), **scripted(FINE))
    thinking = mind.start("x")
    until = time.monotonic() + 30
    while len(children()) < before[0] + 2 and time.monotonic() < until:
        time.sleep(0.02)  # until both servers' processes are there
    began = time.monotonic()
    mind.close()
    assert time.monotonic() - began < 3 * 5
    with pytest.raises(Cancelled):
        thinking.result(0)
    assert_settled(before)


def test_whoever_waits_without_a_run_hears_that_the_mind_was_closed(slow):
    caught = []

    def ask():
        try:
            slow.notices  # noqa: B018 - waits for the parts
        except Cancelled as error:
            caught.append(str(error))

    asking = threading.Thread(target=ask)
    asking.start()
    until = time.monotonic() + 60
    while not any(thread.name == "dionysus-parts" for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.02)  # a close before the first use would have nothing to close
    slow.close()
    asking.join(3 * 5)
    assert caught == ["The mind was closed while it opened."]


def test_a_part_that_does_not_open_is_an_error_of_every_run_and_leaves_nothing_to_close(make_mind, tmp_path):
    leave = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.05)\n"
    before = usage()
    mind = make_mind(
        mcp={"shop": {"command": sys.executable, "args": ["-c", leave + "raise SystemExit('no licence')"]}},
        **scripted(FINE),
    )
    thinking = [mind.start("x") for _ in range(3)]
    (tmp_path / "go").touch()
    errors = []
    for each in thinking:
        with pytest.raises(ConfigurationError, match="no licence") as failed:
            each.result()
        errors.append(failed.value)
    assert len({id(error) for error in errors}) == 3
    assert [error.partial.run_id for error in errors] == [each.run_id for each in thinking]
    assert all(error.partial.stop_reason == "configuration" for error in errors)
    assert_settled(before)
