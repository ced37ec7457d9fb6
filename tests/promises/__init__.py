"""Tests of promises in real time, and how much of it they allow."""

SLACK = 3
"""A promised second is tested at three times its limit: machines are shared."""
