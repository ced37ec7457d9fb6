"""Asking language models through LiteLLM: what a tier's calls and those of memory have in common.

Imports nothing of store, recall or layers; `layers.tiers` builds on it.
"""
