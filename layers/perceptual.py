"""The perceptual layer: its prompt."""

PROMPT = ""
