"""LiteLLM kept quiet, in processes of its own: no network but the model's, no `.env`, no word on the terminal."""

import subprocess
import sys
import textwrap
from pathlib import Path

ASK = """
    import sys
    reached = []
    def note(event, arguments):
        if event == "socket.connect" and isinstance(arguments[1], tuple):
            reached.append(arguments[1][0])
        if event == "socket.getaddrinfo":
            reached.append(arguments[0])
    sys.addaudithook(note)

    from smolagents.models import ChatMessage, MessageRole
    from layers.run import Lifeline, LoopThread, RunStopped
    from layers.tiers.base import ChatRequest
    from layers.tiers.registry import Tiers
    from layers.tiers.settings import ProviderKeys, TierSettings
    from tests.support.openai_server import Fail, OpenAIServer, Say, refusing_port

    request, lifeline, loop = ChatRequest([ChatMessage(MessageRole.USER, "hi")]), Lifeline(), LoopThread()
    with OpenAIServer([Fail(500), Say("hello")]) as server, refusing_port() as nobody:
        fast = TierSettings(models=("openai/x",), api_base=server.url)
        deep = TierSettings(models=("anthropic/claude-haiku-5-5",), api_base=nobody, retries=0)
        tiers = Tiers({"fast": fast, "deep": deep}, loop, keys=ProviderKeys())
        assert tiers.model("fast").chat(request, lifeline).message.content == "hello"
        try:
            tiers.model("deep").chat(request, lifeline)
            raise AssertionError("nobody answered, and yet there is an answer")
        except RunStopped as stop:
            assert stop.reason == "model_unavailable", stop
        tiers.close()
        assert server.wait_for_sockets(0)
    loop.close()
    assert set(reached) <= {"127.0.0.1"}, reached
    assert reached, "the audit hook saw nothing"
"""

LEAVE = """
    from layers.tiers.gateway import Gateway
    import time
    Gateway().warm()
    time.sleep({seconds})
"""


def run(code, cwd=None, timeout=120):
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path), "PATH": "/usr/bin:/bin"}
    program = [sys.executable, "-c", textwrap.dedent(code)]
    return subprocess.run(program, cwd=cwd, env=environment, capture_output=True, text=True, timeout=timeout)


def test_calls_reach_their_own_address_only_and_print_nothing():
    done = run(ASK)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_litellm_does_not_load_the_dotenv_of_the_working_directory(tmp_path):
    (tmp_path / ".env").write_text("FROM_A_DOTENV=1\n")
    code = "import os; from layers.tiers.gateway import Gateway; Gateway().warm().result(); print(dict(os.environ))"
    done = run(code, tmp_path)
    assert done.returncode == 0
    assert "LITELLM_MODE" in done.stdout
    assert "FROM_A_DOTENV" not in done.stdout


def test_smolagents_does_not_load_the_dotenv_above_its_own_folder(tmp_path):
    """As in a project whose virtual environment lies inside it."""
    import smolagents

    (tmp_path / ".env").write_text("FROM_A_DOTENV=1\n")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "smolagents").symlink_to(Path(smolagents.__file__).parent)
    code = """
        import os, sys
        sys.path.insert(0, {site!r})
        from layers.tiers.settings import no_dotenv
        before = dict(os.environ)
        with no_dotenv():
            import smolagents
        assert smolagents.__file__.startswith({site!r})
        assert "FROM_A_DOTENV" not in os.environ
        assert "PYTHON_DOTENV_DISABLED" not in os.environ
    """
    done = run(code.format(site=str(tmp_path / "site")))
    assert (done.returncode, done.stderr) == (0, "")


def test_a_program_that_ends_while_litellm_loads_ends_quietly():
    for seconds in (0, 1):
        done = run(LEAVE.format(seconds=seconds))
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_tiers_load_without_litellm_and_smolagents():
    code = "import sys, layers.tiers.registry; print([m for m in ('litellm', 'smolagents') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"
