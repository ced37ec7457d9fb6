"""`Mind`, what a user holds: `start` opens a run, whose way through the layers to a `Thought` is told in `way.py`."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from cognition import way
from cognition.asked import Asked, read_options
from cognition.interrupts import interrupts_held
from cognition.opening import Opening
from cognition.parts import OwnParts
from cognition.thinking import Thinking, begun_apart
from layers.run import Budget, Event, Lifeline, Run

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cognition.holding import Holding
    from cognition.settings import Settings
    from cognition.thought import Thought
    from dionysus_mcp.admin import IngestSummary, Progress
    from layers.guards import Approve, BeforeTool
    from layers.spec import LayerSpec
    from observability import RunTrace


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
        before_tool: sees every tool call that models and their code make, before it happens, and says `"allow"`,
            `"ask"` or `"deny"`, a `Decision` with a reason, or `None` for no opinion. The stricter of it and of the
            `[guards]` rules holds. May be a coroutine function, which runs on the mind's own event loop. One that
            raises, or takes longer than the layer's `tool_timeout`, denies the call.
        approve: asks a person about a call, `True` lets it happen; called for one at a time. Without it nobody is
            there to be asked, and what would be asked is denied.
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
        before_tool: BeforeTool | None = None,
        approve: Approve | None = None,
        **keywords: Any,
    ) -> None:
        given = {"layers": layers, "tiers": tiers, "tier": tier, "memory": memory, "sandbox": sandbox, **keywords}
        with interrupts_held():
            from cognition.settings import load_settings

            self.settings = settings or load_settings(config, **{k: v for k, v in given.items() if v is not None})
        self._opening = Opening(self.settings, OwnParts(tuple(tools), before_tool, approve))

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
        retries: int = 0,
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
                about; one that returns `False`, raises, or takes longer than the manager's `tool_timeout` rejects it.
                An abstention is no answer and passes.
            retries: how often a task that failed is tried anew, from its beginning, within the same budget and
                deadline; a rejected answer and one that doesn't fit `output` are failures. `Thought.usage` has what all
                attempts spent. A run that was stopped is not tried again.

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
            retries=retries,
        )
        return self._opening.begin(lambda held: _thinking_of(held, asked))

    def think(self, task: str, **options: Any) -> Thought:
        """Think about a task and wait for the outcome; takes what `start` takes.

        Raises:
            ThinkingError: the run ended without an answer; `.partial` has the best so far.
        """
        return self.start(task, **options).result()

    async def athink(self, task: str, **options: Any) -> Thought:
        """Like `think`, for async callers; cancelling the coroutine cancels the run."""
        thinking = await begun_apart(lambda: self.start(task, **options))
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
        thinking = await begun_apart(lambda: self.start(task, **options))
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

        self._opening.flush()
        with TraceStore(self.settings.trace.path) as store:
            newest = [] if run_id else store.runs(limit=1)
            if not run_id and not newest:
                raise ValueError("There is no run in the trace yet: think about something first.")
            return store.run(run_id or newest[0].run_id)

    @property
    def layers(self) -> Mapping[str, LayerSpec]:
        """The enabled layers by name."""
        return self._opening.parts().bench.layers

    @property
    def notices(self) -> tuple[str, ...]:
        """What to know about the parts at work: an offline tier, an embedded sandbox, keyword recall."""
        return self._opening.parts().notices

    def close(self) -> None:
        """Cancel what still thinks and end every part. May be called again; a closed mind opens anew when used."""
        self._opening.close()

    def __enter__(self) -> Self:
        try:
            self._opening.parts()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _thinking_of(held: Holding, asked: Asked) -> Thinking:
    """Open a run for a task; what it does on its thread is `way.think`."""
    lifeline, tracer = Lifeline(*asked.expiry()), held.telemetry.tracer
    run = Run(uuid.uuid4().hex, asked.session, asked.budget, lifeline, tracer, held.secrets)
    return Thinking(run, lambda: way.think(held, run, asked))
