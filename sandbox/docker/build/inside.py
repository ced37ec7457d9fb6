"""Runs inside a new image, as nobody and without network, and prints what it found as JSON.

It is sent as text and uses the standard library alone, of whatever Python the image has.

    python3 -I -c SOURCE DISTRIBUTION...
"""

import importlib
import importlib.metadata
import json
import os
import platform
import re
import subprocess
import sys


def main(wanted: list[str]) -> None:
    """Look at versions, packages and setuid bits, and import what was asked for."""
    found = {
        "python": platform.python_version(),
        "node": _node(),
        "packages": _packages(),
        "broken": [line for name in wanted for line in _broken(name)],
        "setuid": list(_setuid()),
    }
    print(json.dumps(found))  # noqa: T201 - the one way out of a container without network


def _node() -> "str | None":
    try:
        return subprocess.check_output(["node", "--version"], text=True).strip().lstrip("v")  # noqa: S607
    except (OSError, subprocess.SubprocessError):
        return None


def _packages() -> "list[str]":
    named = {(each.metadata["Name"], each.version) for each in importlib.metadata.distributions()}
    return sorted(f"{_canonical(name)}=={version}" for name, version in named if name)


def _broken(wanted: str) -> "list[str]":
    """Say why none of a distribution's modules can be imported; nothing when one can, or it has none."""
    modules = [
        module
        for module, owners in importlib.metadata.packages_distributions().items()
        if wanted in map(_canonical, owners) and module.isidentifier()
    ]
    reasons: list[str] = []
    for module in modules:
        try:
            importlib.import_module(module)
        except BaseException as error:  # noqa: BLE001 - promise: one odd package doesn't hide what the rest is like
            reasons.append(f"{wanted}: import {module} raises {type(error).__name__}: {error}")
        else:
            return []
    if not modules and wanted not in {line.partition("==")[0] for line in _packages()}:
        return [f"{wanted}: it is not there"]
    return reasons


def _setuid() -> "list[str]":
    device, found = os.stat("/").st_dev, []  # noqa: PTH116
    for folder, folders, files in os.walk("/"):
        folders[:] = [name for name in folders if _device(os.path.join(folder, name)) == device]  # noqa: PTH118
        for name in (*files, *folders):
            path = os.path.join(folder, name)  # noqa: PTH118
            if not os.path.islink(path) and os.stat(path).st_mode & 0o6000:  # noqa: PTH114, PTH116
                found.append(path)
    return found[:20]


def _device(path: str) -> int:
    return os.lstat(path).st_dev


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    main(sys.argv[1:])
