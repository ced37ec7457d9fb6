"""Claims held against memory: supported, contradicted or unsupported, with the words that say so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from layers.analysis.facts import dates, is_negated, numbers
from layers.analysis.passages import Passage, Remembered, spans, stands_in
from layers.analysis.words import cover, terms

_SUPPORTS = 0.75
_BEARS_ON = 0.6


def reflect(claims: Sequence[str], evidence: Mapping[str, Sequence[Remembered | Passage]]) -> dict[str, Any]:
    """Hold claims against the memories that were recalled for them.

    Args:
        claims: sentences that an answer is made of.
        evidence: per claim the memories to hold it against.

    Returns:
        `verdicts`, one per claim: `claim`, `verdict` ("supported", "contradicted" or "unsupported"), `quote`
        (verbatim, ""
        without one), `id`; `coverage`: share of supported claims, 0..1; `models_to_revise`: ids of mental models whose
        memory contradicts a claim.
    """
    verdicts = [_verdict(claim, [Passage.of(memory) for memory in evidence.get(claim, ())]) for claim in claims]
    supported = sum(verdict["verdict"] == "supported" for verdict in verdicts)
    against = {verdict["id"] for verdict in verdicts if verdict["verdict"] == "contradicted"}
    models = [
        str(memory.metadata["model_id"])
        for memories in evidence.values()
        for memory in memories
        if not isinstance(memory, Passage) and memory.id in against and memory.metadata.get("model_id")
    ]
    return {
        "verdicts": verdicts,
        "coverage": round(supported / len(verdicts), 3) if verdicts else 0.0,
        "models_to_revise": list(dict.fromkeys(models)),
    }


def _verdict(claim: str, memories: Sequence[Passage]) -> dict[str, str]:
    for memory in memories:
        if stands_in(claim, memory.content):
            return {"claim": claim, "verdict": "supported", "quote": _verbatim(claim, memory), "id": memory.id}
    wanted = terms(claim)
    best, found, where = 0.0, "", ""
    for memory in memories:
        for start, end in spans(memory.content):
            words = frozenset(terms(memory.content[start:end]))
            share = sum(cover(term, words) for term in wanted) / len(wanted) if wanted else 0.0
            if share > best:
                best, found, where = share, memory.content[start:end], memory.id
    verdict = _weigh(claim, found, best)
    if verdict == "unsupported":
        found, where = "", ""
    return {"claim": claim, "verdict": verdict, "quote": found, "id": where}


def _weigh(claim: str, sentence: str, share: float) -> str:
    if share < _BEARS_ON:
        return "unsupported"
    if is_negated(claim) != is_negated(sentence) or _other(numbers(claim), numbers(sentence)):
        return "contradicted"
    if _other(dates(claim), dates(sentence)):
        return "contradicted"
    return "supported" if share >= _SUPPORTS else "unsupported"


def _other(one: Sequence[Any], another: Sequence[Any]) -> bool:
    return bool(one) and bool(another) and not (set(one) & set(another))


def _verbatim(claim: str, memory: Passage) -> str:
    return claim if claim in memory.content else " ".join(claim.split())
