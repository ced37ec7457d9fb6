"""The parts of one mind while they open, are open, and close: on a thread of their own, so that nobody hangs on them.

`Opening` makes one when a mind's parts are first needed. Runs wait for it as long as they live; a run that ends earlier
leaves the opening to the next one.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, wait
from contextlib import ExitStack, nullcontext
from copy import copy
from typing import TYPE_CHECKING, Any

from cognition.interrupts import interrupts_held
from cognition.parts import open_parts, open_telemetry
from cognition.thought import Cancelled
from layers.run import Lifeline, RunStopped, StopReason
from layers.run.events import AWAKE_EVERY
from observability import Kind, Secrets, span

if TYPE_CHECKING:
    from cognition.parts import OwnParts, Parts
    from cognition.settings import Settings
    from layers.run import Run

GIVEN_UP_AFTER = 5.0
"""Seconds that closing waits for an opening that is under way: an import, or an engine that hangs, can't be stopped."""


class Holding:
    """The parts of a mind: the trace at once, everything else on a thread that closes it again in the end.

    Args:
        settings: composed settings.
        own: the user's own tools, hook and questions.
    """

    def __init__(self, settings: Settings, own: OwnParts) -> None:
        with interrupts_held():
            self.telemetry = open_telemetry(settings)  # first and here: a run is traced while it waits for the rest
        self.secrets = Secrets(settings.secrets())
        self._settings = settings
        self._own = own
        self._life = Lifeline()
        self._opened: Future[Parts] = Future()
        self._opened.set_running_or_notify_cancel()  # a run that ends while it waits can't cancel it for the others
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._hold, name="dionysus-parts", daemon=True)
        self._thread.start()

    @property
    def failed(self) -> bool:
        """Whether a part did not open; another try may have more luck."""
        return self._opened.done() and self._opened.exception() is not None

    def of(self, run: Run) -> Parts:
        """Wait for the parts, as long as a run lives; a span of the run tells how long.

        Raises:
            RunStopped: the run was stopped meanwhile; the opening goes on.
            ThinkingError: a part doesn't open.
        """
        open_now = self._opened.done()
        waiting: Future[Parts] = Future()
        self._opened.add_done_callback(lambda opened: _pass_on(opened, waiting))
        with nullcontext() if open_now else span(run.tracer, Kind.OPENING, "open memory, sandbox and models"):
            return _as_own(lambda: run.lifeline.wait(waiting))

    def parts(self) -> Parts:
        """Wait for the parts; Ctrl-C leaves the wait.

        Raises:
            ThinkingError: a part doesn't open.
        """
        while not wait([self._opened], AWAKE_EVERY).done:
            pass  # in turns, so that Ctrl-C is seen also where the kernel gave it to another thread
        return _as_own(self._opened.result)

    def close(self) -> None:
        """End every part; what still opens ends as soon as it can. May be called again."""
        self._life.stop(StopReason.CANCELLED, "The mind was closed while it opened.")
        self._closing.set()
        self._thread.join(GIVEN_UP_AFTER if not self._opened.done() else None)

    def _hold(self) -> None:
        """Open the parts, keep them until the mind is closed, and close them: the thread's whole life."""
        try:
            with ExitStack() as stack:
                parts = open_parts(self._settings, self._own, self.telemetry, stack, self._life)
                self._opened.set_result(parts)
                self._closing.wait()
        except RunStopped as closed:
            self._opened.set_exception(Cancelled(closed.detail))
        except BaseException as error:
            if self._opened.done():
                raise
            self.secrets.scrub(error)
            self._opened.set_exception(error)
        finally:
            self._closing.wait()  # the runs that waited have spans to end
            self._life.close()
            self.telemetry.shutdown()


def _pass_on(opened: Future[Parts], waiting: Future[Parts]) -> None:
    if not waiting.set_running_or_notify_cancel():
        return
    error = opened.exception()
    if error is None:
        waiting.set_result(opened.result())
    else:
        waiting.set_exception(error)


def _as_own(wait_for: Any) -> Parts:
    """Return what a wait gives; its error as a copy: one object raised in several runs would mix their tracebacks."""
    try:
        return wait_for()
    except Exception as error:
        raise copy(error) from error
