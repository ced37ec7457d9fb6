"""Provision the real parts, run pytest over them, and stop what was started: the second half of `make test`.

Two tests run at a time; those in `tests/promises`, which measure real time, come last and one by one.

    python scripts/run_tests.py [--parts "docker neo4j"] [--once] [PYTEST-ARGUMENT...]

Nothing is skipped in silence: a part that can't be had ends the run with 3 before the first test, unless it is named in
the environment's `ALLOW_MISSING`; pytest's summary then tells how many tests its absence left out.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from provision.host import PartUnavailableError, cache
from provision.parts import PARTS, Part
from second_look import FAILED, VARIABLE, failures, second_look

ROOT = Path(__file__).resolve().parent.parent
PART_MISSING = 3  # exit code, next to pytest's own
NO_TESTS = 5  # pytest's exit code where nothing was chosen
WORKERS = "2"  # tests at a time
_OURS = ("ALLOW_MISSING", "DIONYSUS_CACHE")


@dataclass(frozen=True, slots=True)
class Provision:
    """What became of one part.

    Attributes:
        environment: How tests find it; empty when it's missing.
        missing: Why it can't be had, or None.
        seconds: From the first look to an answer of the running part.
    """

    part: Part
    seconds: float
    environment: dict[str, str] = field(default_factory=dict)
    missing: str | None = None


def main(arguments: list[str]) -> int:
    """Run it all; the exit code is pytest's, or PART_MISSING."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", default=" ".join(names), help="only these parts, separated by spaces")
    parser.add_argument("--once", action="store_true", help="without a second look at what failed")
    parser.add_argument("--fetch", action="store_true", help="only have the parts ready in the cache, and run no test")
    options, for_pytest = parser.parse_known_args(arguments)
    wanted, allowed = options.parts.split(), os.environ.get("ALLOW_MISSING", "").split()
    for name in {*wanted, *allowed} - {*names}:
        parser.error(f"unknown part '{name}'; the parts are: {', '.join(names)}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack below is unwound
    parts = [part for part in PARTS if part.name in wanted]
    if options.fetch:
        fetch(parts)
        return 0
    with ExitStack() as running:
        provisions = provision(parts, running)
        lacking = [provision for provision in provisions if provision.missing and provision.part.name not in allowed]
        if lacking:
            _tell_how_to_go_on(lacking)
            return PART_MISSING
        return _pytest(for_pytest, provisions, once=options.once)


def fetch(parts: list[Part]) -> None:
    """Have these parts ready in the cache, side by side; what can't be had is told when it is needed."""
    with ThreadPoolExecutor(max_workers=len(parts) or 1) as pool:
        list(pool.map(_fetch_one, parts))


def _fetch_one(part: Part) -> None:
    with suppress(PartUnavailableError):
        part.provide()


def provision(parts: list[Part], running: ExitStack) -> list[Provision]:
    """Make these parts available, side by side, and have them run until the stack is closed."""
    print(f"Parts (cached in {cache()}):", flush=True)
    with ThreadPoolExecutor(max_workers=len(parts) or 1) as pool:
        return list(pool.map(lambda part: _provision_one(part, running), parts))


def _provision_one(part: Part, running: ExitStack) -> Provision:
    start = time.monotonic()
    try:
        part.provide()
        provided = time.monotonic()
        environment = dict(running.enter_context(part.serve()))
    except PartUnavailableError as error:
        print(f"  {part.name:<9} missing: {error}", flush=True)
        return Provision(part, time.monotonic() - start, missing=str(error))
    end = time.monotonic()
    print(
        f"  {part.name:<9} ready in {end - start:5.1f} s  (had {provided - start:.1f}, start {end - provided:.1f})",
        flush=True,
    )
    return Provision(part, end - start, environment)


def _pytest(arguments: list[str], provisions: list[Provision], *, once: bool) -> int:
    environment = {name: value for name, value in os.environ.items() if name not in _OURS}
    for provision in provisions:
        environment |= provision.environment
    environment["TEST_PARTS_MISSING"] = " ".join(provision.part.name for provision in provisions if provision.missing)
    pytest = [sys.executable, "-m", "pytest"]
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "failures"
        code = _phases(pytest, arguments, {**environment, VARIABLE: str(told)})
        if code == FAILED and not once:
            return second_look(pytest, failures(told), ROOT, environment)
        return code


def _phases(pytest: list[str], arguments: list[str], environment: dict[str, str]) -> int:
    """All tests side by side, then those that measure real time, one at a time; the worse of pytest's exit codes."""
    beside = [*pytest, "-n", WORKERS, "--dist", "worksteal", "--promises", "without", *arguments]
    alone = [*pytest, "--promises", "only", *arguments]
    codes = []
    for command in (beside, alone):
        codes.append(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)
        if codes[-1] not in (0, FAILED, NO_TESTS):
            return codes[-1]
    return FAILED if FAILED in codes else min(codes)


def _tell_how_to_go_on(lacking: list[Provision]) -> None:
    names = " ".join(provision.part.name for provision in lacking)
    print(
        f"\nThe tests need parts that this machine doesn't have: {names} (why: above).\n"
        f'To run all other tests and be told what was left out: ALLOW_MISSING="{names}" make test',
        file=sys.stderr,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
