"""The perceptual layer offline: recall the task, then again the rare words that no hit covers; report the quotes."""

from __future__ import annotations

from layers.analysis import ask, terms
from layers.analysis.words import cover
from layers.tiers.offline.conversation import Conversation
from layers.tiers.offline.moves import NOTE, Act, Policy, recall, report
from layers.tiers.offline.statements import flat, pool_of, probed, probes, question_of, state, words_of

_MOST_TERMS = 4
_MOST_QUOTES = 8
_TOP = 8


def think(conversation: Conversation) -> Policy:
    """Find what memory holds on a task."""
    task = question_of(conversation.task, conversation.context)
    if "recall" not in conversation.may_call:
        return report(
            "", open_questions=["This layer has no tool to recall with."], statements=[], missing=[], note=NOTE
        )
    question = ask(task)
    found = yield Act("I recall the task as it was asked.", probes([question], _TOP), "found")
    asked, named = probed([question], 0, found)
    missing = words_of(found[0], "missing_terms")
    aside: list[dict[str, object]] = []
    if rare := missing[:_MOST_TERMS]:
        thought = f"No hit covers {', '.join(rare)}: I recall these words alone."
        aside = yield Act(thought, [recall(term, 4) for term in rare], "again")
    pool = pool_of(asked, aside, named)
    statements = state(question, pool, most=_MOST_QUOTES)
    held = frozenset(term for memory in pool for term in memory.all_terms)
    lacking = [term for term in missing if all(cover(stem, held) < 0.7 for stem in terms(term))]
    best = statements[0] if statements else {}
    return report(
        flat(best.get("quote", "")),
        statements,
        [f"Memory holds no word of “{term}”." for term in lacking],
        statements=statements,
        coverage=best.get("strength", 0.0),
        missing=lacking,
        note=NOTE,
    )
