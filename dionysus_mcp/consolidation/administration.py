"""Consolidation as `dionysus memory consolidate` does it: on the store itself, beside running servers."""

import contextlib
from collections.abc import Callable, Generator

from dionysus_mcp.admin import Progress, opened
from dionysus_mcp.consolidation.actions import Action, Plan, Run
from dionysus_mcp.consolidation.consolidation import Consolidation
from dionysus_mcp.consolidation.planning import Stage
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.settings import MemorySettings

Report = Callable[[Progress], None] | None


def plan(memory: MemorySettings, settings: ConsolidationSettings, report: Report, limit: int | None) -> Plan:
    """What would be done; nothing is changed.

    Raises:
        MemoryStoreError: if there is no store, or it can't be read.
    """
    with _opened(memory, settings, report) as consolidation:
        return consolidation.plan(limit=limit)


def run(memory: MemorySettings, settings: ConsolidationSettings, report: Report, limit: int | None) -> tuple[Plan, Run]:
    """Plan and do it.

    Raises:
        ConsolidationBusy: if a server is consolidating just now.
        MemoryStoreError: if there is no store, or it can't be written.
    """
    with _opened(memory, settings, report) as consolidation:
        return consolidation.run(limit=limit)


def undo(memory: MemorySettings, settings: ConsolidationSettings, report: Report, run_id: str) -> Run:
    """Take back what a run did.

    Raises:
        ConsolidationBusy: if a server is consolidating just now.
        MemoryStoreError: if there is no such run or store, or it can't be written.
    """
    with _opened(memory, settings, report) as consolidation:
        return consolidation.undo(run_id)


def runs(memory: MemorySettings, settings: ConsolidationSettings) -> list[Run]:
    """The runs that did something, the latest first.

    Raises:
        MemoryStoreError: if there is no store, or it can't be read.
    """
    with _opened(memory, settings, None) as consolidation:
        return [one for one in consolidation.runs() if one.done]


def actions(memory: MemorySettings, settings: ConsolidationSettings, run_id: str) -> list[Action]:
    """What a run did and was not taken back.

    Raises:
        MemoryStoreError: if there is no such run or store, or it can't be read.
    """
    with _opened(memory, settings, None) as consolidation:
        return consolidation.actions(run_id)


@contextlib.contextmanager
def _opened(memory: MemorySettings, settings: ConsolidationSettings, report: Report) -> Generator[Consolidation]:
    def told(stage: Stage, done: int, total: int) -> None:
        if report is not None:
            report(Progress(stage, done, total or None))

    writer = None
    if settings.model is not None:
        from dionysus_mcp.consolidation.writing import ModelWriter

        writer = ModelWriter(settings)
    with opened(memory) as store:
        yield Consolidation(store, settings, writer=writer, report=told)
