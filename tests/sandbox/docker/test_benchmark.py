"""The benchmark of the sandbox runs, and prints each figure that is promised; how large they are is no test's business.

Machines are shared: a figure that is held by a test fails for what others do.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

BENCHMARK = Path(__file__).parents[3] / "benchmarks/sandbox.py"
PROMISED = (
    "docker_exec_per_step",
    "docker_exec_node_per_step",
    "call_per_step",
    "docker_run_per_cold_start",
    "warm_start",
)


def test_every_promised_figure_is_measured_beside_its_rival(docker_engine, sandbox_image):
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--steps", "20", "--starts", "2", "--json"],
        env={**os.environ, "DIONYSUS_SANDBOX__IMAGE": sandbox_image},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    assert all(measured[name] > 0 for name in PROMISED)
