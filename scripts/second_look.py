"""Runs what failed among all other tests again, by itself: tells a test that others upset from one that is wrong.

`run_tests.py` calls it. See docs/decisions/0045-a-second-look-at-failures.md.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

AT_MOST = 3  # more failures than these are no accident of load
TIMES = 3  # so often in a row a test must pass by itself: one that fails half of the time passes once in eight tries
FAILED = 1  # pytest's exit code where tests failed, and nothing else went wrong
VARIABLE = "TEST_FAILURES_FILE"  # where tests/support/failures.py writes the name of each failed test
LISTED = Path("tests") / "unsteady.txt"


def failures(path: Path) -> list[str]:
    """The node ids of the tests that failed, each once, in the order in which they failed."""
    return list(dict.fromkeys(path.read_text("utf-8").splitlines())) if path.exists() else []


def listed(folder: Path) -> list[str]:
    """The tests that `tests/unsteady.txt` below this folder names."""
    path = folder / LISTED
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def second_look(pytest: Sequence[str], failed: Sequence[str], cwd: Path, environment: dict[str, str]) -> int:
    """Run the failed tests by themselves, `TIMES` in a row, and say what that tells.

    Args:
        pytest: The command that starts pytest, without tests and options.
        failed: Their node ids.
        cwd: Where the node ids start.
        environment: As in the first run.

    Returns:
        The exit code of the whole run: 0 where there were at most `AT_MOST` failures, none of them listed as unsteady
        already, and each passed every time; `FAILED` otherwise.
    """
    if not 0 < len(failed) <= AT_MOST:
        return FAILED
    for number in range(1, TIMES + 1):
        print(f"\nA second look at what failed, with no other test beside, {number} of {TIMES}:", flush=True)
        look = subprocess.run([*pytest, *failed], cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        if look.returncode == 0 and number == TIMES:
            _tell(failed)  # before pytest's closing line, which is to be the last of all
        print(look.stdout + look.stderr, end="", flush=True)
        if look.returncode:
            print("\nFailed again by itself: this is no accident of load.", flush=True)
            return FAILED
    again = sorted({*failed} & {*listed(cwd)})
    for test in again:
        print(f"\nThe run failed: {test} is listed in {LISTED} already. Mend it, or remove it.", flush=True)
    return FAILED if again else 0


def _tell(failed: Sequence[str]) -> None:
    print(f"\nBy themselves these passed {TIMES} times in a row. Enter them in {LISTED}, and look for what upset them:")
    print("".join(f"unsteady: {test}\n" for test in failed), flush=True)
