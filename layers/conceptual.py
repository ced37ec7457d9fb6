"""The conceptual layer: its prompt."""

PROMPT = ""
