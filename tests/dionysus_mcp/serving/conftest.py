"""A memory server over HTTP as a process of its own, and plain requests to it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).parents[3]
ACCEPTS = {"accept": "application/json, text/event-stream"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


class Running:
    """A server process, found by the address that it printed."""

    def __init__(self, home: Path, *arguments: str, **settings: object) -> None:
        environment = {
            name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH") if name in os.environ
        }
        environment |= {
            "PYTHONPATH": str(ROOT),
            "DIONYSUS_HOME": str(home),
            "DIONYSUS_MEMORY__URL": f"sqlite:///{home / 'memory.db'}",
            "DIONYSUS_MEMORY__EMBEDDER": "none",
            "DIONYSUS_TRACE__PATH": str(home / "trace.db"),
        }
        environment |= {f"DIONYSUS_SERVER__{name.upper()}": str(value) for name, value in settings.items()}
        self.home = home
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "dionysus_mcp.server", "--http", "--port", "0", *arguments],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = self.process.stdout.readline().strip()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGKILL)

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it; the exit code, and what it wrote to its standard error."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said

    def post(self, message: object = INITIALIZE, token: str | None = None, **headers: str) -> httpx2.Response:
        """One raw request."""
        sent = ACCEPTS | {name.replace("_", "-"): value for name, value in headers.items()}
        if token is not None:
            sent["authorization"] = f"Bearer {token}"
        return httpx2.post(self.url, json=message, headers=sent, timeout=30)

    def get(self, path: str) -> httpx2.Response:
        """One of the pages beside the protocol."""
        return httpx2.get(self.url.rpartition("/")[0] + path, timeout=30)

    def audit(self) -> list[dict]:
        """The records of the audit log."""
        return [json.loads(line) for line in (self.home / "memory-audit.jsonl").read_text().splitlines()]


@pytest.fixture
def home(home):
    home.mkdir()
    return home
