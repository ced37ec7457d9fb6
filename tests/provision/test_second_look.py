"""The second look at what failed: it tells what others upset from what is wrong, and lets neither pass."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.second_look import AT_MOST, TIMES, second_look

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = """
from pathlib import Path

import pytest

def runs(name):
    with Path(name).open("a") as file:
        file.write("x")
    return len(Path(name).read_text())

def test_good(): pass

def test_that_is_upset_once(): assert runs("once") > 1

def test_that_fails_every_other_time(): assert runs("other") % 2 == 0

@pytest.mark.parametrize("word", ["a b", "[::]", "ü"])
def test_wrong(word): assert False
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["tests.support.failures"]')
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def look(folder: Path, *wanted: str, parallel: bool = False) -> tuple[bool | None, list[str]]:
    """Run the sample's tests whose names hold one of `wanted`; what the second look says, and what it was given."""
    told = folder / "failures"
    told.unlink(missing_ok=True)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "PYTEST_"))}
    environment = {**inherited, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q"]
    first = [*command, *(("-n", "2") if parallel else ()), "-k", " or ".join(wanted)]
    subprocess.run(first, cwd=folder, env={**environment, "TEST_FAILURES_FILE": str(told)}, check=False, timeout=120)
    failed = told.read_text().splitlines()
    return second_look(command, failed, folder, environment), failed


@pytest.mark.parametrize("parallel", [False, True])
def test_a_test_that_was_upset_once_is_named(sample: Path, capfd, parallel: bool) -> None:
    assert look(sample, "good", "once", parallel=parallel) == (True, ["test_sample.py::test_that_is_upset_once"])
    assert (sample / "once").read_text() == "x" * (1 + TIMES)
    assert "unsteady: test_sample.py::test_that_is_upset_once" in capfd.readouterr().out


def test_a_test_that_fails_every_other_time_is_found_wrong(sample: Path, capfd) -> None:
    assert look(sample, "good", "other")[0] is False
    assert "Failed again" in capfd.readouterr().out


def test_one_that_is_wrong_is_found_whatever_its_name_holds(sample: Path) -> None:
    steady, failed = look(sample, "wrong", "once")
    assert (steady, len(failed)) == (None, 4)
    steady, failed = look(sample, "wrong")
    assert (steady, len(failed)) == (False, AT_MOST)


def test_none_and_too_many_get_no_second_look(tmp_path: Path) -> None:
    def never(*failed: str) -> bool | None:
        return second_look([str(tmp_path / "no-such-program")], failed, tmp_path, {})

    assert never() is None
    assert never(*(f"test_{number}" for number in range(AT_MOST + 1))) is None


def test_a_run_with_an_unsteady_test_stays_failed(sample: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "PYTEST_"))}
    environment = {**inherited, "PYTHONPATH": f"{ROOT / 'scripts'}{os.pathsep}{ROOT}"}
    program = (
        "import pathlib, sys, run_tests; run_tests.ROOT = pathlib.Path.cwd(); sys.exit(run_tests.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "--parts", "", "-k", "good or once"]
    run = subprocess.run(command, cwd=sample, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert "unsteady: test_sample.py::test_that_is_upset_once" in run.stdout
    assert run.returncode == 1
