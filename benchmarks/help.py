"""`dionysus --help` beside `sqlite-utils --help`: medians of alternating runs, and their ratio.

    pip install sqlite-utils
    python benchmarks/help.py [--runs 20] [--sqlite-utils PATH]

sqlite-utils loads numpy when it finds it, which makes it slower where Dionysus is installed too. For the fairer figure
give the sqlite-utils of an environment of its own; the default is the one beside this Python.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path


def measured(command: list[str]) -> float:
    """Return the seconds that a command takes from start to exit."""
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def compared(first: list[str], second: list[str], runs: int) -> tuple[list[float], list[float]]:
    """Run both commands in turn, each `runs` times after one run to warm the caches; return their times in seconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for turn in range(runs + 1):
        for command, taken in zip((first, second), times, strict=True):
            seconds = measured(command)
            if turn:
                taken.append(seconds)
    return times


def installed(name: str) -> str | None:
    """Return the command of that name beside this Python, or on the path."""
    beside = Path(sys.executable).parent / name
    return str(beside) if beside.exists() else shutil.which(name)


def main() -> int:
    """Print both medians and the ratio; exit 1 if Dionysus is slower."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--sqlite-utils", default=installed("sqlite-utils"))
    options = parser.parse_args()
    if options.sqlite_utils is None:
        parser.error("sqlite-utils is not installed; try: pip install sqlite-utils")
    script = installed("dionysus")
    ours = [script] if script else [sys.executable, "-m", "cognition.cli"]
    mine, theirs = compared([*ours, "--help"], [options.sqlite_utils, "--help"], options.runs)
    for name, times in (("dionysus --help", mine), ("sqlite-utils --help", theirs)):
        low, high = min(times) * 1000, max(times) * 1000
        print(f"{name:22} {statistics.median(times) * 1000:6.0f} ms  (min {low:.0f}, max {high:.0f}, n = {len(times)})")
    ratio = statistics.median(mine) / statistics.median(theirs)
    print(f"{'ratio':22} {ratio:6.2f}")
    return int(ratio > 1)


if __name__ == "__main__":
    sys.exit(main())
