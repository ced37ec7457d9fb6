"""Consolidation of one scope of a store: a plan that changes nothing, doing it, and taking it back."""

from collections.abc import Callable
from datetime import UTC, datetime

from dionysus_mcp.consolidation.actions import Action, Plan, Run, Skipped
from dionysus_mcp.consolidation.applying import apply
from dionysus_mcp.consolidation.lease import Lease
from dionysus_mcp.consolidation.planning import Planning, Report, Writer, silent
from dionysus_mcp.consolidation.runs import actions_of, one_run, runs
from dionysus_mcp.consolidation.settings import ConsolidationSettings
from dionysus_mcp.consolidation.undoing import undo
from dionysus_mcp.store.access import Store


class Consolidation:
    """Consolidates one scope of a store.

    Args:
        store: Where the memories are.
        settings: What is near enough, and how much is done at once.
        writer: A language model that words semantic memories; None quotes them.
        check: Called now and then; it may raise to end the work.
        report: Told the stage, how much of it is done, and how much there is (0 where that isn't known).
    """

    def __init__(
        self,
        store: Store,
        settings: ConsolidationSettings | None = None,
        *,
        writer: Writer | None = None,
        check: Callable[[], None] = lambda: None,
        report: Report = silent,
    ) -> None:
        self._store = store
        self._check = check
        self._report = report
        self._settings = settings or ConsolidationSettings()
        self._writer = writer

    def plan(self, *, limit: int | None = None, now: datetime | None = None) -> Plan:
        """What would be done; nothing is changed.

        Args:
            limit: Most actions; that of the settings when left out.
            now: The moment for which retention is reckoned.
        """
        planning = Planning(self._store, self._settings, self._writer, self._check, self._report)
        return planning.plan(now or datetime.now(UTC), limit)

    def run(self, *, limit: int | None = None) -> tuple[Plan, Run]:
        """Plan and do it at once, while no other process does.

        Raises:
            ConsolidationBusy: if another process is consolidating the scope.
            MemoryStoreError: if the store can't be written; what was done until then is in the log.
        """
        with Lease(self._store) as lease:

            def check() -> None:
                self._check()
                lease.renew()

            planning = Planning(self._store, self._settings, self._writer, check, self._report)
            plan = planning.plan(datetime.now(UTC), limit)
            return plan, self._applied(plan, lease)

    def apply(self, plan: Plan) -> Run:
        """Do what a plan says. What the store no longer allows is left, and named in the answer.

        Raises:
            ConsolidationBusy: if another process is consolidating the scope.
            MemoryStoreError: if the store can't be written; what was done until then is in the log.
        """
        with Lease(self._store) as lease:
            return self._applied(plan, lease)

    def undo(self, run_id: str) -> Run:
        """Take back what a run did; what others changed since stays, and is named in the answer.

        Raises:
            ConsolidationBusy: if another process is consolidating the scope.
            MemoryStoreError: if there is no such run, or the store can't be written.
        """
        one_run(self._store, run_id)
        with Lease(self._store) as lease:
            kept = undo(self._store, run_id, lease, self._undoing)
        left = dict(zip([seq for seq, _ in kept], [reason for _, reason in kept], strict=True))
        actions = actions_of(self._store, run_id) if left else []
        # Both are in order of their numbers, and of what was not undone nothing is missing in either.
        reasons = [left[seq] for seq in sorted(left)]
        skipped = [Skipped(action=one, reason=why) for one, why in zip(actions, reasons, strict=False)]
        return one_run(self._store, run_id).model_copy(update={"skipped": skipped})

    def runs(self) -> list[Run]:
        """The runs of the scope, the latest first."""
        return runs(self._store)

    def actions(self, run_id: str) -> list[Action]:
        """What a run did and was not taken back.

        Raises:
            MemoryStoreError: if there is no such run.
        """
        return actions_of(self._store, run_id)

    def _applied(self, plan: Plan, lease: Lease) -> Run:
        run_id, skipped = apply(self._store, plan, lease, self._doing)
        return one_run(self._store, run_id).model_copy(update={"skipped": skipped})

    def _doing(self, done: int, total: int) -> None:
        self._check()
        self._report("doing", done, total)

    def _undoing(self, done: int, total: int) -> None:
        self._report("undoing", done, total)
