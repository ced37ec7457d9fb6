"""The browser that the dashboard's tests use."""

from collections.abc import Iterator
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

pytestmark = pytest.mark.browser

PAGE = """<!doctype html><title>Thread</title>
<body style="margin:0;background:#fff"><h1 id=h>before</h1>
<div style="width:100px;height:100px;background:#a02050"></div>
<script>document.getElementById('h').textContent = [3, 1, 2].sort().join(' ')</script>"""
# Root in a container has no user namespaces to give away; the other switches keep Chromium from calling its maker.
SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]


@pytest.fixture
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium_path, args=SWITCHES)
        yield browser
        browser.close()


def test_a_page_is_rendered_with_its_script_and_its_colours(browser: Browser) -> None:
    page = browser.new_page(viewport={"width": 320, "height": 240})
    page.set_content(PAGE)
    assert page.title() == "Thread"
    assert page.locator("#h").inner_text() == "1 2 3"
    picture = Image.open(BytesIO(page.screenshot())).convert("RGB")
    assert picture.size == (320, 240)
    colours = {colour for _, colour in picture.getcolors(maxcolors=320 * 240)}
    assert (0xA0, 0x20, 0x50) in colours
    assert (255, 255, 255) in colours
