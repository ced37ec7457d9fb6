"""Which way frames go between process 1 and the host."""

from __future__ import annotations

import os
import socket


def take_way(name: str | None) -> None:
    """Put a socket of the host in the place of stdin and stdout, where it offers one and this box can reach it."""
    if name is None:
        return
    with socket.socket(socket.AF_UNIX) as way:
        try:
            way.connect(name)
        except OSError:
            return
        for number in (0, 1):
            os.dup2(way.fileno(), number)
