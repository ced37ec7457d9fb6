"""Pools of interpreter processes, and the one process they can be used from."""

from __future__ import annotations

import os
from functools import cache

from pydantic_monty import Monty

from sandbox.errors import SandboxUnavailable


def interpreters(processes: int, timeout: float) -> Monty:
    """Return an entered pool of interpreter processes, made on demand.

    Args:
        processes: how many may live at the same time.
        timeout: seconds to wait for one of them to become free.

    Raises:
        SandboxUnavailable: this process was forked from one in which monty was at work.
    """
    check_process()
    # One checkout per process: no heap is ever seen by two sandboxes.
    pool = Monty(min_processes=0, max_processes=processes, checkout_timeout=timeout, max_checkouts_per_worker=1)
    return pool.__enter__()


def check_process() -> None:
    """See that this is the process monty works in: its threads stay behind at a fork, and who waits for them hangs.

    Raises:
        SandboxUnavailable: it isn't.
    """
    first = _first_process()
    if first != os.getpid():
        raise SandboxUnavailable(
            f"monty was at work in process {first}, which this one was forked from, and can't work here; start"
            " processes by spawn or forkserver (multiprocessing.set_start_method), or use monty only after the fork"
        )


@cache  # a forked child has its parent's answer
def _first_process() -> int:
    return os.getpid()
