"""Two runs of tests on one machine: their engines don't share what they keep."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TAKE = """
import sys
from provision.docker_engine import unused
with unused("docker") as folder:
    print(folder.name, flush=True)
    sys.stdin.read()
"""


def taken(cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "DIONYSUS_CACHE": str(cache), "PYTHONPATH": str(ROOT / "scripts")}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", TAKE], env=environment, text=True, **pipes)


def test_a_run_beside_another_keeps_its_engine_elsewhere_until_that_one_has_ended(tmp_path: Path) -> None:
    with taken(tmp_path) as first:
        assert first.stdout.readline() == "docker\n"
        with taken(tmp_path) as beside:
            assert beside.stdout.readline() == "docker-2\n"
            first.kill()
            first.wait()
            with taken(tmp_path) as after:
                assert after.stdout.readline() == "docker\n"
