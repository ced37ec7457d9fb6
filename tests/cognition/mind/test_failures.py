"""What breaks around a mind: providers, servers, processes, Ctrl-C. Each is one clear error, and nothing is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from smolagents.models import ChatMessage, MessageRole, Model
from smolagents.monitoring import TokenUsage

from cognition import (
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    MemoryUnavailable,
    Mind,
    ModelUnavailable,
    StopReason,
    ThinkingError,
)
from tests.support.openai_characters import costly, garbage, never_finishing, obedient
from tests.support.openai_server import Fail, Hang, OpenAIServer, Rubbish, Say, refusing_port
from tests.support.scripted_model import ScriptedModel, calls, code, layer_of, report

REPOSITORY = Path(__file__).resolve().parents[3]


def served_by(url, **more):
    """Keywords for a mind whose every layer is answered by a server."""
    deployment = {"model": "openai/scripted", "api_base": url, "api_key": "sk-test-0123456789abcdef"}
    return {"tiers": {"served": {"models": [deployment], "timeout": 120, "retries": 0, **more}}, "tier": "served"}


def test_an_obedient_model_over_http_answers_in_every_layer(make_mind):
    with OpenAIServer(obedient("Forty-two.")) as server, make_mind(**served_by(server.url)) as mind:
        thought = mind.think("What is it?")
    assert thought.answer == "Forty-two."
    assert thought.total.model_calls == len(server.requests)
    counted = sum(18 for _ in server.requests)
    assert thought.total.tokens == counted


def test_a_model_that_never_finishes_stops_at_every_limit(make_mind):
    with OpenAIServer(never_finishing("All I have.")) as server, make_mind(**served_by(server.url)) as mind:
        thought = mind.think("Go on for ever")
    assert thought.answer == "All I have."
    assert thought.steps["consciousness"] == 10
    assert thought.steps["perceptual"] == 3


def test_a_model_that_writes_no_code_ends_with_what_it_said(make_mind):
    with OpenAIServer(garbage("Well, it depends.")) as server, make_mind(**served_by(server.url)) as mind:
        thought = mind.think("What is it?")
    assert thought.steps["consciousness"] <= 10
    assert thought.confidence is None


def test_a_price_in_the_settings_makes_a_usd_budget_hold(make_mind):
    prices = {"input_usd_per_million": 1000.0, "output_usd_per_million": 1000.0, "max_tokens": 50}
    script = costly(1000, never_finishing())
    with OpenAIServer(script) as server, make_mind(**served_by(server.url, **prices)) as mind:
        with pytest.raises(Exception, match="usd") as ended:
            mind.think("Spend", budget={"usd": 5.0})
        assert ended.value.partial.cost_usd is not None


@pytest.mark.parametrize(
    ("action", "error", "words"),
    [
        (Fail(401), ConfigurationError, "key"),
        (Fail(429), ModelUnavailable, "429|rate"),
        (Fail(500), ModelUnavailable, "500|server"),
        (Rubbish(), ModelUnavailable, "served"),
    ],
)
def test_a_failing_provider_is_one_error_of_the_run(make_mind, action, error, words):
    with OpenAIServer(lambda _: action) as server, make_mind(**served_by(server.url)) as mind:
        with pytest.raises(error, match=f"(?i){words}") as failed:
            mind.think("What is it?")
        assert "sk-test" not in str(failed.value)
        assert failed.value.partial is not None


def test_a_provider_that_is_not_there_is_named(make_mind):
    with refusing_port() as url, make_mind(**served_by(url)) as mind, pytest.raises(ModelUnavailable, match="served"):
        mind.think("What is it?")


def test_a_hanging_provider_ends_with_the_deadline_and_its_socket_is_closed(make_mind):
    with OpenAIServer(lambda _: Hang(60)) as server, make_mind(**served_by(server.url)) as mind:
        mind.think.__self__.layers  # noqa: B018 - the parts are open before the clock starts
        began = time.monotonic()
        with pytest.raises(DeadlineExceeded):
            mind.think("What is it?", deadline=4.0)
        assert time.monotonic() - began < 4.0 + 3
        assert server.wait_for_sockets(0)


def test_a_hanging_provider_can_be_cancelled_in_mid_call(make_mind):
    with OpenAIServer(lambda _: Hang(60)) as server, make_mind(**served_by(server.url)) as mind:
        thinking = mind.start("What is it?")
        assert server.wait_for_requests(1, timeout=120)
        began = time.monotonic()
        thinking.cancel()
        with pytest.raises(Cancelled):
            thinking.result()
        assert time.monotonic() - began < 3
        assert server.wait_for_sockets(0)


def test_a_users_own_smolagents_model_is_a_tier(make_mind):
    class Parrot(Model):
        def generate(self, messages, **kwargs):
            if kwargs.get("tools_to_call_from"):
                return calls(("final_answer", {"answer": "seen"}))
            text = report("pretty bird")
            return ChatMessage(MessageRole.ASSISTANT, content=text, token_usage=TokenUsage(5, 2))

    with make_mind(tiers={"parrot": Parrot(model_id="parrot-1")}, tier="parrot") as mind:
        thought = mind.think("Who is pretty?")
    assert thought.answer == "pretty bird"
    assert thought.cost_usd is None


SERVER = """
from mcp.server.mcpserver import MCPServer
server = MCPServer("shop")
@server.tool()
def price(article: str) -> dict:
    '''Tell the price of an article in cents.'''
    return {"article": article, "cents": 250}
