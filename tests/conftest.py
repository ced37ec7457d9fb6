"""What every test has: the real parts as fixtures, and no part skipped in silence (`tests/support/parts.py`)."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.support.parts", "tests.support.failures"]

# Machines are shared: no example is timed. In CI the same examples every time, so that a red run is about the change.
settings.register_profile(
    "house", deadline=None, derandomize="CI" in os.environ, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("house")
