"""What every test has: the real parts as fixtures, and no part skipped in silence (`tests/support/parts.py`)."""

pytest_plugins = ["tests.support.parts"]
