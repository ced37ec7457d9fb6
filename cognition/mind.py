"""The way of a task: `Mind.start` opens a run, the layers think, the answer is checked and becomes a `Thought`."""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cognition.asked import Asked, read_options
from cognition.check import Unfit, check_answer, check_evidence, fit
from cognition.conversation import history, remember_answer
from cognition.interrupts import interrupts_held
from cognition.opening import Opening
from cognition.thinking import Thinking
from cognition.thought import OutputInvalid, Thought
from layers.delegation import delegate
from layers.run import Budget, Event, EventKind, Lifeline, Run, StopReason
from layers.spec import MANAGER
from observability import conventions

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from pydantic import BaseModel

    from cognition.parts import Parts
    from cognition.settings import Settings
    from dionysus_mcp.admin import IngestSummary, Progress
    from layers.report import Report
    from layers.spec import LayerSpec
    from observability import RunTrace

PERCEPTION = "perceptual"
CLOSE_WITHIN = 5.0  # seconds for a cancelled run to end: a model or tool of the user's own may not notice


class Mind:
    """Five layers that think about tasks over one memory.

    Its parts (memory server, sandbox, models) start with the first use or on entering the context, on a thread of their
    own, and end with `close()` or on leaving it. One mind may think about several tasks at once, from several threads.

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
        given = {"layers": layers, "tiers": tiers, "tier": tier, "memory": memory, "sandbox": sandbox, **keywords}
        with interrupts_held():
            from cognition.settings import load_settings

            self.settings = settings or load_settings(config, **{k: v for k, v in given.items() if v is not None})
        self._tools = tuple(tools)
        self._lock = threading.Lock()
        self._opening: Opening | None = None
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
        final_answer_checks: Iterable[Callable[[Thought], object]] = (),
    ) -> Thinking:
        """Begin to think about a task and return at once.

        The run opens the mind's parts if they aren't open, which takes a few seconds; the `parts_opened` event tells
        when they are, with what to know about them. A part that doesn't open is an error of the run.

        Args:
            task: a question or an order, in words.
            output: a pydantic model that the answer must fit; an abstention stays in words.
            session: the conversation it continues; a new one by default.
            budget: limits of the run; the settings' `[budget]` by default.
            deadline: seconds from now, or an aware datetime.
            files: files that the manager's code may read by their names.
            images: PIL images or paths that go with the task.
            final_answer_checks: each gets the thought before it is remembered or returned, however its answer came
                about; one that returns `False` or raises rejects it. An abstention is no answer and passes.

        Raises:
            ValueError: an argument is wrong; nothing was started.
        """
        asked = read_options(
            task,
            output=output,
            session=session,
            budget=self.settings.budget if budget is None else budget,
            deadline=deadline,
            files=files,
            images=images,
            checks=final_answer_checks,
        )
        with self._lock:  # in one go: `close` ends every run that has these parts
            opening = self._open()
            lifeline = Lifeline(*asked.expiry())
            run = Run(uuid.uuid4().hex, asked.session, asked.budget, lifeline, opening.telemetry.tracer)
            thinking = Thinking(run, lambda root: self._run(opening, run, asked, root), asked)
            self._thinking.add(thinking)
        thinking.begin(self._ended)
        return thinking

    def think(self, task: str, **options: Any) -> Thought:
        """Think about a task and wait for the outcome; takes what `start` takes.

        Raises:
            ThinkingError: the run ended without an answer; `.partial` has the best so far.
        """
        return self.start(task, **options).result()

    async def athink(self, task: str, **options: Any) -> Thought:
        """Like `think`, for async callers; cancelling the coroutine cancels the run."""
        thinking = await self._abegin(task, options)
        try:
            await asyncio.wrap_future(thinking.ended())  # no thread waits: many may think at once
        except asyncio.CancelledError:
            thinking.cancel()
            raise
        return thinking.result()

    def stream(self, task: str, **options: Any) -> Iterator[Event]:
        """Think about a task and yield the events of the whole tree as they come; takes what `start` takes.

        The last event's `detail["thought"]` is the `Thought`. Leaving the loop early cancels the run.

        Raises:
            ThinkingError: the run ended without an answer; raised after its last event.
        """
        thinking = self.start(task, **options)
        try:
            yield from thinking.events()
            thinking.result()
        finally:
            thinking.cancel()

    async def astream(self, task: str, **options: Any) -> AsyncIterator[Event]:
        """Like `stream`, for async callers; cancelling the coroutine or closing the iterator cancels the run."""
        thinking = await self._abegin(task, options)
        try:
            async for event in thinking.aevents():
                yield event
            thinking.result(0)
        finally:
            thinking.cancel()

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

        if self._opening is not None:
            self._opening.telemetry.flush()
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
        with self._lock:
            thinking, opening, self._opening = tuple(self._thinking), self._opening, None
        try:
            for each in thinking:
                each.cancel()
            for each in thinking:
                each.wait(CLOSE_WITHIN)
        finally:  # also after Ctrl-C
            if opening is not None:
                opening.close()

    def __enter__(self) -> Self:
        try:
            self._parts()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _parts(self) -> Parts:
        with self._lock:
            opening = self._open()
        try:
            return opening.parts()
        finally:
            self._let_go_if_failed()

    def _open(self) -> Opening:
        """Return the opening of the parts, begun if it wasn't or failed; the caller holds the lock."""
        if self._opening is None or self._opening.failed:
            failed, self._opening = self._opening, Opening(self.settings, self._tools)
            if failed is not None:
                failed.close()
        return self._opening

    def _ended(self, thinking: Thinking) -> None:
        self._thinking.discard(thinking)
        self._let_go_if_failed()

    def _let_go_if_failed(self) -> None:
        """Keep nothing of parts that didn't open, once nobody waits for them any more: a failed mind needs no close."""
        with self._lock:
            opening = self._opening
            if opening is None or self._thinking or not opening.failed:
                return
            self._opening = None
        opening.close()

    async def _abegin(self, task: str, options: dict[str, Any]) -> Thinking:
        """Start a run on a thread, since reading files and opening the trace block; cancelled, none is left."""
        begun: list[Thinking] = []
        abandoned = threading.Event()

        def begin() -> Thinking:
            begun.append(self.start(task, **options))
            if abandoned.is_set():  # cancelled while it started
                begun[0].cancel()
            return begun[0]

        try:
            return await asyncio.to_thread(begin)
        except asyncio.CancelledError:
            abandoned.set()
            for thinking in begun:
                thinking.cancel()
            raise

    def _run(self, opening: Opening, run: Run, asked: Asked, root: Span) -> Thought:
        """Think, on the run's own thread, inside its root span."""
        parts = opening.of(run)
        run.events.publish(EventKind.PARTS_OPENED, (), "memory, sandbox and models are there", notices=parts.notices)
        bench = parts.bench
        if asked.budget.usd is not None:
            bench.check_prices()
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
        memories = parts.ask(run, parts.memory.get(cited)) if cited else []
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
        if not abstained:
            check_answer(run, thought, asked.checks)
        remember_answer(parts, run, thought)
        root.set_attribute(conventions.OUTPUT, str(answer))
        root.set_attribute(conventions.STOP_REASON, str(reason))
        run.events.publish(EventKind.ANSWER, (), str(answer), confidence=checked.confidence)
        return thought
