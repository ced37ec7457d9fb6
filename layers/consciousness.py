"""The consciousness layer: its prompt."""

PROMPT = ""
