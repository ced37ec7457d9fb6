"""The dashboard: who may see it, what it shows, and that nothing in a span can act in a browser."""

import contextlib
import re
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from observability import Kind, Telemetry, TelemetryError, TraceSettings, span
from observability.dashboard import new_token, serve
from observability.dashboard.pages import lines
from observability.dashboard.swimlane import colours, swimlane
from observability.dashboard.wording import ago, count, duration, usd
from tests.observability.dashboards import RUN, TOKEN, served
from tests.observability.five_layers import HOSTILE, TASK, five_layer_run


@pytest.fixture(scope="module")
def dashboard(tmp_path_factory):
    """Shows one run of five layers to all tests that only look."""
    with shown(tmp_path_factory.mktemp("dashboard") / "trace.db") as address:
        yield address


@pytest.fixture(scope="module")
def reader(dashboard):
    """Somebody with the token."""
    with reading(dashboard) as client:
        yield client


@pytest.fixture
def own_reader(telemetry, store_path):
    """Somebody with the token of a dashboard to which the test adds runs of its own."""
    five_layer_run(telemetry)
    telemetry.flush()
    with served(store_path) as address, reading(address) as client:
        yield client


@contextlib.contextmanager
def shown(store_path):
    with Telemetry(TraceSettings(path=store_path), service="test") as telemetry:
        five_layer_run(telemetry)
        assert telemetry.flush(60)
        with served(store_path) as address:
            yield address


def reading(address, token=TOKEN):
    # Without certificates, which a client loads for a tenth of a second: nothing here is encrypted.
    return httpx.Client(base_url=address, cookies={"dionysus_dashboard": token}, timeout=60, verify=False)


# Who may look


def test_without_the_token_nothing_is_shown(dashboard):
    for path in ("/", f"/run/{RUN}", "/static/style.css", "/nothing"):
        for given in ({}, {"cookies": {"dionysus_dashboard": "guess"}}, {"params": {"token": "guess"}}):
            with httpx.Client(base_url=dashboard, cookies=given.get("cookies"), timeout=60, verify=False) as client:
                answer = client.get(path, params=given.get("params"))
            assert answer.status_code == 401
            assert "Redis" not in answer.text


def test_the_token_becomes_a_cookie_that_scripts_and_other_sites_cannot_use(dashboard):
    answer = httpx.get(f"{dashboard}/run/{RUN}?token={TOKEN}&by=tokens", timeout=60)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/run/{RUN}?by=tokens")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/"} <= set(cookie.split("; "))
    assert httpx.get(f"{dashboard}//evil.test/?token={TOKEN}", timeout=60).headers["location"] == "/evil.test/"


@pytest.mark.parametrize(
    "host", ["evil.test", "evil.test:80", "127.0.0.1.evil.test", "", "[::2]:80", "localhost@evil.test"]
)
def test_another_host_name_is_refused_even_with_the_token(reader, host):
    assert reader.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8642", "LOCALHOST", "[::1]:8642", "[::1]"])
def test_the_machines_own_names_are_taken(reader, host):
    assert reader.get("/", headers={"host": host}).status_code == 200


def test_it_only_reads(reader):
    assert reader.post("/").status_code == 405
    assert reader.delete(f"/run/{RUN}").status_code == 405


@pytest.mark.parametrize("path", ["/", f"/run/{RUN}", "/nothing", "/static/dashboard.js"])
def test_every_answer_carries_a_strict_policy(reader, path):
    headers = reader.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"


def test_files_outside_the_static_folder_are_not_served(reader):
    for path in ("/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/static//etc/passwd"):
        assert reader.get(path).status_code == 404


def test_tokens_are_long_and_never_the_same():
    assert len({new_token() for _ in range(50)}) == 50
    assert len(new_token()) >= 32


# What is shown


def test_the_list_shows_runs_and_selects_by_status(telemetry, own_reader):
    reader = own_reader
    with pytest.raises(ValueError, match="429"), span(telemetry.tracer, Kind.RUN, "failing", {"input.value": "x"}):
        raise ValueError("answered 429")
    telemetry.flush()
    everything = reader.get("/").text
    assert "Which queue should the ingest service use" in everything
    assert "answered 429" in everything
    failed = reader.get("/?status=error").text
    assert "answered 429" in failed
    assert "Which queue" not in failed
    assert "No interrupted runs" in reader.get("/?status=interrupted").text
    assert reader.get("/?status=%27&limit=-1").status_code == 200


