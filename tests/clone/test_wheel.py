"""The wheel, built without network and used where no checkout is near."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.clone

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("cognition", "layers", "dionysus_mcp", "sandbox", "observability")


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    return subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        env={**inherited, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    # No network: the backend is in the lock, and an index that doesn't exist would be asked otherwise.
    built = run(sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", out, cwd=ROOT, PIP_NO_INDEX="1")
    assert built.returncode == 0, built.stdout + built.stderr
    (path,) = out.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel; its dependencies come from the environment of this test run."""
    folder = tmp_path_factory.mktemp("elsewhere") / "env"
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    _write_entry_points(folder, site)
    # A line of a .pth file is only a folder to search, so the checkout's own .pth inside it isn't followed.
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    # monty's interpreter is a program of its own, looked for beside python.
    (folder / "bin/monty").symlink_to(Path(sysconfig.get_path("scripts")) / "monty")
    return folder


def _write_entry_points(folder: Path, site: Path) -> None:
    (points,) = site.glob("dionysus_mind-*.dist-info/entry_points.txt")
    target = points.read_text().split("dionysus = ")[1].splitlines()[0]
    module, function = target.split(":")
    script = folder / "bin/dionysus"
    script.write_text(f"#!{folder}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n")
    script.chmod(0o755)


def test_the_wheel_has_its_licence_types_and_every_file_of_its_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in packed)
    tracked = run("git", "ls-files", *PACKAGES, cwd=ROOT)
    expected = set(tracked.stdout.split()) if tracked.returncode == 0 else set()
    assert {f"{package}/py.typed" for package in PACKAGES} <= expected
    assert expected - packed == set()


def test_the_wheel_carries_nothing_but_the_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


def test_the_command_works_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    answer = run(installed / "bin/dionysus", "--help", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    for command in ("think", "chat", "remember", "recall", "trace", "dashboard", "layers", "doctor"):
        assert command in answer.stdout


def test_the_packages_are_the_wheels_own(installed: Path, tmp_path: Path) -> None:
    names = ", ".join(PACKAGES)
    answer = run(installed / "bin/python", "-c", f"import {names}\nfor p in ({names}): print(p.__file__)", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert all(line.startswith(str(installed)) for line in answer.stdout.split())


def test_the_memory_server_answers_outside_the_checkout(installed: Path, tmp_path: Path) -> None:
    """Asked by the official client of the protocol, in a process of its own so that only the wheel is at work."""
    asking = """
import asyncio, sys
from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
async def main():
    arguments, home = ["-P", "-m", "dionysus_mcp.server"], {"DIONYSUS_HOME": sys.argv[1]}
    server = StdioServerParameters(command=sys.executable, args=arguments, env=home)
    async with Client(stdio_client(server)) as client:
        print(" ".join(sorted(tool.name for tool in (await client.list_tools()).tools)))
asyncio.run(main())
"""
    answer = run(installed / "bin/python", "-P", "-c", asking, tmp_path / "home", cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    assert {"semantic_recall", "create_memory", "get_consciousness_state"} <= set(answer.stdout.split())


def test_a_thought_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.md").write_text("# Harbour\n\nThe ferry to Naxos leaves at 07:30 from pier 4.\n")
    thinking = """
from cognition import Mind
with Mind(tier="offline") as mind:
    mind.remember("notes.md")
    print(mind.think("From which pier does the ferry to Naxos leave?"))
"""
    home = {"DIONYSUS_HOME": str(tmp_path / "home")}
    answer = run(installed / "bin/python", "-P", "-c", thinking, cwd=tmp_path, **home)
    assert answer.returncode == 0, answer.stderr
    assert "pier 4" in answer.stdout
