"""What the README promises a stranger, held against the checkout."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
TOML = re.compile(
    r"```toml\n(?!\[mcp_servers\.)(.*?)```", flags=re.DOTALL
)  # those of another program are tested elsewhere
COMMAND = re.compile(r"^(?: {4})?dionysus ([a-z]+)", flags=re.MULTILINE)
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


def targets() -> set[str]:
    return set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_make_command_of_a_page_exists(page: Path) -> None:
    named = set(re.findall(r"(?:^|`)(?:[A-Z_]+=\S+ )*make ([a-z]+)", page.read_text(), flags=re.MULTILINE))
    assert named - targets() == set()


@pytest.fixture(scope="session")
def known_commands() -> set[str]:
    """The commands that help names."""
    helped = subprocess.run(
        [sys.executable, "-P", "-m", "cognition.cli", "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    return set(re.findall(r"^  ([a-z]+) {2,}", helped.stdout.split("Commands:")[1], flags=re.MULTILINE))


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if COMMAND.search(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_command_of_a_page_exists(page: Path, known_commands: set[str]) -> None:
    assert set(COMMAND.findall(page.read_text())) - known_commands == set()


def test_the_readme_names_the_two_commands() -> None:
    assert "make demo" in README
    assert "make test" in README


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_python_example_compiles(page: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", page.read_text(), flags=re.DOTALL)
    for number, example in enumerate(examples, start=1):
        compile(example, f"{page.name}, example {number}", "exec")


def run_examples(of: str, home: Path, folder: Path = ROOT) -> list[str]:
    """Run the README's examples that hold a text, each as a program of its own, and return what they print."""
    examples = [code for code in re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL) if of in code]
    assert examples
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DIONYSUS_")}
    return [
        subprocess.run(
            [sys.executable, "-c", example],
            cwd=folder,
            env=kept | {"DIONYSUS_HOME": str(home), "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=400,
            check=True,
        ).stdout
        for example in examples
    ]


def test_the_first_example_answers_with_a_quote(tmp_path: Path) -> None:
    """Over the page that holds the answer; `make demo` reads all pages, and is tested below."""
    (tmp_path / "docs").mkdir()
    shutil.copy2(ROOT / "docs" / "sandbox.md", tmp_path / "docs")
    (said,) = run_examples('Mind(tier="offline")', tmp_path, tmp_path)
    assert "— docs/sandbox.md" in said


@pytest.mark.exhaustive
def test_the_first_example_answers_with_a_quote_from_all_pages(tmp_path: Path) -> None:
    (said,) = run_examples('Mind(tier="offline")', tmp_path)
    assert "— docs/" in said


def test_the_examples_of_observability_alone_leave_traces(tmp_path: Path) -> None:
    from observability import TraceStore

    examples = run_examples("from observability import", tmp_path)
    with TraceStore(tmp_path / "trace.db") as store:
        assert len(store.runs()) == len(examples)


@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if TOML.search(page.read_text())],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_settings_example_is_valid(page: Path, tmp_path: Path) -> None:
    from cognition.settings import load_settings

    for number, example in enumerate(TOML.findall(page.read_text()), start=1):
        path = tmp_path / f"{page.stem}-{number}.toml"
        path.write_text(example)
        load_settings(path)


def test_the_locks_have_hashes_for_everything_and_name_no_index() -> None:
    for name in ("requirements.lock", "requirements-dev.lock", "scripts/uv.lock"):
        text = (ROOT / name).read_text()
        pinned = re.findall(r"^[a-z0-9][^\n]*==", text, flags=re.MULTILINE)
        assert len(pinned) > 0
        assert "://" not in text
        for entry in re.split(r"\n(?=[a-z0-9])", text.strip()):
            assert "--hash=sha256:" in entry, entry.splitlines()[0]


def test_the_dev_lock_holds_every_runtime_package_in_the_same_version() -> None:
    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([a-z0-9][\w.-]*==[^\s;]+)", (ROOT / name).read_text(), flags=re.MULTILINE))

    assert pins("requirements.lock") - pins("requirements-dev.lock") == set()


def test_every_dependency_of_the_project_is_locked() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    locked = set(re.findall(r"^([a-z0-9][\w.-]*)==", (ROOT / "requirements.lock").read_text(), flags=re.MULTILINE))
    wanted = {re.match(r"[\w.-]+", dependency).group().lower() for dependency in project["dependencies"]}
    assert wanted - locked == set()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the checkout's tracked files, with nothing that was built or installed."""
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for name in files:
        target = tmp_path / "clone" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target)
    return tmp_path / "clone"


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # A make above this one hands its own variables on: those of `make test ARGS=…` are no arguments of the demo.
    alone = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "ARGS")
    }
    return subprocess.run(
        ["make", "--silent", *arguments],
        cwd=folder,
        env=alone,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
    )


@pytest.mark.clone
def test_make_demo_works_in_a_fresh_clone_and_again_without_installing(clone: Path) -> None:
    first = make(clone, "demo")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "Installing Dionysus into .venv" in first.stdout
    assert "127.0.0.1" in first.stdout
    assert "— docs/trace.md" in first.stdout
    assert "trace show" in first.stdout
    second = make(clone, "demo")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "Installing" not in second.stdout


@pytest.mark.clone
def test_a_python_that_is_too_old_is_named_with_what_to_do(clone: Path, tmp_path: Path) -> None:
    old = tmp_path / "python-old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    answer = make(clone, "demo", f"PYTHON={old}")
    assert answer.returncode != 0
    assert "needs Python 3.11 or newer" in answer.stderr
    assert "Traceback" not in answer.stderr


@pytest.mark.clone
def test_without_network_the_message_says_so_and_what_to_set(clone: Path) -> None:
    nowhere = "http://127.0.0.1:9/simple"  # the discard port: nobody answers there
    command = [
        "env",
        "-u",
        "MAKEFLAGS",
        "-u",
        "ARGS",
        f"PIP_INDEX_URL={nowhere}",
        "UV_NO_CACHE=1",
        "PIP_RETRIES=0",
        "UV_HTTP_RETRIES=0",
    ]
    command += ["PIP_NO_CACHE_DIR=1", "make", "--silent", "demo"]
    answer = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=280, check=False)
    assert answer.returncode != 0
    assert "could not install requirements.lock" in answer.stderr
    assert "PIP_INDEX_URL" in answer.stderr


@pytest.mark.clone
def test_make_help_lists_every_command_for_people(clone: Path) -> None:
    answer = make(clone, "help")
    for command in ("demo", "test", "fast", "lint", "types", "contracts", "lock", "wheel", "clean"):
        assert f"make {command}" in answer.stdout
