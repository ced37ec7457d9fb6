"""`make demo` where an engine answers and has no image: it says so, builds when asked to, and goes on either way."""

import importlib.util
import io
import sys
from pathlib import Path

import pytest

from sandbox import ImageNotBuilt
from sandbox.docker import build

pytestmark = pytest.mark.docker


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def offer(docker_engine, monkeypatch):
    """What the demo does about the image, and the names of images that it had built."""
    monkeypatch.setenv("DIONYSUS_SANDBOX__IMAGE", "dionysus-not-there:1")
    spec = importlib.util.spec_from_file_location("demo", Path(__file__).parents[3] / "scripts/demo.py")
    demo, built = importlib.util.module_from_spec(spec), []
    spec.loader.exec_module(demo)
    monkeypatch.setattr(build, "build", lambda _engine, _recipe, name, **_: built.append(name))

    def answered(stdin):
        monkeypatch.setattr(sys, "stdin", stdin)
        demo._offer_image()
        return built

    return answered


@pytest.mark.parametrize(("answer", "built"), [("y\n", ["dionysus-not-there:1"]), ("n\n", []), ("\n", [])])
def test_it_is_built_only_by_a_yes(offer, capsys, answer, built):
    assert offer(Terminal(answer)) == built
    assert "dionysus sandbox build --tag dionysus-not-there:1" in capsys.readouterr().out


def test_without_a_terminal_nobody_is_asked(offer, capsys):
    assert offer(io.StringIO("y\n")) == []
    assert "Code could run in containers" in capsys.readouterr().out


def test_a_build_that_fails_does_not_end_the_demo(offer, capsys, monkeypatch):
    def failing(*_, **__):
        raise ImageNotBuilt("no registry")

    monkeypatch.setattr(build, "build", failing)
    offer(Terminal("y\n"))
    assert "no registry\nThe demo goes on without it." in capsys.readouterr().out


def test_nothing_is_said_where_the_image_is_there(offer, capsys, monkeypatch, sandbox_image):
    monkeypatch.setenv("DIONYSUS_SANDBOX__IMAGE", sandbox_image)
    assert offer(Terminal("y\n")) == []
    assert capsys.readouterr().out == ""
