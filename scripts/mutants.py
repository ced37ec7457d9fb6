"""Small faults put into the product one at a time, to see whether its tests notice: what a suite is worth.

    python scripts/mutants.py draw [--seed 11] [--each 5]     # writes scripts/mutants.json
    python scripts/mutants.py list
    python scripts/mutants.py try [NUMBER...] [--checkout DIR] [--tests near|package] [--out FILE]

`draw` takes as many places by chance from each area; the list stays as it is, so that two suites are asked the same.
`try` copies a checkout (this one, or another whose suite is to be judged), puts one fault in, and runs the area's tests
with `-x`: those nearest to it first, with `--tests package` all of its packages' when these noticed nothing. It ends
with a table: killed (by which test), survived, or gone, where the checkout no longer has the line.
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from provision.parts import PARTS
from run_tests import provision

ROOT = Path(__file__).resolve().parent.parent
LIST = Path(__file__).with_suffix(".json")
LIMIT = 900  # seconds for the tests of one mutant; a fault that makes them hang is noticed too


@dataclass(frozen=True, slots=True)
class Area:
    """Where faults of one kind are put.

    Attributes:
        files: Globs of the sources.
        near: The tests to ask first.
        package: The tests to ask when these noticed nothing.
    """

    files: tuple[str, ...]
    near: tuple[str, ...]
    package: tuple[str, ...]


_MIND = ("tests/layers", "tests/cognition")
_MEMORY = ("tests/dionysus_mcp", "tests/cognition/test_memory_command.py")
AREAS = {
    "ledger": Area(("layers/run/ledger.py", "layers/run/budget.py"), ("tests/layers/run",), _MIND),
    "lifeline": Area(("layers/run/lifeline.py", "layers/run/apart.py"), ("tests/layers/run",), _MIND),
    "wire": Area(
        ("sandbox/docker/channel.py", "sandbox/docker/messages.py", "sandbox/docker/codecs.py", "sandbox/values.py"),
        (
            "tests/sandbox/docker/test_codecs.py",
            "tests/sandbox/docker/test_fuzz_host.py",
            "tests/sandbox/test_contract_values.py",
        ),
        ("tests/sandbox",),
    ),
    "store": Area(
        ("dionysus_mcp/store/*.py",),
        (
            "tests/dionysus_mcp/test_store.py",
            "tests/dionysus_mcp/test_versions.py",
            "tests/dionysus_mcp/test_migration.py",
        ),
        _MEMORY,
    ),
    "recall": Area(
        ("dionysus_mcp/recall/*.py",),
        (
            "tests/dionysus_mcp/test_recall.py",
            "tests/dionysus_mcp/test_ranking.py",
            "tests/dionysus_mcp/test_pieces.py",
        ),
        _MEMORY,
    ),
    "redaction": Area(
        ("observability/redaction.py", "observability/secrets.py"),
        ("tests/observability",),
        ("tests/observability", "tests/cognition"),
    ),
    "delegation": Area(
        ("layers/delegation.py", "layers/report.py"),
        ("tests/layers/test_delegation.py", "tests/layers/test_delegation_bounds.py", "tests/layers/test_report.py"),
        _MIND,
    ),
    "checks": Area(("cognition/check.py", "cognition/attempts.py"), ("tests/cognition/mind",), _MIND),
}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One fault.

    Attributes:
        number: Its name in tables.
        area: A key of `AREAS`.
        file: Path below the checkout.
        function: Qualified name of the function that it is in.
        what: Which kind of change it is.
        before: The changed piece of source, as it was.
        after: The same, as it becomes.
        nth: Which of the function's equal pieces it is, from 0.
    """

    number: int
    area: str
    file: str
    function: str
    what: str
    before: str
    after: str
    nth: int


