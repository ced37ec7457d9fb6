"""What every part asks of the machine: a cache folder, Debian packages, commands, a free port, patience."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_APT = threading.Lock()  # dpkg allows one at a time, and parts are provided side by side
_apt_lists_are_fresh = threading.Event()


class PartUnavailableError(Exception):
    """A part can't be had on this machine; the message says why and what to do."""


def cache() -> Path:
    """The folder that outlives a checkout: `DIONYSUS_CACHE`, or `dionysus` in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(os.environ.get("DIONYSUS_CACHE") or Path(base) / "dionysus")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def run(*command: str | Path, timeout: float = 900, env: dict[str, str] | None = None) -> str:
    """Run a command to its end and return what it printed.

    Raises:
        PartUnavailableError: if it isn't there, fails, or takes longer than `timeout` seconds; with its last lines.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env={**os.environ, **(env or {})},
            check=False,
        )
    except FileNotFoundError as error:
        raise PartUnavailableError(f"'{words[0]}' is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise PartUnavailableError(f"'{' '.join(words)}' did not end within {timeout:.0f} s") from error
    printed = done.stdout.decode(errors="replace")
    if done.returncode:
        tail = "\n".join(printed.strip().splitlines()[-12:])
        raise PartUnavailableError(f"'{' '.join(words)}' ended with {done.returncode}:\n{tail}")
    return printed


def can_use_apt() -> bool:
    """Whether packages can be installed here: Debian's tools, and root's rights."""
    return shutil.which("apt-get") is not None and os.geteuid() == 0


def apt_install(*packages: str, otherwise: str) -> None:
    """Install Debian packages, asking for fresh package lists first, once a run.

    Args:
        packages: Their names.
        otherwise: What the user can do where we can't: no Debian, or not root.
    """
    if not can_use_apt():
        raise PartUnavailableError(otherwise)
    # RUNLEVEL=1 keeps packages from starting their services: what runs during tests is started, and stopped, by us.
    env = {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    with _APT:
        if not _apt_lists_are_fresh.is_set():
            # One broken source of several need not matter; whether it does, the install below tells.
            with suppress(PartUnavailableError):
                run("apt-get", "update", env=env)
            _apt_lists_are_fresh.set()
        wait = ("-o", "DPkg::Lock::Timeout=300")
        run("apt-get", *wait, "install", "-y", "--no-install-recommends", *packages, env=env)


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def accepts_connections(port: int) -> bool:
    """Whether somebody listens on this TCP port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], seconds: float, what: str, log: Path, alive: Callable[[], bool]) -> None:
    """Ask `ready` again and again until it says yes.

    Raises:
        PartUnavailableError: after `seconds`, or when `alive` says that there's nothing left to wait for.
    """
    end = time.monotonic() + seconds
    while not ready():
        if not alive() or time.monotonic() > end:
            why = f"did not answer within {seconds:.0f} s" if alive() else "ended"
            tail = "\n".join(log.read_text(errors="replace").strip().splitlines()[-12:]) if log.exists() else ""
            raise PartUnavailableError(f"{what} {why}; its log ended with:\n{tail}")
        time.sleep(0.1)