def test_a_run_shows_its_layers_steps_recalls_and_what_its_trace_lacks(reader):
    page = reader.get(f"/run/{RUN}").text
    assert page.count('class="lane ') == 5
    for layer, steps in {"perceptual": '2 <span class="quiet">of 3', "abstract": '2 <span class="quiet">of 7'}.items():
        assert layer in page
        assert steps in page
    assert "1 closing" in page
    assert page.count("<details ") == 48
    assert page.count("<details ") == page.count("</details>")
    assert page.count("<div") == page.count("</div>")
    assert page.count('class="recall ') == 2
    assert "4.213" in page
    assert "mem-7f3a01" in page
    assert "secrets taken out" in page
    assert "≥ $0.1268" in page


def test_the_beginning_of_an_id_is_enough_and_a_wrong_one_is_explained(reader):
    assert TASK[:40] in reader.get("/run/5f0").text
    missing = reader.get("/run/zzz")
    assert missing.status_code == 404
    assert f"the nearest are {RUN}" in missing.text
    assert reader.get(f"/run/{RUN}/span/0000000000000000").status_code == 404


def test_what_was_said_is_loaded_on_demand(reader):
    page = reader.get(f"/run/{RUN}").text
    assert "You are one of five layers" not in page
    recalls = re.findall(r'href="(/run/[^"]+/span/[^"]+)"[^>]*aria-label="what was said in (?:chat|search)', page)
    texts = [reader.get(path).text for path in recalls]
    assert any("You are one of five layers" in text for text in texts)
    assert any("no Redis in production" in text for text in texts)
    assert not any("sk-ant-" in text for text in texts)


def test_nothing_of_a_hostile_span_becomes_markup(telemetry, own_reader):
    reader = own_reader
    for name in ("dionysus.layer", "session.id", "input.value", "output.value", "dionysus.stop_reason"):
        with pytest.raises(ValueError, match="script"), span(telemetry.tracer, Kind.RUN, HOSTILE, {name: HOSTILE}):
            raise ValueError(HOSTILE)
    telemetry.flush()
    pages = [reader.get("/").text]
    for path in dict.fromkeys(re.findall(r'href="(/run/[^"]+)"', pages[0])):
        pages.append(reader.get(path).text)
        pages += [reader.get(one).text for one in re.findall(r'href="(/run/[^"]+/span/[^"]+)"', pages[-1])]
    assert len(pages) > 50
    for page in pages:
        assert "<script>document" not in page
        assert "<img" not in page
        assert re.findall(r"<script[^>]*>", page) == ['<script src="/static/dashboard.js" defer>']


def test_nothing_is_loaded_from_elsewhere(reader):
    folder = Path(sys.modules["observability.dashboard"].__file__).parent
    shipped = "".join(path.read_text() for path in sorted(folder.glob("[!_]*/*")) if path.is_file())
    addresses = set(re.findall(r"https?://[^\s\"')]+", shipped + reader.get(f"/run/{RUN}").text))
    assert addresses == {"http://www.w3.org/2000/svg"}


# The picture's geometry


@pytest.fixture
def trace(telemetry, open_store):
    five_layer_run(telemetry, scale=0.05)
    telemetry.flush()
    return open_store().run(RUN)


@pytest.mark.parametrize("axis", ["time", "cost", "tokens"])
def test_bars_lie_within_the_picture_and_within_their_parents(trace, axis):
    picture = swimlane(trace, axis, time.time_ns())
    bars = {bar.span.span_id: bar for lane in picture.lanes for bar in lane.bars}
    assert len(bars) >= (40 if axis == "time" else 20)
    for lane in picture.lanes:
        for bar in lane.bars:
            assert -0.001 <= bar.x <= 100
            assert bar.y + bar.height <= lane.height
            parent = bars.get(bar.span.parent_id)
            if parent is not None:
                assert parent.x - 0.001 <= bar.x
                assert bar.x + bar.width <= parent.x + parent.width + 0.3
    assert picture.ticks[0][0] == 0
    assert picture.ticks[-1] == pytest.approx((100, picture.total))


