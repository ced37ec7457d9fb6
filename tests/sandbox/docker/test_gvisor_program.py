"""What is read from an engine's list of runtimes about gVisor."""

import pytest

from sandbox.docker.gvisor import OWN_MEMORY, OWN_PROCESSES, Runtime, advice, listed, named
from sandbox.docker.launch import host_config
from sandbox.settings import SandboxSettings


@pytest.mark.parametrize(
    ("said", "gvisor"),
    [
        ({"path": "/usr/bin/runsc"}, True),
        ({"path": "/opt/runsc-2026"}, True),
        ({"path": "runsc"}, True),
        ({"path": "/usr/sbin/runc"}, False),
        ({"path": "/runsc/bin/crun"}, False),
        ({"runtimeType": "io.containerd.runsc.v1"}, True),
        ({"runtimeType": "io.containerd.runc.v2"}, False),
        ({}, True),
        (None, True),
    ],
)
def test_the_program_tells_and_a_name_only_where_there_is_none(said, gvisor):
    assert listed({"runsc": said})[0].gvisor == gvisor


def test_a_runtime_that_is_not_listed_is_known_by_its_name():
    assert named("io.containerd.runsc.v1", ()).gvisor
    assert not named("io.containerd.kata.v2", ()).gvisor
    assert not named(None, ()).gvisor
    assert named("b", listed({"b": {"path": "/x/runsc"}, "a": {}})).program == "/x/runsc"


@pytest.mark.parametrize(
    "flag", ["--ignore-cgroups", "-ignore-cgroups", "--ignore-cgroups=true", "--ignore-cgroups=1", "--ignore-cgroups=T"]
)
def test_a_runtime_that_ignores_control_groups_limits_nothing(flag):
    assert not Runtime("runsc", "runsc", (flag,)).limited
    assert not Runtime("runsc", "runsc", (flag, "--debug", "--platform", "ptrace")).limited
    for off in ("--ignore-cgroups=false", "--ignore-cgroups=0"):
        assert Runtime("runsc", "runsc", (off,)).limited
        assert Runtime("runsc", "runsc", (flag, off)).limited


@pytest.mark.parametrize(
    ("flag", "reaches"),
    [("--host-uds=open", True), ("-host-uds=all", True), ("--fsgofer-host-uds", True), ("--host-uds=create", False)],
)
def test_only_some_flags_let_a_box_reach_a_socket(flag, reaches):
    assert Runtime("runsc", "runsc", (flag,)).reaches_sockets == reaches


def test_a_flag_and_its_value_may_be_two_arguments():
    assert Runtime("runsc", "runsc", ("--platform", "ptrace", "--host-uds", "open")).reaches_sockets
    assert not Runtime("runsc", "runsc", ("--platform", "open", "--host-uds", "none")).reaches_sockets


def test_only_under_gvisor_its_own_memory_and_threads_come_on_top():
    settings = SandboxSettings()
    plain = host_config(settings, 5, "runc")
    assert (plain["Memory"], plain["PidsLimit"]) == (settings.memory, settings.processes)
    under = host_config(settings, 5, "gvisor", gvisor=True)
    assert under["Memory"] == under["MemorySwap"] == settings.memory + OWN_MEMORY
    assert under["PidsLimit"] == settings.processes + OWN_PROCESSES


def test_a_refusal_that_is_known_says_what_to_do():
    assert "--network=none" in advice(
        "start failed: cannot run with network enabled in root network namespace: unknown"
    )
    assert advice("no space left on device") == ""
