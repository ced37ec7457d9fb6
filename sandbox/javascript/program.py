"""What a worker that is a Node is started with: its command, and its source, sent over its channel.

The image needs nothing of ours, only a `node`.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sandbox.settings import Limits

_MiB: Final = 1024 * 1024
LEAST_MEMORY: Final = 128 * _MiB  # Node and the supervisor take about 70 before the first step
_BESIDE_HEAP: Final = 96 * _MiB  # of the container: Node's own memory, buffers, and the supervisor
_GUEST: Final = (
    "channel",
    "values",
    "failures",
    "originals",
    "printing",
    "calls",
    "source",
    "timers",
    "session",
)


def program(limits: Limits, most: int) -> bytes:
    """The payload of the frame that makes a worker a Node.

    Args:
        limits: of memory and of values.
        most: bytes of the largest frame that its box passes on.
    """
    folder = files("sandbox.javascript.guest")
    command = [
        "node",
        f"--max-old-space-size={(limits.memory - _BESIDE_HEAP) // _MiB}",
        "--v8-pool-size=1",  # half a processor has no use for four threads that compile and collect
        "--no-warnings",
        "--expose-internals",  # for the parser that is part of Node; user code gains nothing that it couldn't reach
        "--experimental-vm-modules",  # without it a script's `import()` is refused
        "-e",
        (folder / "start.js").read_text("utf-8"),
    ]
    boot = {
        "modules": [(f"{name}.js", (folder / f"{name}.js").read_text("utf-8")) for name in _GUEST],
        "settings": {
            "value_limit": limits.value_limit,
            "value_depth": limits.value_depth,
            "frame_limit": most,
        },
    }
    return json.dumps({"command": command, "boot": json.dumps(boot)}).encode()