def test_widths_stand_for_what_was_used(trace):
    picture = swimlane(trace, "tokens", time.time_ns())
    calls = [bar for lane in picture.lanes for bar in lane.bars if bar.role == "chat"]
    assert picture.total == trace.summary.cost.tokens
    for bar in calls:
        used = bar.span.input_tokens + bar.span.output_tokens
        assert bar.width == pytest.approx(100 * used / picture.total)


def test_a_run_without_prices_has_no_picture_of_cost(telemetry, open_store):
    with (
        span(telemetry.tracer, Kind.RUN, "run", {"dionysus.run.id": "free"}),
        span(telemetry.tracer, Kind.CHAT, "chat"),
    ):
        pass
    telemetry.flush()
    assert swimlane(open_store().run("free"), "cost", time.time_ns()).lanes == []


def test_a_layer_that_runs_beside_itself_gets_a_row_for_each(telemetry, open_store):
    tracer = telemetry.tracer
    with span(tracer, Kind.RUN, "run", {"dionysus.run.id": "beside"}):
        both = [tracer.start_span(f"invoke_agent {n}", attributes=LAYER) for n in (1, 2)]
        for one in both:
            one.end(time.time_ns() + 10_000_000)
    telemetry.flush()
    (lane,) = swimlane(open_store().run("beside"), "time", time.time_ns()).lanes
    assert sorted({bar.y for bar in lane.bars}) == [0, 44]
    assert lane.height == 88


LAYER = {"dionysus.span.kind": "layer", "dionysus.layer": "abstract"}


def test_the_default_layers_keep_their_colours_and_others_get_the_rest():
    palette = colours(["legal", "perceptual", "tax", "law", "art"])
    assert palette["perceptual"] == colours([])["perceptual"]
    assert set(palette.values()) <= set(range(9))
    assert palette["legal"] not in {palette[name] for name in ("consciousness", "perceptual", "abstract", "tax")}


def test_the_trees_lines_open_and_close_evenly(trace):
    depth = 0
    for line in lines(trace, time.time_ns()):
        depth += 1 - line.closes
        assert depth >= 0
        assert 0 <= line.x <= 100
    assert depth == 0


def test_numbers_are_written_for_people():
    assert [duration(s) for s in (0, 0.34, 0.9999, 4.23, 59.97, 185, 7800)] == [
        "0 ms", "340 ms", "1.0 s", "4.2 s", "1 min 00 s", "3 min 05 s", "2 h 10 min",
    ]  # fmt: skip
    assert [usd(x) for x in (None, 0.0, 0.00001, 0.0123, 1.5, 1234.5)] == [
        "\N{EN DASH}", "$0", "< $0.0001", "$0.0123", "$1.50", "$1,234.50",
    ]  # fmt: skip
    assert [count(n) for n in (0, 999, 12_345, 999_960, 4_100_000)] == ["0", "999", "12.3k", "1.0M", "4.1M"]
    assert [ago(0, s * 10**9) for s in (1, 300, 10_800, 172_800)] == ["just now", "5 min ago", "3 h ago", "2 days ago"]


# Serving


def test_serving_prints_an_address_that_works_and_ends_on_ctrl_c(store_path):
    script = f"""
from pathlib import Path
from observability import TraceSettings
from observability.dashboard import serve
serve(TraceSettings(path=Path({str(store_path)!r})), port=0, announce=lambda url: print(url, flush=True))
"""
    server = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        address = server.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        with httpx.Client(follow_redirects=True, timeout=60) as client:
            page = client.get(address)
        assert re.search(r"No\s+runs yet", page.text)
        assert "token" not in str(page.url)
    finally:
        server.send_signal(2)
        _, errors = server.communicate(timeout=30)
    assert address.rpartition("=")[2] not in errors


def test_a_port_that_is_taken_is_named(store_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TelemetryError, match=f"can't listen on 127.0.0.1 port {port}: .*; choose another port"):
            serve(TraceSettings(path=store_path), port=port)


def test_a_foreign_file_is_refused_before_anything_is_served(store_path):
    store_path.parent.mkdir()
    sqlite3.connect(store_path).execute("CREATE TABLE people (name TEXT)").connection.close()
    with pytest.raises(TelemetryError, match="another program's database"):
        serve(TraceSettings(path=store_path), port=0)