server.run()
"""


def test_tools_of_another_mcp_server_reach_the_layer_that_names_them(make_mind, tmp_path):
    (tmp_path / "shop.py").write_text(SERVER)

    def play(request):
        if layer_of(request) == "perceptual":
            return calls(("final_answer", {"answer": {"answer": ""}}))
        return code("final_answer({'answer': shop_price(article='tea')['cents']})")

    given = {
        "mcp": {"shop": {"command": sys.executable, "args": [str(tmp_path / "shop.py")]}},
        "layers": {"consciousness": {"tools": ["remember", "shop.price"]}},
        "tiers": {"scripted": ScriptedModel(play)},
        "tier": "scripted",
    }
    with make_mind(**given) as mind:
        assert mind.think("What does tea cost?").answer == 250


def test_an_mcp_server_that_does_not_start_is_named(make_mind):
    mind = make_mind(mcp={"shop": {"command": sys.executable, "args": ["-c", "raise SystemExit('no licence')"]}})
    with pytest.raises(ConfigurationError, match=r"\[mcp\.shop\](.|\n)*no licence"):
        mind.think("x")


def test_a_memory_server_that_dies_comes_back(mind):
    assert mind.think("Who owns the payment service?").success
    for process in _children():
        if b"dionysus_mcp.server" in process.read_bytes():
            os.kill(int(process.parent.name), signal.SIGKILL)
    assert "Ines Duarte" in mind.think("Who owns the payment service?").answer


def test_a_store_that_is_not_ours_is_refused_and_left_alone(tmp_path):
    import sqlite3

    path = tmp_path / "other.db"
    with sqlite3.connect(path) as other:
        other.execute("create table songs (title text)")
        other.execute("insert into songs values ('Ninna nanna')")
    other.close()
    before = path.read_bytes()
    with pytest.raises(MemoryUnavailable, match=r"other\.db"):
        Mind(memory=f"sqlite:///{path}", tier="offline", trace={"enabled": False}).think("x")
    assert path.read_bytes() == before


@pytest.mark.parametrize("url", ["oracle://localhost/x", "mysql://localhost/x"])
def test_another_kind_of_store_is_refused_by_its_name(url):
    with pytest.raises(Exception, match=url.partition(":")[0]):
        Mind(memory=url, tier="offline", trace={"enabled": False}).think("x")


SCRIPT = """
import sys
from cognition import Cancelled, Mind
sys.path.insert(0, sys.argv[2])
from tests.support.scripted_model import ScriptedModel, calls, code, layer_of
def play(request):
    if layer_of(request) == "perceptual":
        return calls(("final_answer", {"answer": {"answer": "what was seen"}}))
    print("looping", flush=True)
    return code("while True:\\n    pass")
home = sys.argv[1]
with Mind(tiers={"s": ScriptedModel(play)}, tier="s", sandbox="monty", memory=f"sqlite:///{home}/m.db", trace={"path":
f"{home}/t.db"}) as mind:
    try:
        mind.think("loop")
    except Cancelled as cancelled:
        print("cancelled with:", cancelled.partial.answer, flush=True)
"""


def test_ctrl_c_in_the_middle_of_a_step_cancels_and_leaves_no_process(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(tmp_path), str(REPOSITORY)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=REPOSITORY,
        start_new_session=True,
    )
    assert process.stdout.readline().strip() == "looping"
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the whole group
    out, err = process.communicate(timeout=120)
    assert "cancelled with: what was seen" in out, err
    assert "Traceback" not in err
    assert process.returncode == 0
    assert _group(process.pid) == []


def _children():
    return [
        path / "cmdline" for path in Path("/proc").iterdir() if path.name.isdigit() and _parent(path) == os.getpid()
    ]


def _parent(path: Path) -> int:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _group(group: int) -> list[str]:
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] != "Z":
                found.append(path.name)
    return found


@pytest.mark.parametrize("answer", [Say(""), Say(None, reasoning="Hm."), Say("<think>Hm.</think>")])
def test_an_empty_answer_is_a_failure_and_no_answer(make_mind, answer):
    with OpenAIServer([answer]) as server, make_mind(**served_by(server.url)) as mind:
        with pytest.raises(ThinkingError, match="empty answer") as ended:
            mind.think("What is it?")
        assert ended.value.stop_reason is StopReason.FAILED
        assert ended.value.partial.total.model_calls == len(server.requests)
        assert not ended.value.partial.success


def test_an_empty_answer_is_tried_again_where_retries_allow(make_mind):
    played = obedient("Forty-two.")

    def play(request):
        return played(request) if len(server.requests) > 16 else Say("")

    with OpenAIServer(play) as server, make_mind(**served_by(server.url)) as mind:
        thought = mind.think("What is it?", retries=1)
    assert thought.answer == "Forty-two."
    assert "Attempt 1 of 2 failed: The model gave an empty answer." in thought.errors


def test_a_model_whose_code_was_cut_off_is_told_so(make_mind):
    def play(request):
        if any("cut off" in text for text in request.texts):
            return obedient("Short.")(request)
        cut = Say("Thought: I begin.\n<code>\nx = 'abc", finish="length")
        return obedient("Seen.")(request) if request.tools else cut

    with OpenAIServer(play) as server, make_mind(**served_by(server.url)) as mind:
        assert mind.think("What is it?").answer == "Short."
    assert any("write less at once" in text for text in server.requests[-1].texts)


def test_an_answer_held_back_by_a_filter_says_so(make_mind):
    with OpenAIServer([Say("", finish="content_filter")]) as server, make_mind(**served_by(server.url)) as mind:
        with pytest.raises(ModelUnavailable, match="content_filter") as ended:
            mind.think("What is it?")
        assert ended.value.partial.total.tokens == 18 * len(server.requests)
