"""What doctor makes of the facts of an engine and an image."""

import pytest

from cognition.cli.containers import engine_check, image_check, runtime_check
from sandbox.docker.detect import engine_of
from sandbox.docker.image import Image

LIMITS = {"MemoryLimit": True, "SwapLimit": True, "CpuCfsQuota": True, "PidsLimit": True}
ORDINARY = LIMITS | {"SecurityOptions": ["name=seccomp,profile=builtin"], "Runtimes": {"runc": {}}}
VERSION = {"Version": "29.1.0", "ApiVersion": "1.52"}


def test_an_ordinary_engine_is_fine() -> None:
    check = engine_check(engine_of("unix:///s", ORDINARY, VERSION))
    assert (check.state, check.advice) == ("ok", "")
    assert check.finding.startswith("Docker 29.1.0 (API 1.52) at unix:///s: as root, no user namespaces, no runsc")


def test_limits_that_are_not_enforced_are_a_warning_that_names_them() -> None:
    check = engine_check(engine_of("unix:///s", ORDINARY | {"SwapLimit": False, "PidsLimit": False}, VERSION))
    assert check.state == "warn"
    assert "can't enforce limits of swap, pids" in check.advice
    assert "Rootless" not in check.advice


def test_a_rootless_engine_is_told_what_it_needs_for_them() -> None:
    info = ORDINARY | {"MemoryLimit": False, "SecurityOptions": ["name=seccomp,profile=builtin", "name=rootless"]}
    check = engine_check(engine_of("unix:///s", info, VERSION))
    assert "rootless" in check.finding
    assert "no user namespaces" not in check.finding
    assert "cgroup v2 with delegation" in check.advice


def test_an_engine_without_seccomp_is_a_warning() -> None:
    check = engine_check(engine_of("unix:///s", ORDINARY | {"SecurityOptions": []}, VERSION))
    assert check.state == "warn"
    assert "system calls" in check.advice


def test_a_remote_one_with_gvisor_and_namespaces_says_so() -> None:
    info = ORDINARY | {"Runtimes": {"runsc": {}}, "SecurityOptions": ["name=seccomp", "name=userns", "name=apparmor"]}
    finding = engine_check(engine_of("tcp://lab:2376", info, VERSION)).finding
    for fact in ("remote", "user namespaces", "runsc (gVisor) registered", "AppArmor"):
        assert fact in finding


def test_many_packages_are_counted() -> None:
    packages = tuple(f"p{number}==1" for number in range(40))
    finding = image_check(Image("sha256:" + "a" * 64, "x:1", "3.11.2", None, packages)).finding
    assert "no Node" in finding
    assert finding.endswith("p11==1 and 28 more")


def test_an_image_of_somebody_else_is_fine() -> None:
    check = image_check(Image("sha256:" + "a" * 64, "python:3.11-slim", None, None, ()))
    assert check.state == "ok"
    assert "not made by us" in check.finding


def test_what_containers_run_under_is_said() -> None:
    engine = engine_of("unix:///s", ORDINARY | {"DefaultRuntime": "runc"}, VERSION)
    assert runtime_check(None, engine).finding == "runc: the host's own kernel"
    assert runtime_check("runsc", engine).finding.startswith("runsc: gVisor's kernel")


def test_gvisor_is_known_by_its_program_and_not_by_its_name() -> None:
    runtimes = {
        "runsc": {"path": "/usr/sbin/runc"},
        "safe": {"path": "/usr/bin/runsc", "runtimeArgs": ["--platform=ptrace", "--host-uds=open"]},
        "shim": {"runtimeType": "io.containerd.runsc.v1"},
    }
    engine = engine_of("unix:///s", ORDINARY | {"Runtimes": runtimes}, VERSION)
    posing = runtime_check("runsc", engine)
    assert posing.state == "warn"
    assert posing.finding.startswith("runsc (/usr/sbin/runc): the host's own kernel")
    real = runtime_check("safe", engine)
    assert (real.state, real.advice) == ("ok", "")
    assert real.finding.startswith("safe (/usr/bin/runsc --platform=ptrace --host-uds=open): gVisor's kernel")
    assert runtime_check("shim", engine).finding.endswith("gVisor's kernel between code and host")


@pytest.mark.parametrize("flag", ["--ignore-cgroups", "-ignore-cgroups", "--ignore-cgroups=true"])
def test_gvisor_without_control_groups_is_a_warning(flag: str) -> None:
    runtimes = {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": [flag]}}
    check = runtime_check("runsc", engine_of("unix:///s", ORDINARY | {"Runtimes": runtimes}, VERSION))
    assert check.state == "warn"
    assert "all that the host has" in check.advice


def test_gvisor_that_reaches_no_socket_of_the_host_is_told_how_it_does() -> None:
    runtimes = {"runsc": {"path": "/usr/bin/runsc", "runtimeArgs": ["--ignore-cgroups=false"]}}
    check = runtime_check("runsc", engine_of("unix:///s", ORDINARY | {"Runtimes": runtimes}, VERSION))
    assert check.state == "ok"
    assert "--host-uds=open" in check.advice
