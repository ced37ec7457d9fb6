"""The dashboard in a real browser."""

import pytest
from playwright.sync_api import expect, sync_playwright

from observability import Kind, Telemetry, TraceSettings, span
from tests.observability.dashboards import RUN, TOKEN, served
from tests.observability.five_layers import HOSTILE, five_layer_run

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def chromium(chromium_path):
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def writing(tmp_path_factory):
    """A telemetry that has recorded one five-layer run, and the file that it goes to."""
    path = tmp_path_factory.mktemp("browser") / "trace.db"
    with Telemetry(TraceSettings(path=path), service="test") as telemetry:
        five_layer_run(telemetry)
        assert telemetry.flush(60)
        yield telemetry, path


@pytest.fixture
def telemetry(writing):
    return writing[0]


@pytest.fixture(scope="module")
def address(writing):
    """Of a dashboard that shows that run."""
    with served(writing[1]) as address:
        yield address


@pytest.fixture
def open_page(chromium, address):
    """Open pages of the dashboard; whatever a page complains of fails the test."""
    complaints, requested, contexts = [], [], []

    def open_page(path="/", **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"{address}{path}{'&' if '?' in path else '?'}token={TOKEN}")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert all(url.startswith(address) for url in requested)


def test_the_address_with_its_token_leads_to_the_runs_and_on_to_one(open_page):
    page = open_page()
    assert "token" not in page.url
    page.get_by_role("link", name="Which queue should the ingest service use").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Which queue")
    expect(page.locator("svg.lane")).to_have_count(5)


def test_a_bar_leads_to_its_step_and_opens_what_is_above_it(open_page):
    page = open_page(f"/run/{RUN}")
    step = page.locator("details", has=page.locator("b", has_text="execute_tool predict")).last
    expect(step.locator("summary").first).not_to_be_visible()
    page.locator("svg.lane a", has=page.locator("rect", has_text="execute_tool predict")).click()
    expect(step.locator("summary").first).to_be_visible()
    expect(page.locator("details.found > summary")).to_contain_text("execute_tool predict")


def test_what_was_said_is_loaded_when_a_step_is_opened(open_page):
    page = open_page(f"/run/{RUN}")
    with page.expect_response(lambda response: "/span/" in response.url):
        page.locator("details.leaf:visible > summary", has_text="execute_tool resolve").click()
    expect(page.get_by_text("Traceback (most recent call last)")).to_be_visible()
    closed = page.locator("details:visible > summary", has_text="recall('queue decision')")
    closed.get_by_label("what was said in step 1").click()
    expect(page.locator("figcaption", has_text="dionysus.ooda.orient").first).to_be_visible()


def test_hostile_content_is_shown_and_does_nothing(open_page):
    page = open_page(f"/run/{RUN}")
    page.evaluate("document.querySelectorAll('a.load').forEach((link) => link.click())")
    expect(page.locator(".payload")).to_have_count(48)
    assert HOSTILE[:40] in page.locator("main").inner_text()
    assert page.title().startswith("Which queue")
    assert page.locator("main script, main img").count() == 0


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_at_any_width_in_light_and_dark(open_page, width, scheme):
    page = open_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    for path in ("/", f"/run/{RUN}", f"/run/{RUN}?by=cost"):
        page.goto(page.url.partition("/run")[0].rstrip("/") + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("h1").bounding_box()["width"] > 80
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(22, 21, 26)") == (scheme == "dark")
    spent = page.locator("rect.segment.used").first.bounding_box()
    assert spent["width"] > 5


def test_a_run_is_followed_while_it_runs_without_closing_what_was_opened(open_page, telemetry):
    with span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "live", "input.value": "a live one"}) as run:
        with span(telemetry.tracer, Kind.STEP, "step 1", {"input.value": "first words"}):
            pass
        telemetry.flush()
        page = open_page("/run/live")
        expect(page.locator("h1 + .status")).to_have_text("running")
        page.locator("summary", has_text="step 1").click()
        expect(page.locator("pre", has_text="first words")).to_be_visible()
        with span(telemetry.tracer, Kind.STEP, "step 2"):
            pass
        telemetry.flush()
        expect(page.locator("summary", has_text="step 2")).to_be_visible(timeout=15_000)
        expect(page.locator("pre", has_text="first words")).to_be_visible()
        run.set_attribute("output.value", "the end")
    telemetry.flush()
    expect(page.locator("h1 + .status")).to_have_text("ok")
    expect(page.locator(".answer")).to_have_text("the end")


def test_every_page_works_without_scripts(open_page):
    page = open_page(f"/run/{RUN}", java_script_enabled=False)
    page.locator("summary", has_text="invoke_workflow").locator("a.load").click()
    assert "/span/" in page.url
    assert "Which queue" in page.content()
