"""A session's turns: each answer is remembered, and the next task of the session sees the last ones."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

from dionysus_mcp.client import DionysusMcpError
from layers.memory_tools import ANSWER

if TYPE_CHECKING:
    from cognition.parts import Parts
    from cognition.thought import Thought
    from layers.run import Run

TURNS = 6
_log = logging.getLogger(__name__)


def history(parts: Parts, run: Run) -> list[dict[str, Any]]:
    """Return the last turns of the run's session, oldest first: task and answer of each."""
    call = parts.memory.state(session_id=run.session_id, memory_types=[ANSWER], recent=TURNS)
    turns = parts.ask(run, call).recent
    # A turn that is long comes by its beginning.
    cut = [turn.id for turn in turns if turn.metadata_part is not None]
    whole = {turn.id: turn for turn in parts.ask(run, parts.memory.get(cut))} if cut else {}
    turns = [whole.get(turn.id, turn) for turn in turns]
    return [{"task": turn.metadata.get("task"), "answer": turn.metadata.get("answer")} for turn in reversed(turns)]


def remember_answer(parts: Parts, run: Run, thought: Thought) -> None:
    """Store an answer as a memory of type `answer`; it belongs to its session and is never evidence later.

    An answer that can't be stored is still an answer: the failure is logged, not raised.
    """
    answer = thought.answer if isinstance(thought.answer, str) else json.dumps(thought.answer, default=_plain)
    stored = parts.memory.create(
        f"{thought.task}\n{answer}",
        memory_type=ANSWER,
        metadata={
            "task": thought.task,
            "answer": answer,
            "run_id": run.id,
            "stop_reason": str(thought.stop_reason),
            "evidence": [piece.id for piece in thought.evidence],
        },
        session_id=run.session_id,
    )
    try:
        run.lifeline.wait(parts.loop.submit(stored))
    except DionysusMcpError as error:
        _log.warning("The answer of run %s was not remembered: %s", run.id, error)


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)
