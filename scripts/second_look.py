"""Runs what failed among all other tests again, by itself: tells a test that others upset from one that is wrong.

A diagnosis for who reads the log. It never turns a failed run into one that passed.

`run_tests.py` calls it. See docs/decisions/0045-a-second-look-at-failures.md.
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

AT_MOST = 3  # more failures than these are no accident of load
TIMES = 3  # so often in a row a test must pass by itself: one that fails half of the time passes once in eight tries
FAILED = 1  # pytest's exit code where tests failed, and nothing else went wrong
VARIABLE = "TEST_FAILURES_FILE"  # where tests/support/failures.py writes the name of each failed test


def failures(path: Path) -> list[str]:
    """The node ids of the tests that failed, each once, in the order in which they failed."""
    return list(dict.fromkeys(path.read_text("utf-8").splitlines())) if path.exists() else []


def second_look(pytest: Sequence[str], failed: Sequence[str], cwd: Path, environment: dict[str, str]) -> bool | None:
    """Run the failed tests by themselves, `TIMES` in a row, and print what that tells. The run stays failed.

    Args:
        pytest: The command that starts pytest, without tests and options.
        failed: Their node ids.
        cwd: Where the node ids start.
        environment: As in the first run.

    Returns:
        Whether each passed every time; None where there are none or too many to look at.
    """
    if not 0 < len(failed) <= AT_MOST:
        return None
    for number in range(1, TIMES + 1):
        print(f"\nA second look at what failed, with no other test beside, {number} of {TIMES}:", flush=True)
        if subprocess.run([*pytest, *failed], cwd=cwd, env=environment, check=False).returncode:
            print("\nFailed again by itself: this is no accident of load.", flush=True)
            return False
    print(f"\nThe run failed. By themselves these passed {TIMES} times in a row, so look for what the others upset:")
    print("".join(f"  unsteady: {test}\n" for test in failed), flush=True)
    return True
