"""What Dionysus promises in seconds of real time: a stop within one, the end of a process whose owner died, a lifeline.

`make test` runs this folder last and one test at a time. Each promise is tested at `SLACK` times its limit; everything
else that knows time is tested with a clock that the test moves (`tests/support/clock.py`).
"""

from tests.cognition.mind.conftest import home, make_mind  # noqa: F401 - fixtures of minds
