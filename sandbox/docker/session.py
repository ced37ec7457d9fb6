"""One agent run's code in a container: steps, host calls served here, and the ends of a step.

What comes from the box is hostile. The order of frames is checked against what may come now, ids against those that
were given, values against the limits; whatever doesn't fit costs the box its worker or its life, and the agent is told.
"""

from __future__ import annotations

import secrets
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from opentelemetry.trace import get_current_span

from sandbox.docker import codecs
from sandbox.docker.boxes import Boxes
from sandbox.docker.channel import ChannelClosedError
from sandbox.docker.clock import Rung, StepClock
from sandbox.docker.guest.tags import TagError, tagged
from sandbox.docker.guest.wire import (
    ANSWER,
    CALL,
    DONE,
    DROPPED,
    END,
    EXECUTE,
    INTERRUPT,
    KILL,
    LOST,
    PATIENCE,
    PRINTED,
    WireError,
)
from sandbox.docker.launch import host_frame_limit, unpacked_limit
from sandbox.docker.messages import NOTHING_SAID, REASONS, Call, code_error, fitting, keep, loss_of, read, written
from sandbox.docker.shelf import Shelf
from sandbox.docker.tunnel import Tunnel
from sandbox.errors import STATE_LOST, LimitExceeded, SandboxClosed, SandboxError, SessionLost, ValueRefused
from sandbox.executor import Outcome, Sandbox
from sandbox.host_tools import FINAL_ANSWER, raised_in_code
from sandbox.network import AllowList, Connection, NetworkLimits, Proxy
from sandbox.settings import SandboxSettings
from sandbox.values import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from opentelemetry.trace import Tracer

    from sandbox.docker.box import Box
    from sandbox.printed import Printed

_UNWOUND: Final = 3.0  # seconds to hear that a step has left its loops after a final answer; the guest gives it one


