"""The way of a task: `Mind.start` opens a run, the layers think, the answer is checked and becomes a `Thought`."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from contextvars import copy_context
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cognition.asked import Asked, read_options
from cognition.check import Unfit, check_evidence, fit
from cognition.conversation import history, remember_answer
from cognition.parts import open_parts
from cognition.thought import Evidence, OutputInvalid, ThinkingError, Thought
from layers.delegation import delegate
from layers.errors import LayerError
from layers.report import Report
from layers.run import Budget, Event, EventKind, Lifeline, Run, RunStopped, StopReason
from layers.spec import MANAGER

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from pydantic import BaseModel

    from cognition.parts import Parts
    from cognition.settings import Settings
    from dionysus_mcp.admin import IngestSummary, Progress
    from layers.spec import LayerSpec
    from observability import RunTrace

PERCEPTION = "perceptual"


class Mind:
    """Five layers that think about tasks over one memory.

    Its parts (memory server, sandbox, models) start with the first use or on entering the context, and end with
    `close()` or on leaving it. One mind may think about several tasks at once, from several threads.

    Args:
        config: a `dionysus.toml`; by default the nearest one in the working directory or above it.
        settings: settings already loaded, instead of `config` and the keywords below.
        layers: layers to add or change by name, whole `LayerSpec`s or just the fields to change.
        tiers: tiers to add or change by name: settings, or a smolagents `Model`.
        tier: one tier for all layers, such as `"offline"`.
        memory: the memory's store as a SQLAlchemy URL, `sqlite:///notes.db`.
        sandbox: the backend that runs code: `auto`, `docker`, `monty`.
        tools: plain functions with type hints and docstrings, or smolagents `Tool`s, for the layers that name them;
            those that no layer names go to the manager.
        keywords: further settings by table, `trace={"enabled": False}`.

    Raises:
        cognition.settings.SettingsError: a setting is unknown or wrong; the message says where it stands.

    Example:
        >>> with Mind(tier="offline") as mind:
        ...     mind.remember("docs/")
        ...     print(mind.think("Which queue do we use, and why?"))
    """

    def __init__(
        self,
        config: str | Path | None = None,
        *,
        settings: Settings | None = None,
        layers: Mapping[str, LayerSpec | Mapping[str, Any]] | None = None,
        tiers: Mapping[str, Any] | None = None,
        tier: str | None = None,
        memory: str | None = None,
        sandbox: str | None = None,
        tools: Iterable[Any] = (),
        **keywords: Any,
    ) -> None:
        from cognition.settings import load_settings

        given = {"layers": layers, "tiers": tiers, "tier": tier, "memory": memory, "sandbox": sandbox, **keywords}
        self.settings = settings or load_settings(config, **{k: v for k, v in given.items() if v is not None})
        self._tools = tuple(tools)
        self._stack = ExitStack()
        self._opening = threading.Lock()
        self._opened: Parts | None = None
        self._thinking: set[Thinking] = set()

    def start(
        self,
        task: str,
        *,
        output: type[BaseModel] | None = None,
        session: str | None = None,
        budget: Budget | Mapping[str, Any] | None = None,
        deadline: float | datetime | None = None,
        files: Iterable[str | Path] = (),
        images: Sequence[Any] = (),
    ) -> Thinking:
        """Begin to think about a task and return at once.

        Args:
            task: a question or an order, in words.
            output: a pydantic model that the answer must fit.
            session: the conversation it continues; a new one by default.
            budget: limits of the run; the settings' `[budget]` by default.
            deadline: seconds from now, or an aware datetime.
            files: files that the manager's code may read by their names.
            images: PIL images or paths that go with the task.

        Raises:
            ValueError: an argument is wrong; nothing was started.
            ThinkingError: a part that thinking needs doesn't start.
        """
        asked = read_options(
            task,
            output=output,
            session=session,
            budget=self.settings.budget if budget is None else budget,
            deadline=deadline,
            files=files,
            images=images,
        )
        parts = self._parts()
        lifeline = Lifeline(*asked.expiry())
        run = Run(uuid.uuid4().hex, asked.session, asked.budget, lifeline, parts.telemetry.tracer)
        thinking = Thinking(run, lambda root: self._run(parts, run, asked, root), asked)
        self._thinking.add(thinking)
        thinking.begin(self._thinking.discard)
        return thinking

    def think(self, task: str, **options: Any) -> Thought:
        """Think about a task and wait for the outcome; takes what `start` takes.

        Raises:
            ThinkingError: the run ended without an answer; `.partial` has the best so far.
        """
        return self.start(task, **options).result()

    async def athink(self, task: str, **options: Any) -> Thought:
        """Like `think`, for async callers; cancelling the coroutine cancels the run."""
        thinking = await asyncio.to_thread(self.start, task, **options)
        try:
            return await asyncio.to_thread(thinking.result)
        except asyncio.CancelledError:
            thinking.cancel()
            raise

    def remember(
        self,
        *paths: str | Path,
        text: str | None = None,
        git: bool = False,
        progress: Callable[[Progress], None] | None = None,
    ) -> IngestSummary:
        """Read files and folders, or a text, into memory; what is there already stays as it is.

        Args:
            paths: Markdown, text, source files, JSONL, and folders of them.
            text: a text to remember instead of paths.
            git: read the commit messages of the repositories at `paths` instead of their files.
            progress: called as it goes on.

        Raises:
            dionysus_mcp.errors.MemoryStoreError: the store can't be written.
            ValueError: neither paths nor a text, or both.
        """
        from cognition.remembering import remember

        return remember(self.settings.memory, paths, text=text, git=git, progress=progress)

    def trace(self, run_id: str | None = None) -> RunTrace:
        """Return the trace of a run, by its id or the beginning of it; of the newest run by default."""
        from observability import TraceStore

        self._parts().telemetry.flush()
        with TraceStore(self.settings.trace.path) as store:
            newest = [] if run_id else store.runs(limit=1)
            if not run_id and not newest:
                raise ValueError("There is no run in the trace yet: think about something first.")
            return store.run(run_id or newest[0].run_id)

    @property
    def layers(self) -> Mapping[str, LayerSpec]:
        """The enabled layers by name."""
        return self._parts().bench.layers

    @property
    def notices(self) -> tuple[str, ...]:
        """What to know about the parts at work: an offline tier, an embedded sandbox, keyword recall."""
        return self._parts().notices

    def close(self) -> None:
        """Cancel what still thinks and end every part. May be called again; a closed mind opens anew when used."""
        for thinking in tuple(self._thinking):
            thinking.cancel()
            thinking.wait()
        with self._opening:
            self._opened = None
            self._stack.close()

    def __enter__(self) -> Self:
        self._parts()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _parts(self) -> Parts:
        with self._opening:
            if self._opened is None:
                with ExitStack() as stack:
                    self._opened = open_parts(self.settings, self._tools, stack)
                    self._stack = stack.pop_all()
            return self._opened

    def _run(self, parts: Parts, run: Run, asked: Asked, root: Span) -> Thought:
        """Think, on the run's own thread, inside its root span."""
        bench = parts.bench
        manager = bench.layers[MANAGER]
        context: dict[str, Any] = {}
        if earlier := history(parts, run):
            context["history"] = earlier
        if asked.output is not None:
            context["output_schema"] = asked.output.model_json_schema()
        if PERCEPTION in bench.layers:
            seen = delegate(run, bench, bench.layers[PERCEPTION], asked.task, context, images=asked.images)
            context["perception"] = seen.as_json()
        if asked.files:
            context["files"] = sorted(asked.files)
        report = delegate(run, bench, manager, asked.task, context, files=asked.files, images=asked.images)
        return self._conclude(parts, run, asked, report, root)

    def _conclude(self, parts: Parts, run: Run, asked: Asked, report: Report, root: Span) -> Thought:
        """Check the manager's report, remember the answer, and make the `Thought` of it."""
        bench = parts.bench
        cited = list(dict.fromkeys(piece.id for piece in report.evidence if piece.id in run.trail.seen))
        memories = run.lifeline.wait(parts.loop.submit(parts.memory.get(cited))) if cited else []
        checked = check_evidence(report, {memory.id: memory for memory in memories})
        answer, abstained = report.answer, report.findings.get("abstained") is True
        if asked.output is not None and not abstained:
            try:
                answer = fit(run, bench, bench.layers[MANAGER], answer, asked.output)
            except Unfit as unfit:
                partial = asked.thought(run, unfit.raw, StopReason.FAILED, checked.evidence, errors=(str(unfit),))
                raise OutputInvalid(str(unfit), partial, unfit.raw) from unfit
        reason = StopReason.ABSTAINED if abstained else StopReason.ANSWERED
        thought = asked.thought(run, answer, reason, checked.evidence, checked.confidence, checked.errors, bench.layers)
        remember_answer(parts, run, thought)
        root.set_attribute("output.value", str(answer))
        root.set_attribute("dionysus.stop_reason", str(reason))
        run.events.publish(EventKind.ANSWER, (), str(answer), confidence=checked.confidence)
        return thought


