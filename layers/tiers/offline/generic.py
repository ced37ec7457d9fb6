"""A layer that the offline tier doesn't know: recall, then answer with the best quotes.

Its other tools stay uncalled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from layers.analysis import ask
from layers.tiers.offline.moves import NOTE, Act, Policy, recall, report
from layers.tiers.offline.statements import flat, pool_of, question_of, state

if TYPE_CHECKING:
    from layers.tiers.offline.conversation import Conversation


def think(conversation: Conversation) -> Policy:
    """Recall the task and quote what answers it."""
    task = question_of(conversation.task, conversation.context)
    if "recall" not in conversation.may_call:
        return report(
            "", open_questions=["Without a tool to recall with, the offline tier has nothing to say."], note=NOTE
        )
    found = yield Act("I recall the task.", [recall(task)], "found")
    statements = [s for s in state(ask(task), pool_of(found), most=3) if s["answered"]]
    if not statements:
        return report("", open_questions=[f"Memory holds nothing on: {task}"], note=NOTE)
    return report("\n".join(flat(s["quote"]) for s in statements), statements, note=NOTE)
