"""Nodes: what a layer's own time is, when the layers it calls work side by side."""

from __future__ import annotations

import threading
import time

from layers import DEFAULTS
from tests.support.bench import opened_run


def test_time_in_parallel_children_is_taken_off_their_parent_once():
    with opened_run() as (run, _):
        with run.child(DEFAULTS["consciousness"]) as parent:

            def child():
                with run.child(DEFAULTS["conceptual"], parent):
                    time.sleep(1.0)

            threads = [threading.Thread(target=child) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        usage = run.ledger.usage()
    assert usage["conceptual"].seconds >= 4 * 1.0
    assert 0 <= usage["consciousness"].seconds < 1.0