_SWAPS: dict[type[ast.AST], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_ARITHMETIC: dict[type[ast.AST], str] = {ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.Div: "*", ast.FloorDiv: "*"}


def _mutation(node: ast.AST, text: str) -> tuple[str, str] | None:
    """How this node is changed: the kind, and the new source; None where no fault is made of it."""

    def part(child: ast.AST) -> str:
        return ast.get_source_segment(text, child) or ""

    match node:
        case ast.Constant() | ast.Expr() | ast.Return():
            return _plain_mutation(node)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in _SWAPS:
            return "comparison", f"{part(left)} {_SWAPS[type(op)]} {part(right)}"
        case ast.BoolOp(op=op, values=values):
            return "boolean", (" or " if isinstance(op, ast.And) else " and ").join(
                f"({part(each)})" for each in values
            )
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return "negation", f"({part(operand)})"
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
            return "arithmetic", f"({part(left)}) {_ARITHMETIC[type(op)]} ({part(right)})"
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return "branches swapped", f"({part(orelse)}) if ({part(test)}) else ({part(body)})"
    return None


def _plain_mutation(node: ast.Constant | ast.Expr | ast.Return) -> tuple[str, str] | None:
    match node:
        case ast.Constant(value=bool(value)):
            return "constant", str(not value)
        case ast.Constant(value=int(value) | float(value)):
            return "constant", repr(value + 1)
        case ast.Expr(value=ast.Call()):
            return "call left out", "pass"
        case ast.Return(value=None | ast.Constant(value=None)):
            return None
        case ast.Return():
            return "result left out", "return None"
    return None


def _functions(tree: ast.AST, before: str = "") -> Iterator[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for child in ast.iter_child_nodes(tree):
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{before}{child.name}"
            if not isinstance(child, ast.ClassDef):
                yield name, child
            yield from _functions(child, f"{name}.")


def _own(function: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a function's body, without those of functions in it, in the order of the source."""
    for statement in getattr(function, "body", []):
        stack = [statement]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                continue
            yield node
            stack.extend(reversed(list(ast.iter_child_nodes(node))))


def _places(file: str, text: str, area: str) -> Iterator[Mutant]:
    for name, function in _functions(ast.parse(text)):
        seen: dict[str, int] = {}
        for node in _own(function):
            before = ast.get_source_segment(text, node) if hasattr(node, "lineno") else None
            if before is None:
                continue
            nth = seen[before] = seen.get(before, -1) + 1
            if (made := _mutation(node, text)) is not None:
                yield Mutant(0, area, file, name, made[0], before, made[1], nth)


def draw(seed: int, each: int) -> list[Mutant]:
    """Take so many places from each area by chance."""
    chance, drawn = random.Random(seed), []
    for name, area in AREAS.items():
        files = sorted(path for glob in area.files for path in ROOT.glob(glob))
        places = [m for path in files for m in _places(str(path.relative_to(ROOT)), path.read_text("utf-8"), name)]
        drawn += chance.sample(places, each)
    return [Mutant(**{**asdict(mutant), "number": number}) for number, mutant in enumerate(drawn, 1)]


def load() -> list[Mutant]:
    """The list that was drawn."""
    return [Mutant(**each) for each in json.loads(LIST.read_text("utf-8"))]


def mutated(text: str, mutant: Mutant) -> str | None:
    """The source with the fault in it; None where the place is gone."""
    for name, function in _functions(ast.parse(text)):
        if name != mutant.function:
            continue
        nth = -1
        for node in _own(function):
            if hasattr(node, "lineno") and ast.get_source_segment(text, node) == mutant.before:
                nth += 1
                made = _mutation(node, text)
                if nth == mutant.nth and made is not None and made[1] == mutant.after:
                    return _replaced(text, node, mutant.after)
    return None


def _replaced(text: str, node: ast.AST, after: str) -> str:
    old = ast.get_source_segment(text, node) or ""
    line, column = node.lineno, node.col_offset  # pyright: ignore[reportAttributeAccessIssue]
    above = "".join(text.splitlines(keepends=True)[: line - 1])
    start = len(text.encode()[: len(above.encode()) + column].decode())  # columns count bytes
    changed = after if isinstance(node, ast.stmt) else f"({after})"
    return text[:start] + changed + text[start + len(old) :]


def attempt(mutant: Mutant, checkout: Path, tests: str) -> tuple[str, str, float]:
    """Put one fault into a copy of a checkout and run tests over it: the outcome, who noticed, and seconds."""
    area = AREAS[mutant.area]
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "copy"
        left_out = shutil.ignore_patterns(".git", ".venv", ".demo", ".fuzz", ".hypothesis", "__pycache__", ".*_cache")
        shutil.copytree(checkout, copy, symlinks=True, ignore=left_out)
        source = copy / mutant.file
        fault = mutated(source.read_text("utf-8"), mutant) if source.exists() else None
        if fault is None:
            return "gone", "", 0.0
        source.write_text(fault, "utf-8")
        started = time.monotonic()
        widest = (*area.package, "tests/promises")
        for chosen in (area.near, widest) if tests == "package" else (area.near,):
            there = [path for path in chosen if (copy / path).exists()]
            noticed = _noticed(copy, checkout, there)
            if noticed:
                return "killed", noticed, time.monotonic() - started
        return "survived", "", time.monotonic() - started


def _noticed(copy: Path, checkout: Path, tests: list[str]) -> str | None:
    python = checkout / ".venv" / "bin" / "python"
    options = ("-x", "-q", "-n", "2", "--dist", "worksteal", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [str(python), "-P", "-m", "pytest", *options, *tests],
            cwd=copy,
            env=environment,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "the limit of time"
    if done.returncode == 0:
        return None
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return found[1] if found else f"exit code {done.returncode}"


def main() -> int:
    """Draw, list or try."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    drawing = commands.add_parser("draw", help="draw the list anew")
    drawing.add_argument("--seed", type=int, default=11)
    drawing.add_argument("--each", type=int, default=5, help="mutants in each area")
    commands.add_parser("list", help="print the list")
    trying = commands.add_parser("try", help="run tests over mutants")
    trying.add_argument("numbers", nargs="*", type=int)
    trying.add_argument("--checkout", type=Path, default=ROOT, help="whose product and tests; it needs its .venv")
    trying.add_argument("--tests", choices=("near", "package"), default="near")
    trying.add_argument("--parts", default="docker postgres", help="which real parts the tests find; see run_tests.py")
    trying.add_argument("--out", type=Path, help="also write one JSON document a line here, as it comes")
    options = parser.parse_args()
    if options.command == "draw":
        drawn = [asdict(mutant) for mutant in draw(options.seed, options.each)]
        LIST.write_text(json.dumps(drawn, indent=1, ensure_ascii=False) + "\n", "utf-8")
        return 0
    if options.command == "list":
        for mutant in load():
            before, after = (" ".join(each.split())[:60] for each in (mutant.before, mutant.after))
            print(f"{mutant.number:>3} {mutant.area:<11} {mutant.file}:{mutant.function}  {before}  ->  {after}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the stack below is unwound
    with ExitStack() as running:
        for each in provision([part for part in PARTS if part.name in options.parts.split()], running):
            os.environ.update(each.environment)
        return _try(options)


def _try(options: argparse.Namespace) -> int:
    counts = {"killed": 0, "survived": 0, "gone": 0}
    for mutant in load():
        if options.numbers and mutant.number not in options.numbers:
            continue
        outcome, by, seconds = attempt(mutant, options.checkout.resolve(), options.tests)
        counts[outcome] += 1
        print(f"{mutant.number:>3} {mutant.area:<11} {outcome:<9} {seconds:6.1f} s  {by}", flush=True)
        if options.out:
            with options.out.open("a", encoding="utf-8") as file:
                file.write(
                    json.dumps({"number": mutant.number, "outcome": outcome, "by": by, "seconds": seconds}) + "\n"
                )
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
