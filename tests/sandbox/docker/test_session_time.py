"""What a session does when its box is silent, on a clock that the test moves: no engine, and the session's own code."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from unittest import mock

import pytest

from sandbox import DockerSandbox, LimitExceeded, SandboxError, SandboxSettings
from sandbox.docker.box import Box
from sandbox.docker.channel import Channel, ChannelClosedError
from sandbox.docker.guest.wire import (
    ANSWER,
    CALL,
    DONE,
    END,
    EXECUTE,
    FILE,
    INTERRUPT,
    KILL,
    LOST,
    PATIENCE,
    Frames,
    frame,
)
from sandbox.docker.launch import frame_limit
from tests.sandbox.docker.fuzz.target import ID, chunked
from tests.support.clock import ManualClock

LIMITS = SandboxSettings(step_timeout=10.0)
HANG = 60.0  # seconds that only a hang takes


class Guest:
    """The other end of a box: says what the test wants, and hears what the session sends."""

    def __init__(self, end: socket.socket) -> None:
        self._end, self._frames = end, Frames(1 << 24)
        end.settimeout(HANG)

    def say(self, kind: int, **message: object) -> None:
        self._end.sendall(chunked(frame(kind, json.dumps(message).encode())))

    def hears(self) -> int:
        """The kind of the next frame, without that which tells of a step's time."""
        while (received := self._frames.next()) is None or received[0] == PATIENCE:
            if received is None:
                octets = self._end.recv(1 << 16)
                assert octets, "the session hung up"
                self._frames.feed(octets)
        return received[0]


class Boxes:
    """The part of a backend that a session asks: one box, and the engine is fine."""

    settings = LIMITS

    def __init__(self, box: Box, clock: ManualClock) -> None:
        self._box, self.clock = box, clock
        self.given_back: list[Box] = []

    def take(self, *_: object) -> Box:
        return self._box

    def give_back(self, box: Box) -> None:
        self.given_back.append(box)
        box.channel.close()

    def check(self, *_: object) -> None:
        """The engine is there."""


class Step:
    """A step under way in a thread of its own."""

    def __init__(self, box: DockerSandbox, code: str = "1") -> None:
        self._ended: list[object] = []
        self._thread = threading.Thread(target=self._run, args=(box, code))
        self._thread.start()

    def _run(self, box: DockerSandbox, code: str) -> None:
        try:
            self._ended.append(box(code).output)
        except Exception as error:
            self._ended.append(error)

    def end(self) -> object:
        """What it returned or raised."""
        self._thread.join(HANG)
        assert not self._thread.is_alive()
        return self._ended[0]


def counted(box: DockerSandbox, guest: Guest, monkeypatch: pytest.MonkeyPatch) -> Step:
    """A step whose time is counted already: its session has looked up once since the guest heard of it."""
    looked, look = threading.Event(), box._watch
    monkeypatch.setattr(box, "_watch", lambda: (look(), looked.set()))
    step = Step(box)
    assert guest.hears() == EXECUTE
    looked.clear()
    assert looked.wait(HANG)
    return step


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ends(clock: ManualClock) -> Iterator[tuple[DockerSandbox, Guest]]:
    ours, theirs = socket.socketpair()
    box = Box("f" * 64, Channel(ours, frame_limit(LIMITS), clock=clock), {}, clock=clock)
    with ours, theirs, mock.patch("secrets.token_hex", return_value=ID):
        sandbox = DockerSandbox(limits=LIMITS, backend=Boxes(box, clock))  # type: ignore[arg-type]
        yield sandbox, Guest(theirs)
        sandbox.cleanup()


def test_a_silent_step_is_interrupted_then_killed_then_removed(ends, clock, monkeypatch):
    box, guest = ends
    step = counted(box, guest, monkeypatch)
    clock.advance(10)
    assert guest.hears() == INTERRUPT
    clock.advance(1)
    assert guest.hears() == KILL
    clock.advance(5)
    error = step.end()
    assert len(box._boxes.given_back) == 1
    assert isinstance(error, LimitExceeded)
    assert error.state_lost


def test_a_step_that_heeds_the_interrupt_keeps_its_state(ends, clock, monkeypatch):
    box, guest = ends
    step = counted(box, guest, monkeypatch)
    clock.advance(10)
    assert guest.hears() == INTERRUPT
    guest.say(DONE, id=ID, error={"text": "KeyboardInterrupt", "line": 1})
    error = step.end()
    assert isinstance(error, LimitExceeded)
    assert not error.state_lost


def test_a_worker_that_was_killed_for_its_time_is_told_as_that(ends, clock, monkeypatch):
    box, guest = ends
    step = counted(box, guest, monkeypatch)
    clock.advance(10)
    assert guest.hears() == INTERRUPT
    clock.advance(1)
    assert guest.hears() == KILL
    guest.say(LOST, reason="killed", status=-9)
    error = step.end()
    assert isinstance(error, LimitExceeded)
    assert error.state_lost
    assert "step_timeout" in str(error)


def test_the_time_of_a_tool_is_not_the_step_s(ends, clock):
    box, guest = ends
    box.send_tools({"slow": lambda: clock.advance(1000)})
    step = Step(box)
    assert guest.hears() == EXECUTE
    guest.say(CALL, step=ID, call=1, name="slow", args=[], kwargs={})
    assert guest.hears() == ANSWER
    guest.say(DONE, id=ID, value=7)
    assert step.end() == 7


def test_a_final_answer_that_isn_t_let_go_of_costs_the_box_after_three_seconds(ends, clock):
    box, guest = ends
    box.send_tools({"final_answer": lambda answer: answer})
    step = Step(box)
    assert guest.hears() == EXECUTE
    guest.say(CALL, step=ID, call=1, name="final_answer", args=[5], kwargs={})
    assert guest.hears() == END
    assert step.end() == 5
    listing = threading.Thread(target=box.list_files)
    listing.start()
    while listing.is_alive():
        clock.advance(3)
        listing.join(0.05)
    assert box._boxes.given_back


def test_a_question_about_a_file_waits_twenty_seconds(ends, clock):
    box, guest = ends
    step = Step(box)
    assert guest.hears() == EXECUTE
    guest.say(DONE, id=ID, value=None)
    step.end()
    raised: list[SandboxError] = []

    def ask() -> None:
        try:
            box.list_files()
        except SandboxError as error:
            raised.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert guest.hears() == FILE
    while asking.is_alive():
        clock.advance(20)
        asking.join(0.05)
    assert "no answer about a file in 20 s" in str(raised[0])


def test_a_box_that_takes_no_byte_for_twenty_seconds_is_given_up(clock):
    ours, theirs = socket.socketpair()
    channel, raised = Channel(ours, 1000, clock=clock), []

    def send() -> None:
        try:
            channel.send(EXECUTE, bytes(1 << 24))
        except ChannelClosedError as error:
            raised.append(error)

    with ours, theirs:
        sending = threading.Thread(target=send)
        sending.start()
        while sending.is_alive():
            clock.advance(20)
            sending.join(0.05)
        assert "nobody takes more input" in str(raised[0])
