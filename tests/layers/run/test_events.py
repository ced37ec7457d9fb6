"""Events: any number of consumers, in order, and none of them holds up the run."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress

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
    consumer.join(60)
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


def test_pieces_of_text_go_before_anything_else_is_forgotten():
    events = Events("run", keep=100)
    events.publish(EventKind.LAYER_STARTED, ("a",), "first")
    for number in range(2000):
        events.publish(EventKind.TOKEN, ("a",), "x")
        if number % 100 == 0:
            events.publish(EventKind.STEP_ENDED, ("a",), str(number))
    events.close()
    kept = list(events)
    assert len(kept) <= 100
    assert [event.summary for event in kept if event.kind is not EventKind.TOKEN] == [
        "first",
        *map(str, range(0, 2000, 100)),
    ]
    assert [event.sequence for event in kept] == sorted({event.sequence for event in kept})


def test_a_slow_consumer_does_not_hold_up_the_run_and_goes_on_with_what_is_kept():
    events, heard = Events("run", keep=200), []
    begun, release = threading.Event(), threading.Event()

    def consume():
        for event in events:
            heard.append(event.sequence)
            begun.set()
            assert release.wait(60)  # so slow that it is at its first event when the last one comes

    consumer = threading.Thread(target=consume)
    consumer.start()
    events.publish(EventKind.TOOL_CALL, (), "x")
    assert begun.wait(60)
    began = time.monotonic()
    for _ in range(20_000):
        events.publish(EventKind.TOOL_CALL, (), "x")
    assert time.monotonic() - began < 3
    events.close()
    release.set()
    consumer.join(60)
    assert heard[-1] == 20_001
    assert heard == sorted(set(heard))
    assert len(heard) <= 1 + 200


def test_consumers_on_an_event_loop_hear_everything_and_leave_nothing_behind():
    events = Events("run")

    async def consume():
        return [event.sequence async for event in events]

    async def give_up():
        async for event in events:
            if event.sequence == 3:
                return

    async def main():
        consumers = [asyncio.create_task(consume()) for _ in range(3)]
        await asyncio.create_task(give_up_soon())
        await asyncio.to_thread(publish)
        return await asyncio.gather(*consumers)

    async def give_up_soon():
        task = asyncio.create_task(give_up())
        await asyncio.sleep(0.05)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    def publish():
        for _ in range(500):
            events.publish(EventKind.TOOL_CALL, (), "x")
        events.close()

    assert asyncio.run(main()) == [list(range(1, 501))] * 3
    assert events._listeners == set()


def test_a_busy_loop_is_woken_once_and_not_once_an_event():
    events, woken = Events("run"), []

    async def main():
        loop = asyncio.get_running_loop()
        told = aiter(events)
        events.publish(EventKind.TOOL_CALL, (), "first")
        await anext(told)
        waiting = asyncio.create_task(anext(told))
        await asyncio.sleep(0)
        schedule = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *a: (woken.append(1), schedule(*a))
        for _ in range(1000):  # the loop can't run meanwhile
            events.publish(EventKind.TOOL_CALL, (), "x")
        await waiting
        await told.aclose()

    asyncio.run(main())
    assert len(woken) <= 2
