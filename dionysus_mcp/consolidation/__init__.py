"""Consolidation: what is said twice is kept once, what is said again and again becomes knowledge; no fact is lost."""
