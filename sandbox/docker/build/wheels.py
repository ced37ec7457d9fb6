"""Packages for another Python than ours: downloaded here, as wheels, for the image's version and machine.

Only wheels are taken, so no code of a package runs on this machine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from sandbox.docker.build.command import Progress, run
from sandbox.errors import ImageNotBuilt

if TYPE_CHECKING:
    from sandbox.docker.build.recipe import Recipe

_OLDEST_GLIBC, _NEWEST_GLIBC = 17, 36  # 2.17 is manylinux2014; 2.36 is that of Debian 12


def install(recipe: Recipe, into: Path, *, python: str, machine: str, progress: Progress) -> None:
    """Unpack the recipe's packages, with all they need, into a folder.

    Args:
        recipe: names the packages.
        into: a folder that will be on the image's module path.
        python: version of the image's Python, such as `3.11`.
        machine: its architecture, such as `x86_64`.
        progress: is told what happens.

    Raises:
        ImageNotBuilt: neither pip nor uv is there, or a package has no wheel for that Python and machine.
    """
    into.mkdir(parents=True)
    progress(f"downloading {', '.join(recipe.packages)} for Python {python}")
    run([*_installer(into, python, machine), *recipe.packages], progress=progress, cwd=into)
    shutil.rmtree(into / "bin", ignore_errors=True)  # scripts that begin with the path of our own Python


def _installer(into: Path, python: str, machine: str) -> list[str]:
    """Choose one: pip takes markers such as `python_version < "3.12"` to be about our own Python, uv doesn't."""
    beside_python = str(Path(sys.executable).parent)
    uv, pip = shutil.which("uv") or shutil.which("uv", path=beside_python), _has_pip()
    if pip and (uv is None or python == f"{sys.version_info.major}.{sys.version_info.minor}"):
        return _pip(into, python, machine)
    if uv:
        return _uv(uv, into, python, machine)
    raise ImageNotBuilt(
        "the packages can't be downloaded: neither pip nor uv is there. Install one of them"
        f" (`{sys.executable} -m ensurepip`)"
    )


def _pip(into: Path, python: str, machine: str) -> list[str]:
    platforms = [f"--platform=manylinux_2_{minor}_{machine}" for minor in range(_NEWEST_GLIBC, _OLDEST_GLIBC - 1, -1)]
    quiet = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-warn-conflicts", "--no-compile"]
    target = [f"--target={into}", f"--python-version={python}", "--implementation=cp", "--only-binary=:all:"]
    return [sys.executable, "-m", "pip", "install", *quiet, *target, *platforms, f"--platform=manylinux2014_{machine}"]


def _uv(uv: str, into: Path, python: str, machine: str) -> list[str]:
    target = [f"--target={into}", f"--python-version={python}", f"--python-platform={machine}-manylinux_2_28"]
    return [uv, "pip", "install", "--quiet", "--only-binary=:all:", *target]


def _has_pip() -> bool:
    asked = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    return asked.returncode == 0
