"""The figures that the sandbox promises, as ratios within one run of its benchmark; each tested at three times.

What things take at best is compared, since whatever else a machine does adds to all the rest.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker

BENCHMARK = Path(__file__).parents[3] / "benchmarks/sandbox.py"
SLACK = 3


@pytest.fixture(scope="module")
def measured(docker_engine, sandbox_image):
    done = subprocess.run(
        [sys.executable, str(BENCHMARK), "--steps", "200", "--starts", "5", "--best", "--json"],
        env={**os.environ, "DIONYSUS_SANDBOX__IMAGE": sandbox_image},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_step_is_a_hundred_and_fifty_times_faster_than_docker_exec(measured):
    assert measured["docker_exec_per_step"] > 150 / SLACK
    assert measured["docker_exec_node_per_step"] > 150 / SLACK


def test_a_host_call_makes_a_step_take_two_and_a_half_times_as_long_at_most(measured):
    assert measured["call_per_step"] < 2.5 * SLACK


def test_a_container_is_there_as_soon_as_with_docker_run_and_at_once_from_the_pool(measured):
    assert measured["docker_run_per_cold_start"] > 1 / SLACK
    assert measured["warm_start"] < 10 * SLACK  # milliseconds
