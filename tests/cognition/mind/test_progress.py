"""A running task is seen from outside, in its trace, while it runs; nobody who looks, or doesn't, holds it up."""

from __future__ import annotations

import os
import threading
import time

import pytest

from layers.run import EventKind
from observability import TraceStore
from observability.dashboard import pages
from tests.cognition.mind.test_failures import served_by
from tests.cognition.mind.test_thinking import only_manager, scripted
from tests.observability.test_dashboard import TOKEN, served
from tests.support.openai_server import OpenAIServer, Say
from tests.support.scripted_model import code, conversation, report

LINE = "I think about the queue, slowly, one word after the other."
WORDS = "".join(f"{number}. {LINE}\n" for number in range(600))
ANSWER = f"{WORDS}\n<code>\nfinal_answer({{'answer': 'done'}})\n</code>"
SECONDS = 300


def until(look, seconds=120.0):
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never showed"
        time.sleep(0.05)
    return found


@pytest.fixture
def enough():
    """When it is set, who speaks comes to the end."""
    return threading.Event()


@pytest.fixture
def speaking(make_mind, home, enough):
    """A run whose manager speaks until it is enough, and the store of its trace."""
    layers = {"perceptual": {"enabled": False}}
    with OpenAIServer(lambda _: Say(ANSWER, chunk_pause=lambda: 0 if enough.is_set() else 0.5)) as server:
        # the tier waits for the whole answer as long as the run does, not the seconds that other tests give it
        with make_mind(layers=layers, **served_by(server.url, timeout=SECONDS)) as mind:
            _ = mind.layers
            thinking = mind.start("Speak", budget={"steps": 40, "tokens": 1_000_000}, deadline=SECONDS)
            try:
                yield thinking, home / "trace.db"
            finally:
                enough.set()


def test_words_and_budget_are_seen_in_the_trace_while_the_model_speaks(speaking, enough):
    thinking, path = speaking
    with TraceStore(path) as store:

        def doing():
            found = [run for run in store.runs(5) if run.run_id == thinking.run_id]
            return pages.doing(store.run(thinking.run_id)) if found else []

        (path_of, layer, words) = until(lambda: next((each for each in doing() if "slowly" in each[2]), None))
        assert (path_of, layer) == ("consciousness", "consciousness")
        assert len(words) <= 200
        left = pages.left(store.run(thinking.run_id))
        assert left["Steps"] == 39
        assert 0 < left["Tokens"] < 1_000_000
        assert 0 < left["Time"] <= SECONDS
        assert not thinking.done()
        enough.set()
        assert thinking.result().answer == "done"
        until(lambda: doing() == [])
        assert pages.left(store.run(thinking.run_id))["Steps"] == 39


def test_an_absent_and_a_slow_consumer_neither_slow_nor_grow_a_run(make_mind):
    def play(request):
        steps = conversation(request).count("Observation:")
        return report("done") if steps >= 8 else code(f"print({steps})")

    with make_mind(**scripted(only_manager(play))) as mind:
        absent = mind.start("Go on")
        slow, release, read = mind.start("Go on"), threading.Event(), []

        def reads():
            for event in slow.events():
                read.append(event)
                release.wait(300)

        reader = threading.Thread(target=reads)
        reader.start()
        assert absent.result(120).answer == slow.result(120).answer == "done"
        assert len(read) <= 1
        release.set()
        reader.join(30)
    assert [event.sequence for event in read] == list(range(1, len(read) + 1))
    assert read[-1].kind is EventKind.RUN_ENDED


@pytest.mark.browser
@pytest.mark.parametrize("width", [1280, 390])
def test_the_dashboard_shows_a_running_task_as_it_goes(speaking, enough, chromium_path, width):
    from playwright.sync_api import expect, sync_playwright

    thinking, path = speaking
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with served(path) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.set_default_timeout(60_000)
        with TraceStore(path) as store:
            until(lambda: any(run.run_id == thinking.run_id for run in store.runs(5)))
        page.goto(f"{address}/run/{thinking.run_id}?token={TOKEN}")
        expect(page.locator("#doing")).to_contain_text("slowly")
        expect(page.locator("dt", has_text="Steps left")).to_be_visible()
        first = page.locator("#doing").inner_text()
        changed = "(before) => ![before, undefined].includes(document.querySelector('#doing')?.innerText)"
        page.wait_for_function(changed, arg=first)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if shots := os.environ.get("SCREENSHOTS"):
            page.screenshot(path=f"{shots}/live-{width}.png", full_page=True)
        enough.set()
        assert thinking.result().success
        expect(page.locator("h1 + .status")).to_have_text("ok")
        expect(page.locator("#doing")).to_have_count(0)
        browser.close()
