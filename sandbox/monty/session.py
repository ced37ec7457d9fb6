"""One agent run's code in monty: steps, host calls answered outside of the interpreter, and the ends of a step.

Opened by `backend`, or used alone.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, cast

from pydantic_monty import (
    NOT_HANDLED,
    FunctionSnapshot,
    MontyClassProxy,
    MontyComplete,
    MontyError,
    NameLookupSnapshot,
    ResourceLimits,
)

from sandbox.errors import STATE_LOST, LimitExceeded, SandboxClosed, SandboxUnavailable, SessionLost
from sandbox.executor import Outcome, Sandbox
from sandbox.host_tools import FINAL_ANSWER
from sandbox.monty.budget import StepBudget
from sandbox.monty.errors import raised, translated
from sandbox.monty.files import HOME, GuestFiles
from sandbox.monty.pool import check_process, interpreters
from sandbox.monty.worker import Worker
from sandbox.settings import Limits
from sandbox.values import described, plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from opentelemetry.trace import Tracer
    from pydantic_monty import Monty, OsFunction, SyncSnapshot

    from sandbox.printed import Printed

_OWN_TIMEOUT = 10.0  # seconds to wait for the one process of an own pool
_NO_LIMIT = 2**31 - 1  # suspensions can't be unlimited; ours are counted per step
_UNWIND_TIME = 1.0  # seconds, and answers, that a finished step gets to leave its loops and finally blocks
_UNWIND_ANSWERS = 100
_NAP = 0.05

_SLEEPS = frozenset({"time.sleep", "system.sleep", "asyncio.sleep", "system.async_sleep"})


def _attributes(proxy: MontyClassProxy) -> dict[str, Any]:
    return proxy.attributes


_UNWRAP = {MontyClassProxy: _attributes}


class MontySandbox(Sandbox):
    """A sandbox in monty; useful alone: `CodeAgent(executor=MontySandbox())`. The process starts with the first step.

    Args:
        limits: what the code may use; the defaults of `Limits` otherwise.
        tracer: records every execution as a span.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `clock`, in seconds; of `time.monotonic()` unless another is given.
        files: put in before the first step.
        pool: an entered pool to take the process from; without it the sandbox has its own.
        clock: the moment in seconds, which deadline and step are measured by; the interpreter has a clock of its own.
        sleep: waits for so many seconds of the clock.
    """

    backend = "monty"

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
        pool: Monty | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(
            limits=limits or Limits(), tracer=tracer, stop=stop, deadline=deadline, files=files, clock=clock
        )
        self._sleep = sleep
        self._own_pool = pool is None
        self._pool = pool
        self._guest_files = GuestFiles(self._files)
        self._life = threading.Lock()
        self._worker: Worker | None = None
        self._suspended: SyncSnapshot | None = None
        self._budget = StepBudget(self.limits, clock=self._clock)

    @property
    def worker_pid(self) -> int | None:
        """Id of the interpreter's process, for diagnosis; None while there is none."""
        worker = self._worker
        return worker.pid if worker is not None else None

    def _execute(self, code: str, printed: Printed) -> Outcome:
        self._prepare(printed)
        step: SyncSnapshot | Outcome
        try:
            self._bind_variables()
            step = self._turn(lambda worker: worker.start(code, {}, printed.write))
            while not isinstance(step, Outcome):
                step = self._output(step) if isinstance(step, MontyComplete) else self._answer(step)
        except MontyError as error:
            raise self._ended_by(error) from None
        return step

    def _close(self) -> None:
        with self._life:
            worker, self._worker = self._worker, None
            pool, self._pool = self._pool, None
        self._suspended = None
        if worker is not None:
            worker.close()
        if pool is not None and self._own_pool:
            pool.__exit__(None, None, None)

    # A step ends in three ways: its code ends, it raises, or we stop answering it (final answer, a limit). In the last
    # case the interpreter stays suspended in the middle of the call, and is led out only if another step comes.

    def _bind_variables(self) -> None:
        # In a feed of their own: code that doesn't parse is refused together with the inputs it came with. The feed is
        # not empty, since monty skips an empty one with its inputs.
        if self._unsent:
            inputs, self._unsent = self._unsent, {}
            self._turn(lambda worker: worker.start("pass", inputs, lambda _: None))

    def _prepare(self, printed: Printed) -> None:
        """Have a worker that waits for code."""
        if self._suspended is not None and not self._unwound():
            printed.write(f"(note: {STATE_LOST}.)\n")
        self._budget = StepBudget(self.limits, clock=self._clock)
        self._cold = self._worker is None
        if self._cold:
            self._start_worker()

    def _start_worker(self) -> None:
        check_process()
        with self._life:
            self._check_open()
            try:
                if self._pool is None:
                    self._pool = interpreters(1, _OWN_TIMEOUT)
                self._worker = Worker(self._pool.checkout(limits=_resources(self.limits)), str(HOME), self._watch)
            except TimeoutError:
                raise SandboxUnavailable(
                    "every interpreter process is in use; raise max_sessions in [sandbox] or run fewer agents at once"
                ) from None
            except (MontyError, OSError, RuntimeError) as error:
                raise SandboxUnavailable(f"monty can't start: {error}; reinstall pydantic-monty") from error
        self._unsent = dict(self._variables)

    def _unwound(self) -> bool:
        """Lead suspended code out: the call it waits for, and each later one, raises SystemExit in it.

        Code may catch that and loop; after a second, or a hundred answers, the process is replaced instead.
        """
        snapshot, self._suspended = self._suspended, None
        self._budget = StepBudget(self.limits, until=self._clock() + _UNWIND_TIME, clock=self._clock)
        try:
            for _ in range(_UNWIND_ANSWERS):
                if snapshot is None or isinstance(snapshot, MontyComplete):
                    return True
                snapshot = self._resumed(_refusal(snapshot))
        except MontyError as error:
            if not isinstance(translated(error, self.limits.step_timeout), LimitExceeded):
                return True
        except LimitExceeded:
            pass
        self._drop_worker()
        return False

    def _living_worker(self) -> Worker:
        worker = self._worker
        if worker is None:
            raise SandboxClosed("this sandbox was closed while its code ran")
        return worker

    def _drop_worker(self) -> None:
        with self._life:
            worker, self._worker = self._worker, None
        self._suspended = None
        if worker is not None:
            worker.close()

    def _turn(self, run: Callable[[Worker], SyncSnapshot]) -> SyncSnapshot:
        """Let the interpreter run until it ends or asks; its time is charged to the step."""
        worker = self._living_worker()
        with self._budget.charged():
            try:
                return run(worker)
            except MontyError:
                raise
            except (RuntimeError, TypeError, ValueError) as error:
                self._drop_worker()
                raise SessionLost(f"the interpreter failed ({error})") from None

    def _resumed(self, answer: Callable[[], SyncSnapshot]) -> SyncSnapshot:
        return self._turn(lambda worker: worker.turn(answer))

    def _watch(self) -> None:
        self._check_open()
        self._check_stop()
        if self._budget.overrun():
            self._drop_worker()
            raise self._out_of_time(state_lost=True)

    def _ended_by(self, error: MontyError) -> Exception:
        self._check_open()
        ended = translated(error, self.limits.step_timeout, out_of_time=self._budget.left() <= 0)
        if isinstance(ended, LimitExceeded):
            self._drop_worker()
        return ended

    def _output(self, complete: MontyComplete) -> Outcome:
        try:
            value = complete.output
        except (ValueError, RuntimeError, MontyError) as error:
            return Outcome(f"<the value can't be shown: {error}>")
        return Outcome(described(value, self.limits, unwrap=_UNWRAP))

    def _answer(self, snapshot: SyncSnapshot) -> SyncSnapshot | Outcome:
        if isinstance(snapshot, NameLookupSnapshot):
            return self._answer_name(snapshot)
        if isinstance(snapshot, FunctionSnapshot):
            return self._answer_os(snapshot) if snapshot.is_os_function else self._answer_call(snapshot)
        self._drop_worker()
        raise SessionLost(f"the interpreter waits for something unknown ({snapshot!r})")

    def _answer_name(self, snapshot: NameLookupSnapshot) -> SyncSnapshot:
        name = snapshot.variable_name
        if name in self._tools and snapshot.object_id is None:
            return self._resumed(lambda: snapshot.resume(value=_named_stub(name)))
        return self._resumed(snapshot.resume)

    def _answer_call(self, snapshot: FunctionSnapshot) -> SyncSnapshot | Outcome:
        """Run a host call here, outside of monty's own call path.

        What is not an `Exception` goes on its way as it is, and the snapshot is never resumed: code can't catch it.
        """
        name = str(snapshot.function_name)
        self._budget.host_calls += 1
        if self._budget.host_calls > self.limits.max_host_calls:
            self._suspended = snapshot
            raise LimitExceeded(f"the step made more than {self.limits.max_host_calls:,} calls of tools; make fewer")
        try:
            self._tools.check(name)
            args = plain(snapshot.args, self.limits, unwrap=_UNWRAP)
            kwargs = plain(snapshot.kwargs, self.limits, unwrap=_UNWRAP)
            result = self._call_tool(name, args, kwargs)
            if name == FINAL_ANSWER:
                self._suspended = snapshot
                return Outcome(result, is_final=True)
            answer: Any = {"return_value": plain(result, self.limits)}
        except Exception as error:  # noqa: BLE001 - whatever a tool raises becomes an error in the code that called it
            answer = raised(error)
        return self._resumed(lambda: snapshot.resume(answer))

    def _answer_os(self, snapshot: FunctionSnapshot) -> SyncSnapshot:
        name = str(snapshot.function_name)
        with self._budget.charged():
            answer = self._slept(snapshot) if name in _SLEEPS else self._os_result(snapshot)
        if self._budget.left() <= 0:
            self._suspended = snapshot
            raise self._out_of_time(state_lost=False)
        return self._resumed(snapshot.resume_not_handled if answer is None else lambda: snapshot.resume(answer))

    def _os_result(self, snapshot: FunctionSnapshot) -> Any:
        try:
            value = self._guest_files(
                name=cast("OsFunction", snapshot.function_name),
                args=snapshot.args,
                kwargs=snapshot.kwargs,
                is_async=False,
            )
        except Exception as error:  # noqa: BLE001 - odd arguments of a file call are an error of the code, not ours
            return raised(error)
        return None if value is NOT_HANDLED else {"return_value": value}

    def _slept(self, snapshot: FunctionSnapshot) -> Any:
        """Sleep on the host, charged to the step and open to the stop signal."""
        seconds = float(snapshot.args[0])
        until = self._clock() + min(seconds, self._budget.left())
        while (rest := until - self._clock()) > 0:
            self._check_stop()
            self._sleep(min(rest, _NAP))
        return {"return_value": None}

    def _out_of_time(self, *, state_lost: bool) -> LimitExceeded:
        return LimitExceeded.of_time(self.limits.step_timeout, state_lost=state_lost)


def _resources(limits: Limits) -> ResourceLimits:
    return ResourceLimits(
        max_feed_duration_secs=limits.step_timeout,
        max_memory=limits.memory,
        max_recursion_depth=limits.recursion_limit,
        max_suspensions=_NO_LIMIT,
    )


def _named_stub(name: str) -> Callable[..., Any]:
    """What a name that stands for a tool is bound to: monty takes the name of it and nothing else."""

    def stub(*_args: Any, **_kwargs: Any) -> None: ...

    stub.__name__ = name
    return stub


def _refusal(snapshot: SyncSnapshot) -> Callable[[], SyncSnapshot]:
    if isinstance(snapshot, FunctionSnapshot):
        return lambda: snapshot.resume({"exc_type": "SystemExit", "message": "this step has ended"})
    if isinstance(snapshot, NameLookupSnapshot):
        return snapshot.resume
    raise LimitExceeded("the interpreter waits for something unknown")
