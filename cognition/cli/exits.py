"""What an exit code of the command means."""

from __future__ import annotations

from enum import IntEnum

EPILOG = """

\b
Exit codes:
  0    answered, or done
  1    it failed; the message says why
  2    wrong usage or settings
  3    memory holds no answer (think abstained)
  4    the budget or the deadline ran out
  5    no model answered
  6    memory or sandbox can't be reached
  130  cancelled by Ctrl-C, 143 by SIGTERM

\b
Settings come from dionysus.toml, DIONYSUS_SECTION__KEY variables and options.
Begin with: dionysus doctor
"""


class ExitCode(IntEnum):
    """Exit codes; scripts may rely on them."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ABSTAINED = 3
    BUDGET = 4
    MODEL = 5
    PART = 6
    CANCELLED = 130
    TERMINATED = 143


_OF_REASON = {
    "answered": ExitCode.DONE,
    "abstained": ExitCode.ABSTAINED,
    "budget": ExitCode.BUDGET,
    "deadline": ExitCode.BUDGET,
    "cancelled": ExitCode.CANCELLED,
    "model_unavailable": ExitCode.MODEL,
    "memory_unavailable": ExitCode.PART,
    "sandbox_unavailable": ExitCode.PART,
    "configuration": ExitCode.USAGE,
}


def of_reason(reason: str) -> ExitCode:
    """Return the exit code for a run's stop reason."""
    return _OF_REASON.get(reason, ExitCode.FAILED)
