"""The second look at what failed: it tells what others upset from what is wrong, and passes the first alone."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.second_look import AT_MOST, FAILED, TIMES, second_look

NO_TESTS = 5  # pytest's own exit code
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

def test_that_is_upset_too(): assert runs("too") > 1

@pytest.mark.parametrize("word", ["a b", "[::]", "ü"])
def test_wrong(word): assert False
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    (tmp_path / "test_sample.py").write_text(SAMPLE)
    (tmp_path / "conftest.py").write_text(
        'pytest_plugins = ["tests.support.breadth", "tests.support.failures", "tests.support.unsteady"]'
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def look(folder: Path, *wanted: str, parallel: bool = False) -> tuple[int, list[str]]:
    """Run the sample's tests whose names hold one of `wanted`; the second look's exit code, and what it was given."""
    told = folder / "failures"
    told.unlink(missing_ok=True)
    environment = {**inherited(), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "pytest", "-q"]
    first = [*command, *(("-n", "2") if parallel else ()), "-k", " or ".join(wanted)]
    subprocess.run(first, cwd=folder, env={**environment, "TEST_FAILURES_FILE": str(told)}, check=False, timeout=300)
    failed = told.read_text().splitlines()
    return second_look(command, failed, folder, environment), failed


def inherited() -> dict[str, str]:
    """The environment, and of pytest's plugins only what runs tests side by side: the others take seconds to import."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TEST_", "PYTEST_"))}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_PLUGINS": "xdist.plugin"}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What is behind `make test`, over the sample and without parts."""
    environment = {**inherited(), "PYTHONPATH": f"{ROOT / 'scripts'}{os.pathsep}{ROOT}"}
    program = (
        "import pathlib, sys, run_tests; run_tests.ROOT = pathlib.Path.cwd(); run_tests.WORKERS = '1'; "
        "sys.exit(run_tests.main(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", program, "--parts", "", *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )


# What ran in workers is looked at again in the tests of whole runs below, too.
@pytest.mark.parametrize("parallel", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_a_test_that_was_upset_once_is_named_and_passes(sample: Path, capfd, parallel: bool) -> None:
    assert look(sample, "good", "once", parallel=parallel) == (0, ["test_sample.py::test_that_is_upset_once"])
    assert (sample / "once").read_text() == "x" * (1 + TIMES)
    assert "unsteady: test_sample.py::test_that_is_upset_once" in capfd.readouterr().out


def test_a_test_that_fails_every_other_time_is_found_wrong(sample: Path, capfd) -> None:
    assert look(sample, "good", "other")[0] == FAILED
    assert "Failed again" in capfd.readouterr().out


def test_one_that_is_wrong_is_found_whatever_its_name_holds(sample: Path) -> None:
    code, failed = look(sample, "wrong", "once")
    assert (code, len(failed)) == (FAILED, 4)
    code, failed = look(sample, "wrong")
    assert (code, len(failed)) == (FAILED, AT_MOST)


def test_none_and_too_many_get_no_second_look(tmp_path: Path) -> None:
    def never(*failed: str) -> int:
        return second_look([str(tmp_path / "no-such-program")], failed, tmp_path, {})

    assert never() == FAILED
    assert never(*(f"test_{number}" for number in range(AT_MOST + 1))) == FAILED


def test_an_unsteady_test_is_named_before_the_closing_line_which_tells_that_it_passed(sample: Path) -> None:
    done = run(sample, "-k", "good or upset")
    *before, last = done.stdout.strip().splitlines()
    assert done.returncode == 0
    assert [line for line in before if line.startswith("unsteady: ")] == [
        "unsteady: test_sample.py::test_that_is_upset_once",
        "unsteady: test_sample.py::test_that_is_upset_too",
    ]
    assert re.search("2 passed in", last)


def test_a_run_that_was_asked_for_no_second_look_is_red(sample: Path) -> None:
    assert run(sample, "--once", "-k", "good or once").returncode == FAILED


def test_a_test_that_is_listed_is_named_at_the_start_and_makes_the_run_red_when_it_fails_again(sample: Path) -> None:
    (sample / "tests").mkdir()
    (sample / "tests" / "unsteady.txt").write_text("# why\ntest_sample.py::test_that_is_upset_once\n")
    done = run(sample, "-k", "good or once")
    assert "unsteady, to be mended or removed first: test_sample.py::test_that_is_upset_once" in done.stdout
    assert done.returncode == FAILED
    assert "listed in tests/unsteady.txt already" in done.stdout


def test_promises_come_last_and_count_like_all_others(sample: Path) -> None:
    promises = sample / "tests" / "promises"
    promises.mkdir(parents=True)
    (promises / "test_time.py").write_text("def test_promised(): assert False")
    done = run(sample, "--once", "-v", "-k", "good or promised")
    assert done.returncode == FAILED
    assert re.search(r"test_good.*1 passed.*test_promised.*1 failed", done.stdout, re.DOTALL)
    assert run(sample, "--once", "-k", "good").returncode == 0  # no promise was chosen


def test_a_run_that_chose_nothing_says_so(sample: Path) -> None:
    assert run(sample, "-k", "no_such_test").returncode == NO_TESTS
