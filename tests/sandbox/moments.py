"""When something happens to code that runs: not after a time, but once it has told that it runs."""

import threading
import time
from collections.abc import Callable


def soon_after(event: threading.Event, act: Callable[[], object]) -> threading.Thread:
    """Act from another thread once an event was set by a tool that code calls, and the code has had a moment to go on.

    What a test asserts must hold as well if the code was slower than that moment.
    """

    def run() -> None:
        assert event.wait(60)
        time.sleep(0.1)
        act()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
