"""Runs what failed among all other tests again, by itself: tells a test that machine load upset from one that fails.

`run_tests.py` calls it. See docs/decisions/0045-a-second-look-at-failures.md.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

AT_MOST = 3  # more failures than these are no accident of load, and stand
TIMES = 3  # so often in a row a test must pass by itself: one that fails half of the time passes once in eight tries
FAILED = 1  # pytest's exit code where tests failed, and nothing else went wrong
VARIABLE = "TEST_FAILURES_FILE"  # where tests/support/failures.py writes the name of each failed test


def failures(path: Path) -> list[str]:
    """The node ids of the tests that failed, each once, in the order in which they failed."""
    return list(dict.fromkeys(path.read_text("utf-8").splitlines())) if path.exists() else []


def second_look(pytest: Sequence[str], failed: Sequence[str], cwd: Path, environment: dict[str, str]) -> int:
    """Run the failed tests by themselves, `TIMES` in a row.

    Args:
        pytest: The command that starts pytest, without tests and options.
        failed: Their node ids.
        cwd: Where the node ids start.
        environment: As in the first run.

    Returns:
        0 if there are few enough of them, and each passed every time; else `FAILED`. Either way it is told.
    """
    if not 0 < len(failed) <= AT_MOST:
        return FAILED
    for number in range(1, TIMES + 1):
        print(
            f"\nA second look at {len(failed)} failed, run {number} of {TIMES}, with no other test beside:", flush=True
        )
        if subprocess.run([*pytest, "--durations=0", *failed], cwd=cwd, env=environment, check=False).returncode:
            print("Failed again: this is no accident of load.", flush=True)
            return FAILED
    print(f"\nFailed among all other tests, and passed {TIMES} times in a row without them. These want mending, too:")
    print("".join(f"  unsteady: {test}\n" for test in failed), flush=True)
    return 0
