"""What `dionysus doctor` says about one part."""

from dataclasses import asdict, dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """What was found about one part.

    Attributes:
        part: what was looked at.
        state: `warn` limits what can be done, `fail` means that thinking can't work.
        finding: what is there.
        advice: what to do; empty where nothing is to be done.
    """

    part: str
    state: State
    finding: str
    advice: str = ""

    def as_json(self) -> dict[str, str]:
        """Return plain JSON types."""
        return asdict(self)
