"""Reading English text without a model: words, facts, questions, passages; claims joined, and held against memory.

Deterministic pure functions. The host tools `synthesize` and `reflect` are made of them, and so is the offline tier.
"""

from layers.analysis.answerability import Answerability, answers, evidence_of
from layers.analysis.passages import Excerpt, Passage, Remembered, rank, rarity, sentences, stands_in
from layers.analysis.questions import Kind, Question, ask, parts
from layers.analysis.reflection import reflect
from layers.analysis.settling import Settlement, settle
from layers.analysis.synthesis import disagreement, independent, synthesize, validity
from layers.analysis.words import stem, terms

__all__ = [
    "Answerability",
    "Excerpt",
    "Kind",
    "Passage",
    "Question",
    "Remembered",
    "Settlement",
    "answers",
    "ask",
    "disagreement",
    "evidence_of",
    "independent",
    "parts",
    "rank",
    "rarity",
    "reflect",
    "sentences",
    "settle",
    "stands_in",
    "stem",
    "synthesize",
    "terms",
    "validity",
]
