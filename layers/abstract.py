"""The abstract layer: its prompt."""

PROMPT = ""
