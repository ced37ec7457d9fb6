"""The metacognitive layer: its prompt."""

PROMPT = ""