class DockerSandbox(Sandbox):
    """A sandbox in a container; useful alone: `CodeAgent(executor=DockerSandbox())`.

    The container starts with the first step, or is one that the backend kept ready.

    Args:
        limits: what the code may use; the defaults of the settings otherwise.
        step_timeout: seconds one step may execute; short for `limits`.
        image: name or id of the image; short for `limits`.
        runtime: container runtime, `auto` for gVisor where it is there; short for `limits`.
        network: names and ports that code may reach, such as `example.org:443`; short for `limits`.
        tracer: records every execution as a span.
        stop: when set, running code ends with `ExecutionStopped`.
        deadline: the same at this moment of `time.monotonic()`, in seconds.
        files: put in before the first step.
        backend: who makes containers; without it the sandbox has its own.

    Raises:
        SandboxUnavailable: there is no engine or no image; the message says what to do.
    """

    backend = "docker"
    _reduce = staticmethod(codecs.reduce)

    def __init__(
        self,
        *,
        limits: SandboxSettings | None = None,
        step_timeout: float | None = None,
        image: str | None = None,
        runtime: str | None = None,
        network: Sequence[str] | None = None,
        tracer: Tracer | None = None,
        stop: threading.Event | None = None,
        deadline: float | None = None,
        files: Mapping[str, bytes] | None = None,
        backend: Boxes | None = None,
    ) -> None:
        asked = {"step_timeout": step_timeout, "image": image, "runtime": runtime, "network": network}
        settings = (limits or SandboxSettings()).changed(**asked)
        super().__init__(limits=settings, tracer=tracer, stop=stop, deadline=deadline, files=files)
        self._boxes = backend or Boxes(settings.model_copy(update={"warm": 0}))
        self._own_boxes = backend is None
        self._unpacked_limit = unpacked_limit(settings)
        self._life = threading.Lock()
        self._box: Box | None = None
        self._clock = self._boxes.clock
        self._shelf = Shelf(self._files, self.limits, self._aside, clock=self._clock)
        self._tool_names_sent: list[str] | None = None
        self._unwinding: str | None = None
        self._step_timeout = self._patience = settings.step_timeout  # seconds; what the box was told of it
        self._printed: Printed | None = None
        self._loss: bytes | None = None
        self._proxy = Proxy(AllowList(settings.network), NetworkLimits(total=settings.network_total), clock=self._clock)

    @property
    def connections(self) -> list[Connection]:
        """Every connection that code asked for, the oldest first, also those that were refused."""
        return self._proxy.connections

    @property
    def container(self) -> str | None:
        """Id of the container, for diagnosis; None while there is none."""
        box = self._box
        return box.id if box is not None else None

    def get_file(self, name: str) -> bytes:
        """Read a file that was put, or that the code wrote; see `Sandbox.get_file`.

        Raises:
            SandboxError: code is running, and this is no tool that it called in this thread.
        """
        with self._standing_still() as box:
            return self._shelf.get(name, box)

    def list_files(self) -> list[str]:
        """Names of all files, sorted; see `Sandbox.list_files` and `get_file`."""
        with self._standing_still() as box:
            return self._shelf.names(box)

    def put_file(self, name: str, content: bytes) -> None:
        """Write a file that code opens by this name; see `Sandbox.put_file` and `get_file`."""
        with self._standing_still() as box:
            self._shelf.put(name, content, box)

    @contextmanager
    def _standing_still(self) -> Generator[Box | None]:
        """The box, if there is one, with nothing on its wire but what is asked now."""
        self._check_open()
        with self._turns.visit():
            try:
                self._settle(self._check_open)
                yield self._box
            except WireError as error:
                self._drop_box()
                self._loss = NOTHING_SAID
                raise SandboxError(f"the sandbox's files can't be reached: {error}") from None
            except ChannelClosedError as closed:
                self._check_open()
                if self._printed is None:  # a step that runs finds out by itself, and why
                    self._drop_box()
                    self._loss = NOTHING_SAID
                raise SandboxError(f"the sandbox's files can't be reached: {closed}") from None

    def _execute(self, code: str, printed: Printed) -> Outcome:
        self._printed = printed
        try:
            box = self._prepared(printed)
            step = self._send_step(box, code)
            return self._follow(box, step, printed)
        except WireError as error:
            self._drop_box()
            raise SessionLost(f"{REASONS['forged']} ({error})") from None
        except ChannelClosedError as closed:
            raise self._gone(closed) from None
        finally:
            self._printed = None
            if self._boxes.settings.network:
                self._proxy.tell(get_current_span())

    def _close(self) -> None:
        self._drop_box()
        self._proxy.close()
        if self._own_boxes:
            self._boxes.close()

    def _prepared(self, printed: Printed) -> Box:
        """Have a box whose worker waits for code."""
        self._settle(self._watch)
        self._cold = self._box is None
        if self._box is None:
            box = self._boxes.take(self, self._watch)
            if self._boxes.settings.network:
                box.channel.tunnel = Tunnel(box.channel.send, self._proxy.serve)
            with self._life:
                self._box, self._patience = box, self._boxes.settings.step_timeout
                closed = self._closed
            if closed:
                self._drop_box()
                self._check_open()
            self._forget()
            self._shelf.fill(box)
            self._adopt(box)
        else:
            self._box.channel.heed()
        if self._loss is not None:
            self._loss = None
            printed.write(f"(note: {STATE_LOST}.)\n")
        return self._box or self._never()

    def _adopt(self, box: Box) -> None:
        """Make a fresh box ready for the first step; its worker is a Python already."""

    def _settle(self, watch: Callable[[], None]) -> None:
        """Wait until the code of the step before has let go of its final answer; a box that goes on is dropped.

        Args:
            watch: raises when nobody waits any more.
        """
        step, self._unwinding = self._unwinding, None
        box, until = self._box, self._clock() + _UNWOUND
        try:
            while step is not None and box is not None and not self._has_ended(box, step, until):
                watch()
        except WireError:
            self._drop_box()
            self._loss = NOTHING_SAID

    def _has_ended(self, box: Box, step: str, until: float) -> bool:
        """Whether the next frame is the end of a step whose final answer is known; what it printed since is dropped."""
        received = box.channel.receive()
        if received is None or received[0] in (PRINTED, DROPPED):
            if self._clock() >= until:
                raise WireError(REASONS["unwinding"])
            return False
        kind, payload = received
        if kind == LOST:
            self._aside(kind, payload)
        elif kind != DONE or read(payload).get("id") != step:
            raise WireError(f"a frame of kind {kind} after the final answer")
        return True

    def _aside(self, kind: int, payload: bytes) -> None:
        """Take a frame that came while another one was waited for."""
        if kind == LOST:
            self._forget()
            self._loss = payload
        elif self._printed is not None:
            keep(self._printed, kind, payload)

    def _send_step(self, box: Box, code: str) -> str:
        step = secrets.token_hex(8)
        message: dict[str, Any] = {"id": step, "code": code.encode("utf-8", "replace").decode()}
        if self._unsent:
            message["variables"] = {name: self._tagged(value) for name, value in self._unsent.items()}
        names = list(self._tools)
        if names != self._tool_names_sent:
            message["tools"] = names
        if self._patience != self._step_timeout:
            box.channel.send(PATIENCE, repr(self._step_timeout).encode())
            self._patience = self._step_timeout
        box.channel.send(EXECUTE, fitting(message, host_frame_limit(self._boxes.settings)))
        self._unsent, self._tool_names_sent = {}, names
        return step

    def _forget(self) -> None:
        """The worker is a fresh one: what the host sent must be sent again."""
        self._unsent = dict(self._variables)
        self._tool_names_sent = None

    def _follow(self, box: Box, step: str, printed: Printed) -> Outcome:
        clock, calls = StepClock(self._step_timeout, clock=self._clock), 0
        while True:
            received = box.channel.receive()
            if received is None:
                self._watch()
                self._climb(box, clock)
                continue
            kind, payload = received
            if kind in (PRINTED, DROPPED):
                keep(printed, kind, payload)
                self._watch()  # a flood of output never lets the reader look up otherwise
                self._climb(box, clock)
            elif kind == CALL:
                calls += 1
                with clock.outside():
                    outcome = self._answer(box, payload, step, calls)
                if outcome is not None:
                    return outcome
                self._check_worker(clock)
                self._climb(box, clock)  # nor does a flood of calls
            else:
                return self._ended(kind, payload, step, clock)

    def _watch(self) -> None:
        self._check_open()
        self._check_stop()

    def _climb(self, box: Box, clock: StepClock) -> None:
        rung = clock.climb()
        if rung is Rung.INTERRUPTED:
            box.channel.send(INTERRUPT, b"")
        elif rung is Rung.KILLED:
            box.channel.send(KILL, b"")
        elif rung is Rung.REMOVED:
            self._drop_box()
            self._boxes.check()  # a supervisor always answers; an engine that hangs is no mistake of the code
            raise self._out_of_time(state_lost=True)

    def _answer(self, box: Box, payload: bytes, step: str, calls: int) -> Outcome | None:
        """Serve one call. Its outcome ends the step, if it was the final answer."""
        call = Call.of(read(payload), step)
        if calls > self.limits.max_host_calls:
            self._end_step(box, step)
            raise LimitExceeded(f"the step made more than {self.limits.max_host_calls:,} calls of tools; make fewer")
        try:
            given = self._received([*call.args, *call.kwargs.values()])
            args, named = tuple(given[: len(call.args)]), dict(zip(call.kwargs, given[len(call.args) :], strict=True))
            result = self._call_tool(call.name, args, named)
            if call.name == FINAL_ANSWER:
                self._end_step(box, step)
                return Outcome(result, is_final=True)
            answer: dict[str, Any] = {"value": self._tagged(plain(result, self.limits, reduce=self._reduce))}
        except TagError as error:
            raise WireError(str(error)) from None
        except (ChannelClosedError, WireError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever a tool raises becomes an error in the code that called it
            kind, text = raised_in_code(error)
            answer = {"error": {"type": kind, "message": text}}
        self._reply(box, ANSWER, {"call": call.number, **answer})
        return None

    def _tagged(self, value: Any) -> Any:
        return tagged(value)

    def _received(self, value: Any) -> Any:
        return codecs.received(value, self.limits.value_depth, self._unpacked_limit)

    def _reply(self, box: Box, kind: int, message: dict[str, Any]) -> bool:
        """Answer the worker's call, unless that worker is known to be gone: a fresh one asked for nothing."""
        if self._loss is None:
            box.channel.send(kind, written(message))
        return self._loss is None

    def _end_step(self, box: Box, step: str) -> None:
        if self._reply(box, END, {}):
            self._unwinding = step

    def _check_worker(self, clock: StepClock) -> None:
        """End the step whose worker died while the host served its call."""
        if self._loss is not None:
            loss, self._loss = self._loss, None
            raise self._lost(loss, clock)

    def _ended(self, kind: int, payload: bytes, step: str, clock: StepClock) -> Outcome:
        if kind == LOST:
            raise self._lost(payload, clock)
        if kind != DONE:
            raise WireError(f"a frame of kind {kind} in the middle of a step")
        return self._done(payload, step, clock)

    def _done(self, payload: bytes, step: str, clock: StepClock) -> Outcome:
        message = read(payload)
        if message.get("id") != step:
            raise WireError("an answer that belongs to no step")
        if clock.rung is not Rung.RUNNING:
            raise self._out_of_time(state_lost=False)
        error = message.get("error")
        if error is not None:
            raise code_error(error) from None
        try:
            return Outcome(self._received(message.get("value")))
        except ValueRefused as refused:
            return Outcome(f"<the value can't be shown: {refused}>")
        except TagError as odd:
            raise WireError(str(odd)) from None

    def _lost(self, payload: bytes, clock: StepClock) -> LimitExceeded:
        self._forget()
        return loss_of(payload, self._step_timeout, late=clock.rung is not Rung.RUNNING)

    def _gone(self, closed: ChannelClosedError) -> Exception:
        """The stream is closed: by us, by the end of the container, or by the end of the engine."""
        self._check_open()
        try:
            self._boxes.check(self._box)
        finally:
            self._drop_box()
        return SessionLost(f"the sandbox's container ended ({closed})")

    def _drop_box(self) -> None:
        with self._life:
            box, self._box = self._box, None
        self._unwinding = self._loss = None
        if box is not None:
            self._boxes.give_back(box)

    def _out_of_time(self, *, state_lost: bool) -> LimitExceeded:
        return LimitExceeded.of_time(self._step_timeout, state_lost=state_lost)

    def _never(self) -> Box:
        raise SandboxClosed("this sandbox was closed while its code ran")
