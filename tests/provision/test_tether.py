"""A server on a tether ends with whoever holds it, however that one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOLDER = """
import sys, time
from pathlib import Path
from provision.tether import tethered
code = "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); time.sleep(60)"
with tethered([sys.executable, "-c", code, sys.argv[1]], Path(sys.argv[2])):
    {body}
"""


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    return not status.exists() or status.read_text().rpartition(")")[2].split()[0] != "Z"


def eventually(happened, seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if happened():
            return True
        time.sleep(0.05)
    return False


def hold(tmp_path: Path, body: str) -> tuple[subprocess.Popen[bytes], int]:
    note = tmp_path / "pid"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER.format(body=body), note, tmp_path / "log"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "scripts")},
    )
    assert eventually(lambda: note.exists() and note.read_text() != "")
    return holder, int(note.read_text())


def test_a_server_ends_when_its_block_does(tmp_path: Path) -> None:
    holder, server = hold(tmp_path, "time.sleep(1)")
    assert holder.wait(20) == 0
    assert not alive(server)


def test_a_server_ends_when_its_holder_is_killed(tmp_path: Path) -> None:
    holder, server = hold(tmp_path, "time.sleep(60)")
    assert alive(server)
    holder.send_signal(signal.SIGKILL)
    holder.wait(20)
    assert eventually(lambda: not alive(server))
