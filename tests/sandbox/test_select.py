"""Settings, and the choice of a backend."""

import subprocess
import sys

import pytest
from pydantic import ValidationError

from sandbox import Limits, SandboxSettings, SandboxUnavailable, select
from sandbox.monty import MontyBackend
from sandbox.unsafe_local import UnsafeLocalBackend

NOWHERE = "unix:///nowhere/docker.sock"


def test_auto_falls_back_to_the_embedded_interpreter_and_says_so():
    backend = select(SandboxSettings(engine=NOWHERE))
    assert isinstance(backend, MontyBackend)
    assert "monty" in backend.notice
    assert "subset" in backend.notice
    with backend.open() as box:
        assert box("1").output == 1
    backend.close()


def test_monty_by_name_needs_no_notice():
    assert select(SandboxSettings(backend="monty")).notice is None


def test_docker_by_name_is_an_error_that_says_what_to_set():
    with pytest.raises(SandboxUnavailable, match="start it"):
        select(SandboxSettings(backend="docker", engine=NOWHERE))


@pytest.mark.docker
def test_auto_takes_a_container_where_an_engine_has_the_image(sandbox_image):
    backend = select(SandboxSettings(image=sandbox_image, warm=0))
    with backend.open() as box:
        assert (backend.name, backend.notice, box("6 * 7").output) == ("docker", None, 42)
    backend.close()


@pytest.mark.docker
def test_an_engine_without_the_image_says_what_to_type(docker_engine):
    with pytest.raises(SandboxUnavailable, match="dionysus sandbox build"):
        select(SandboxSettings(backend="docker", image="dionysus-sandbox:never-made"))


@pytest.mark.docker
def test_auto_says_what_to_type_where_only_the_image_is_missing(docker_engine):
    backend = select(SandboxSettings(image="dionysus-sandbox:never-made"))
    backend.close()
    assert backend.name == "monty"
    assert "for containers type `dionysus sandbox build --tag dionysus-sandbox:never-made`" in backend.notice


def test_unsafe_local_is_taken_only_by_name_and_warns():
    backend = select(SandboxSettings(backend="unsafe-local"))
    assert isinstance(backend, UnsafeLocalBackend)
    assert "nothing holds it back" in backend.notice


@pytest.mark.parametrize(
    ("wrong", "right"), [("montyy", "monty"), ("Docker", "docker"), ("unsafe_local", "unsafe-local")]
)
def test_an_unknown_backend_names_the_nearest_right_one(wrong, right):
    with pytest.raises(ValidationError, match=f"there is no sandbox backend '{wrong}'; did you mean '{right}'"):
        SandboxSettings(backend=wrong)


def test_a_backend_like_no_other_lists_the_choice():
    with pytest.raises(ValidationError, match="choose one of auto, docker, monty, unsafe-local"):
        SandboxSettings(backend="zzzz")


def test_settings_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("DIONYSUS_SANDBOX__STEP_TIMEOUT", "2.5")
    monkeypatch.setenv("DIONYSUS_SANDBOX__BACKEND", "monty")
    settings = SandboxSettings()
    assert (settings.step_timeout, settings.backend) == (2.5, "monty")
    assert SandboxSettings(step_timeout=1).step_timeout == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"step_timeout": 0},
        {"step_timeout": float("inf")},
        {"step_timeout": float("nan")},
        {"open_timeout": float("inf")},
        {"memory": 1},
        {"cpus": 1e-9},  # would be rounded to a quota of nothing, which is no limit to an engine
        {"recursion_limit": 1 << 40},
        {"value_depth": 1000},
        {"surprise": 1},
    ],
)
def test_wrong_limits_are_refused(wrong):
    with pytest.raises(ValidationError):
        SandboxSettings(**wrong)


def test_settings_are_limits_and_frozen():
    settings = SandboxSettings()
    assert isinstance(settings, Limits)
    assert settings.step_timeout == Limits().step_timeout == 30.0
    with pytest.raises(ValidationError):
        settings.memory = 1


def test_importing_the_package_loads_no_heavy_library():
    code = (
        "import sys, sandbox\n"
        "sandbox.SandboxSettings()\n"
        "heavy = {'smolagents', 'pydantic_monty', 'docker', 'torch', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=250)


def test_every_public_name_can_be_had():
    import sandbox

    for name in sandbox.__all__:
        assert getattr(sandbox, name) is not None
    with pytest.raises(AttributeError, match="nothing"):
        sandbox.nothing  # noqa: B018
