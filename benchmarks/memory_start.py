"""Time from start to the answer to `initialize`: our memory server beside an empty server of the same SDK.

    python benchmarks/memory_start.py [--runs 15] [--json]

Both are started in turn over standard input and output, on a store that exists; the first run of each warms the caches
and isn't counted. `initialize` must take at most 1.5 times as long.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LIMIT = 1.5
EMPTY = "from mcp.server import MCPServer; MCPServer('empty', log_level='ERROR').run('stdio')"
OURS = [sys.executable, "-P", "-m", "dionysus_mcp.server"]
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "1"}},
}


def handshake(command: list[str], environment: dict[str, str]) -> float:
    """Return the seconds from starting a server to its answer to `initialize`, and end it."""
    line = json.dumps(INITIALIZE).encode() + b"\n"
    began = time.perf_counter()
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(line)
        server.stdin.flush()
        answer = json.loads(server.stdout.readline())
        taken = time.perf_counter() - began
        server.stdin.close()
        server.wait(30)
    if "result" not in answer:
        raise SystemExit(f"the server refused the handshake: {answer}")
    return taken


def compared(runs: int, folder: Path) -> dict[str, list[float]]:
    """Start both in turn, `runs` times after one that isn't counted; their seconds."""
    root = str(Path(__file__).resolve().parent.parent)
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "DIONYSUS_HOME": str(folder),
        "DIONYSUS_TRACE__PATH": str(folder / "trace.db"),
        "DIONYSUS_MEMORY__URL": f"sqlite:///{folder / 'memory.db'}",
    }
    commands = {"empty": [sys.executable, "-P", "-c", EMPTY], "dionysus": OURS}
    times: dict[str, list[float]] = {name: [] for name in commands}
    for turn in range(runs + 1):
        for name, command in commands.items():
            taken = handshake(command, environment)
            if turn:
                times[name].append(taken)
    return times


def main() -> int:
    """Print both medians and their ratio; exit 1 above the limit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dionysus-start-") as folder:
        times = compared(options.runs, Path(folder))
    ratio = statistics.median(times["dionysus"]) / statistics.median(times["empty"])
    if options.json:
        print(json.dumps({"seconds": times, "ratio": round(ratio, 3), "limit": LIMIT}))
    else:
        for name, taken in times.items():
            low, high = min(taken) * 1000, max(taken) * 1000
            print(f"{name:10} {statistics.median(taken) * 1000:6.0f} ms  (min {low:.0f}, max {high:.0f})")
        print(f"{'ratio':10} {ratio:6.2f}     at most {LIMIT}")
    return ratio > LIMIT


if __name__ == "__main__":
    sys.exit(main())
