"""Requests and tokens per minute: over threads, processes and stops; the file may be locked, broken or forbidden."""

import asyncio
import sqlite3
import subprocess
import sys
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from layers.run import Lifeline, RunStopped, StopReason
from layers.tiers import limits as module
from layers.tiers.limits import Limits, Window
from tests.support.clock import ManualClock
from tests.support.openai_server import OpenAIServer, Say, Usage

ENTER = """
import asyncio, sys, time
from pathlib import Path
from layers.tiers.limits import Limits, Window
async def main():
    window = Window(Path(sys.argv[1]), seconds=1.0)
    for _ in range(4):
        await window.enter("fast", Limits(requests=3), 1)
        print(time.time(), flush=True)
    window.close()
asyncio.run(main())
"""


def enter(window, *arguments, within=60):
    """The number of the call, or `None` if it has to wait."""

    async def attempt():
        try:
            return await asyncio.wait_for(window.enter(*arguments), within)
        except TimeoutError:
            return None

    return asyncio.run(attempt())


async def only_for_a_lock(seconds):
    """Stand for `asyncio.sleep` where nobody waits for room: naps for a lock are short, and those are taken."""
    if seconds > 0.1:
        raise TimeoutError
    await asyncio.sleep(seconds)


@pytest.fixture
def window(tmp_path):
    made = Window(tmp_path / "new" / "limits.db", sleep=only_for_a_lock)
    yield made
    made.close()


def test_calls_above_the_limit_wait(window):
    assert [enter(window, "fast", Limits(requests=2), 1) is None for _ in range(3)] == [False, False, True]


def test_tiers_are_counted_apart(window):
    assert enter(window, "fast", Limits(requests=1), 1)
    assert enter(window, "deep", Limits(requests=1), 1)


def test_tokens_above_the_limit_wait_until_what_was_used_is_known(window):
    limits = Limits(tokens=100)
    first = enter(window, "fast", limits, 80)
    assert enter(window, "fast", limits, 30) is None
    asyncio.run(window.settle(first, 60))
    assert enter(window, "fast", limits, 30)


def test_a_call_larger_than_the_limit_waits_for_an_empty_window_only(tmp_path):
    clock, limits = ManualClock(), Limits(tokens=100)
    window = Window(tmp_path / "limits.db", clock=clock, sleep=only_for_a_lock)
    assert enter(window, "fast", limits, 500)
    clock.advance(module.WINDOW - 1)
    assert enter(window, "fast", limits, 500) is None
    clock.advance(1)
    assert enter(window, "fast", limits, 500)
    window.close()


def test_a_call_that_waits_goes_when_there_is_room_again_and_naps_until_then(tmp_path):
    clock = ManualClock()
    window = Window(tmp_path / "limits.db", clock=clock, sleep=clock.asleep)
    began = clock()
    assert enter(window, "fast", Limits(requests=1), 1, within=60)
    assert enter(window, "fast", Limits(requests=1), 1, within=60)
    assert module.WINDOW <= clock() - began < module.WINDOW + 1
    assert max(clock.slept) <= 5.02
    window.close()


def test_only_the_calls_of_the_last_minute_count(tmp_path):
    clock = ManualClock()
    window = Window(tmp_path / "limits.db", clock=clock, sleep=only_for_a_lock)
    assert enter(window, "fast", Limits(requests=2), 1)
    clock.advance(40)
    assert enter(window, "fast", Limits(requests=2), 1)
    assert enter(window, "fast", Limits(requests=2), 1) is None
    clock.advance(20)  # the first one has left
    assert enter(window, "fast", Limits(requests=2), 1)
    assert enter(window, "fast", Limits(requests=2), 1) is None
    window.close()


def test_nothing_limited_writes_nothing(window, tmp_path):
    assert enter(window, "fast", Limits(), 1) is None
    assert list(tmp_path.iterdir()) == []


def test_processes_share_a_limit(tmp_path):
    command = [sys.executable, "-c", ENTER, str(tmp_path / "limits.db")]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/usr/bin:/bin"}
    start = time.time()
    children = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    times = [float(line) for child in children for line in child.communicate(timeout=60)[0].split()]
    assert len(times) == 12
    # Three of the twelve in any second: the last has waited for three windows. Alone, each process would take one.
    assert max(times) - start > 3


