"""The engine and the image that the sandbox will stand on, with the limits that it will set."""

import json
from collections.abc import Iterator
from contextlib import closing

import docker
import pytest
from docker import DockerClient
from docker.errors import ContainerError
from docker.types import Ulimit

pytestmark = pytest.mark.docker

LIMITS = {
    "network_mode": "none",
    "read_only": True,
    "mem_limit": "512m",
    "memswap_limit": "512m",
    "cpu_quota": 50_000,
    "cpu_period": 100_000,
    "pids_limit": 100,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "user": "61000:61000",
    "ipc_mode": "none",
    "tmpfs": {"/tmp": "size=64m,noexec,nosuid,nodev,nr_inodes=4096"},
    "ulimits": [Ulimit(name="nofile", soft=256, hard=256), Ulimit(name="core", soft=0, hard=0)],
}
PROBE = """
import json, os, pathlib, socket, sys
def outcome(act):
    try:
        act()
    except OSError as error:
        return error.__class__.__name__
    return "worked"
print(json.dumps({
    "python": sys.version_info[:2],
    "uid": os.getuid(),
    "capabilities": [l.split()[1] for l in open("/proc/self/status") if l.startswith("CapEff")][0],
    "no_new_privileges": [l.split()[1] for l in open("/proc/self/status") if l.startswith("NoNewPrivs")][0],
    "interfaces": [name for _, name in socket.if_nameindex()],
    "write_root": outcome(lambda: pathlib.Path("/home/x").write_text("x")),
    "write_tmp": outcome(lambda: pathlib.Path("/tmp/x").write_text("x")),
    "fill_tmp": outcome(lambda: pathlib.Path("/tmp/full").write_bytes(bytes(65 * 2**20))),
}))
"""


@pytest.fixture
def engine(docker_engine: str) -> Iterator[DockerClient]:
    with closing(docker.DockerClient(base_url=docker_engine, timeout=120)) as client:
        yield client


def test_our_image_runs_python_within_the_limits_of_the_sandbox(engine: DockerClient, sandbox_image: str) -> None:
    printed = engine.containers.run(sandbox_image, ["python3", "-c", PROBE], remove=True, **LIMITS)
    seen = json.loads(printed)
    assert seen["python"] >= [3, 11]
    assert seen["uid"] == 61000
    assert int(seen["capabilities"], 16) == 0
    assert seen["no_new_privileges"] == "1"
    assert seen["interfaces"] == ["lo"]
    assert seen["write_root"] != "worked"
    assert seen["write_tmp"] == "worked"
    assert seen["fill_tmp"] == "OSError"


def test_the_memory_limit_ends_a_greedy_process(engine: DockerClient, sandbox_image: str) -> None:
    greedy = ["python3", "-c", "len(bytearray(b'x' * 700 * 2**20))"]
    with pytest.raises(ContainerError) as stopped:
        engine.containers.run(sandbox_image, greedy, remove=True, **LIMITS)
    assert stopped.value.exit_status == 137


def test_the_pids_limit_ends_a_fork_storm(engine: DockerClient, sandbox_image: str) -> None:
    storm = "import os, time\nfor n in range(300):\n    if os.fork() == 0:\n        time.sleep(20)"
    with pytest.raises(ContainerError) as stopped:
        engine.containers.run(sandbox_image, ["python3", "-c", storm], remove=True, **LIMITS)
    assert b"BlockingIOError" in stopped.value.stderr
