"""Events: any number of consumers, in order, and none of them holds up the run."""

from __future__ import annotations

import threading

from layers.run import EventKind, Events


def test_a_late_consumer_sees_everything():
    events = Events("run")
    for number in range(5):
        events.publish(EventKind.STEP_STARTED, ("a",), str(number))
    events.close()
    assert [event.summary for event in events] == list("01234")
    assert [event.summary for event in events] == list("01234")


def test_a_consumer_waits_for_what_comes():
    events, heard = Events("run"), []
    consumer = threading.Thread(target=lambda: heard.extend(event.sequence for event in events))
    consumer.start()
    for _ in range(100):
        events.publish(EventKind.TOOL_CALL, (), "x")
    events.close()
    consumer.join(5)
    assert heard == list(range(1, 101))


def test_an_absent_consumer_does_not_make_it_grow():
    events = Events("run", keep=100)
    for _ in range(1000):
        events.publish(EventKind.TOOL_CALL, (), "x")
    events.close()
    kept = [event.sequence for event in events]
    assert kept[-1] == 1000
    assert len(kept) <= 100


def test_nothing_is_told_after_the_end():
    events = Events("run")
    events.close()
    events.publish(EventKind.TOOL_CALL, (), "late")
    assert list(events) == []