def test_a_reader_at_the_wrong_moment_leaves_no_transaction_open(window):
    enter(window, "fast", Limits(requests=9), 1)
    reader = sqlite3.connect(window._path, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM calls").fetchall()
    assert enter(window, "fast", Limits(requests=9), 1, within=0.2) is None
    reader.close()
    assert enter(window, "fast", Limits(requests=9), 1)
    assert window._path.exists()


def test_a_process_that_was_killed_leaves_no_lock(window):
    lock = "c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN EXCLUSIVE')"
    code = f"import os, sqlite3, sys; {lock}; os.kill(os.getpid(), 9)"
    enter(window, "fast", Limits(requests=9), 1)
    subprocess.run([sys.executable, "-c", code, str(window._path)], check=False, timeout=60)
    assert enter(window, "fast", Limits(requests=9), 1)


def test_a_locked_file_is_waited_for_without_holding_the_loop(window):
    enter(window, "fast", Limits(requests=9), 1)
    other = sqlite3.connect(window._path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")

    async def both():
        entering = asyncio.ensure_future(window.enter("fast", Limits(requests=9), 1))
        beats = 0
        for _ in range(20):
            await asyncio.sleep(0.01)
            beats += 1
        assert not entering.done()
        other.execute("COMMIT")
        return beats, await asyncio.wait_for(entering, 60)

    beats, number = asyncio.run(both())
    other.close()
    assert beats == 20
    assert number


@pytest.mark.parametrize("spoil", ["rubbish", "folder"])
def test_a_file_that_cant_be_used_ends_the_sharing_and_not_the_run(tmp_path, spoil, caplog):
    path = tmp_path / "limits.db"
    if spoil == "rubbish":
        path.write_bytes(b"no database at all" * 100)
    else:
        path.mkdir()
    window = Window(path, sleep=only_for_a_lock)
    assert enter(window, "fast", Limits(requests=1), 1)
    assert enter(window, "fast", Limits(requests=1), 1) is None
    assert "limited in this process alone" in caplog.text
    window.close()


def test_a_clock_that_was_set_back_stops_nobody(tmp_path):
    clock = ManualClock(1_000_000.0)
    window = Window(tmp_path / "limits.db", clock=clock, sleep=only_for_a_lock)
    assert enter(window, "fast", Limits(requests=1), 1)
    window.close()
    set_back = Window(tmp_path / "limits.db", clock=ManualClock(1_000_000.0 - 86400), sleep=only_for_a_lock)
    assert enter(set_back, "fast", Limits(requests=1), 1)
    set_back.close()


@given(
    st.lists(st.tuples(st.floats(0, 59), st.integers(0, 50)), max_size=12),
    st.integers(1, 5) | st.none(),
    st.integers(1, 100) | st.none(),
    st.integers(1, 60),
)
def test_what_waits_until_the_named_call_has_left_has_room(rows, requests, tokens, wanted):
    rows = sorted(rows)
    limits = Limits(requests, tokens)
    until = module._wait(rows, limits, wanted)
    left = rows if until is None else [row for row in rows if row[0] > until]
    assert requests is None or len(left) < requests
    assert tokens is None or not left or sum(row[1] for row in left) + wanted <= tokens


# In a tier


def test_two_minds_share_a_tiers_limit(tiers, request_of, within):
    lifeline = Lifeline()
    with OpenAIServer([Say("x")]) as server:
        table = {"models": ["openai/x"], "api_base": server.url, "requests_per_minute": 2}
        first, second = tiers(fast=table).model("fast"), tiers(fast=table).model("fast")
        first.chat(request_of(), lifeline)
        second.chat(request_of(), lifeline)
        threading.Timer(0.3, lifeline.stop, (StopReason.CANCELLED, "enough")).start()
        with within(3.3), pytest.raises(RunStopped, match="enough"):
            first.chat(request_of(), lifeline)
        assert len(server.requests) == 2


def test_a_tier_counts_the_tokens_that_its_provider_billed(tier, request_of, within):
    lifeline = Lifeline()
    with OpenAIServer([Say("x", usage=Usage(4000, 900))]) as server:
        model = tier(server, tokens_per_minute=5000)
        model.chat(request_of(), lifeline)
        started = time.monotonic()
        threading.Timer(0.3, lifeline.stop, (StopReason.CANCELLED, "enough")).start()
        with within(3.3), pytest.raises(RunStopped, match="enough"):
            model.chat(request_of(), lifeline)
        assert time.monotonic() - started >= 0.25
        assert len(server.requests) == 1
