"""Waiting for sockets, whatever their numbers are: `select` fails in a process that has a thousand files open."""

from __future__ import annotations

import select
from collections.abc import Iterable
from socket import socket

_GONE = select.POLLHUP | select.POLLERR | select.POLLNVAL


def ready(readable: Iterable[socket], writable: Iterable[socket] = (), *, seconds: float) -> set[socket]:
    """Those that can be read from, or written to, or are at their end; none when nothing happens in this time."""
    known: dict[int, socket] = {}
    wanted: dict[int, int] = {}
    for sockets, event in ((readable, select.POLLIN), (writable, select.POLLOUT)):
        for each in sockets:
            number = each.fileno()
            known[number] = each
            wanted[number] = wanted.get(number, 0) | event
    poll = select.poll()
    for number, events in wanted.items():
        poll.register(number, events)
    return {known[number] for number, event in poll.poll(seconds * 1000) if event & (wanted[number] | _GONE)}
