"""The rule that no part is skipped in silence, tried on pytest itself and on the program behind `make test`."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = """
import pytest

@pytest.mark.neo4j
def test_that_needs_neo4j(): pass

@pytest.mark.postgres
def test_that_needs_postgres(postgres_url): pass

def test_that_needs_nothing(): pass
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.support.parts"]')
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers =\n    neo4j: x\n    postgres: x\n")
    return tmp_path


def pytest_in(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("TEST_")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments],
        cwd=folder,
        env={**inherited, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_test_without_its_part_fails_and_says_what_to_do(sample: Path) -> None:
    run = pytest_in(sample)
    assert run.returncode == 1
    assert "1 passed, 2 errors" in run.stdout
    assert "scripts/run_tests.py --parts neo4j" in run.stdout
    assert "scripts/run_tests.py --parts postgres" in run.stdout


def test_an_allowed_part_leaves_its_tests_out_and_the_summary_counts_them(sample: Path) -> None:
    run = pytest_in(sample, TEST_PARTS_MISSING="neo4j postgres")
    assert run.returncode == 0
    assert "1 passed, 2 deselected" in run.stdout
    assert "neo4j: 1 tests did not run" in run.stdout
    assert "PARTS MISSING" in run.stdout


def test_with_parallel_workers_the_summary_counts_the_same(sample: Path) -> None:
    run = pytest_in(sample, "-n", "2", TEST_PARTS_MISSING="neo4j postgres")
    assert run.returncode == 0
    assert "neo4j: 1 tests did not run" in run.stdout
    assert "postgres: 1 tests did not run" in run.stdout


def run_tests(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "scripts/run_tests.py", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_part_that_cannot_be_had_ends_the_run_before_the_first_test(tmp_path: Path) -> None:
    bare = {"PATH": str(tmp_path), "HOME": str(tmp_path), "DIONYSUS_CACHE": str(tmp_path / "cache")}
    run = run_tests("--parts", "neo4j", "--collect-only", **bare)
    assert run.returncode == 3
    assert "Java 17" in run.stdout
    assert 'ALLOW_MISSING="neo4j" make test' in run.stderr
    assert "collected" not in run.stdout


def test_an_unknown_part_is_named_with_the_known_ones() -> None:
    run = run_tests(ALLOW_MISSING="dokcer")
    assert run.returncode == 2
    assert "unknown part 'dokcer'" in run.stderr
    assert "docker, gvisor, neo4j, postgres, browser, typescript" in run.stderr