class Thinking:
    """A run that is under way: watch it, cancel it, wait for its outcome. Safe to use from any thread."""

    def __init__(self, run: Run, work: Callable[[Span], Thought], asked: Asked) -> None:
        self._run = run
        self._work = work
        self._asked = asked
        self._thought: Thought | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=copy_context().run, args=(self._think,), name=f"dionysus-run-{run.id[:8]}", daemon=True
        )
        self._ended = threading.Event()
        self._on_end: Callable[[Thinking], object] = lambda _: None

    @property
    def run_id(self) -> str:
        """Names the run in events and in the trace."""
        return self._run.id

    def begin(self, on_end: Callable[[Thinking], object]) -> None:
        """Start the run's thread; `on_end` is called by it at the end."""
        self._on_end = on_end
        self._thread.start()

    def events(self) -> Iterator[Event]:
        """Yield the events of the whole tree in order, from the first on, until the run has ended."""
        return iter(self._run.events)

    def cancel(self) -> None:
        """End the run now; `result` then raises `Cancelled`. Does nothing once the run has ended."""
        self._run.lifeline.stop(StopReason.CANCELLED, "The run was cancelled.")

    def done(self) -> bool:
        """Whether the run has ended."""
        return self._ended.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the run has ended, at most `timeout` seconds; return whether it has."""
        return self._ended.wait(timeout)

    def result(self, timeout: float | None = None) -> Thought:
        """Wait for the outcome. Ctrl-C while waiting cancels the run and raises `Cancelled` with the partial answer.

        Args:
            timeout: seconds to wait; the run goes on after that.

        Raises:
            ThinkingError: the run ended without an answer; `.partial` has the best so far.
            TimeoutError: it has not ended within `timeout`.
        """
        try:
            ended = self.wait(timeout)
        except KeyboardInterrupt:
            self.cancel()
            ended = self.wait()  # a second Ctrl-C leaves from here
        if not ended:
            raise TimeoutError(f"The run {self.run_id[:8]} has not ended within {timeout} s; it goes on.")
        if self._thought is not None:
            return self._thought
        assert self._error is not None  # noqa: S101 - one of the two is set before the event
        raise self._error

    def _think(self) -> None:
        run = self._run
        try:
            with run.span(self._asked.task) as root:
                self._asked.trace_id = f"{root.get_span_context().trace_id:032x}"
                self._thought = self._guarded(root)
        except BaseException as error:  # noqa: BLE001 - promise: whatever ends the thread reaches the caller of result()
            self._error = error
        finally:
            reason = self._thought.stop_reason if self._thought else getattr(self._error, "stop_reason", "failed")
            run.events.publish(EventKind.RUN_ENDED, (), str(reason))
            run.events.close()
            run.lifeline.close()
            self._ended.set()
            self._on_end(self)

    def _guarded(self, root: Span) -> Thought:
        """Turn what ends a run early into the `ThinkingError` for it."""
        try:
            return self._work(root)
        except RunStopped as stop:
            root.set_attribute("dionysus.stop_reason", str(stop.reason))
            raise ThinkingError.of(stop, self._partial(stop.reason, stop.detail)) from stop
        except LayerError as error:
            stop = RunStopped(StopReason.CONFIGURATION, str(error))
            raise ThinkingError.of(stop, self._partial(stop.reason, stop.detail)) from error
        except ThinkingError:
            raise
        except Exception as error:  # promise: what leaves a Mind is a ThinkingError with its cause
            message = f"The run failed: {type(error).__name__}: {error}"
            raise ThinkingError(message, self._partial(StopReason.FAILED, message)) from error

    def _partial(self, reason: StopReason, detail: str) -> Thought:
        """Make a thought of the newest report; its quotes are not checked any more, so only what was seen stands."""
        reports: list[Report] = self._run.trail.reports
        newest = reports[-1] if reports else Report(layer=MANAGER)
        seen = self._run.trail.seen
        quotes = tuple(
            Evidence(id=piece.id, quote=piece.quote)
            for piece in newest.evidence
            if piece.quote and piece.quote in seen.get(piece.id, "")
        )
        return self._asked.thought(self._run, newest.answer, reason, quotes, errors=(detail,))
