"""What frames say: JSON objects, written for a box and read from one with nothing taken on trust."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.guest.tags import readable
from sandbox.docker.guest.wire import PRINTED, WireError
from sandbox.errors import CodeError, LimitExceeded, SessionLost, ValueRefused

if TYPE_CHECKING:
    from sandbox.printed import Printed

# Why a worker is gone: what the supervisor says, and what the agent is told.
REASONS: Final = {
    "memory": "MemoryError: the code used more memory than its sandbox has",
    "ended": "the process that ran the code ended",
    "broken": "the process that ran the code was broken by it",
    "forged": "the code interfered with the sandbox's own channel",
    "unwinding": "the code went on after its final answer",
    "killed": "the process that ran the code was ended",
}
NOTHING_SAID: Final = b"{}"

_TEXT_LIMIT: Final = 8_000
_encode: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode  # `dumps` would make one a frame
_decode: Final = json.JSONDecoder().decode  # `loads` would also take other encodings, and look for them
_DIGITS: Final = 20  # of a count of bytes


def written(message: dict[str, Any]) -> bytes:
    """A message as the payload of a frame."""
    return _encode(message).encode("utf-8", "replace")


def fitting(message: dict[str, Any], most: int) -> bytes:
    """A step as the payload of a frame.

    Args:
        message: with variables that are each within their limit.
        most: bytes that a box takes at once.

    Raises:
        ValueRefused: together they are more.
    """
    payload = written(message)
    if len(payload) > most:
        raise ValueRefused(
            f"the variables take {len(payload):,} bytes on their way, and {most:,} may pass at once: send fewer of "
            "them, or put files"
        )
    return payload


def read(payload: bytes) -> dict[str, Any]:
    """The message in a frame.

    Raises:
        WireError: there is none.
    """
    try:
        message = _decode(payload.decode())
    except (ValueError, RecursionError) as error:
        raise WireError(f"a frame that is no JSON: {error}"[:200]) from None
    if not isinstance(message, dict):
        raise WireError("a frame that is no message")
    return message


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a host tool, as a worker asked for it; its values are not checked yet.

    Attributes:
        number: the worker's own, which its answer carries.
        name: of the tool.
        args: its arguments, as JSON gave them.
        kwargs: those with a name.
    """

    number: int
    name: str
    args: list[Any]
    kwargs: dict[str, Any]

    @classmethod
    def of(cls, message: dict[str, Any], step: str) -> Call:
        """The call in a message.

        Raises:
            WireError: there is none, or it belongs to another step.
        """
        number, name = message.get("call"), message.get("name")
        args, kwargs = message.get("args"), message.get("kwargs")
        if message.get("step") != step or type(number) is not int:
            raise WireError("a call that belongs to no step")
        if type(name) is not str or type(args) is not list or type(kwargs) is not dict:
            raise WireError("a call of another shape")
        return cls(number, name, args, kwargs)


def text_of(message: dict[str, Any], key: str) -> str:
    """The text that a message has under a key; empty where it has none, or something else."""
    text = message.get(key)
    return readable(text) if isinstance(text, str) else ""


def code_error(error: Any) -> CodeError:
    """The error that a step ended with.

    Raises:
        WireError: it is none.
    """
    if not isinstance(error, dict):
        raise WireError("an error of another shape")
    shown, line = text_of(error, "text") or "the code raised an error", error.get("line")
    if len(shown) > _TEXT_LIMIT:
        shown = f"{shown[: _TEXT_LIMIT // 2]}\n…\n{shown[-_TEXT_LIMIT // 2 :]}"
    return CodeError(shown, line=line if type(line) is int else None)


def loss_of(payload: bytes, step_time: float, *, late: bool) -> LimitExceeded:
    """What a lost worker means for its step.

    Args:
        payload: of the supervisor's LOST.
        step_time: seconds that the step had.
        late: whether they were over.
    """
    reason = text_of(read(payload), "reason")
    if late and reason != "memory":
        return LimitExceeded.of_time(step_time, state_lost=True)
    return SessionLost(REASONS.get(reason, REASONS["ended"]))


def keep(printed: Printed, kind: int, payload: bytes) -> None:
    """Take what was printed, or count what was not even sent."""
    if kind == PRINTED:
        printed.write_octets(payload)
    else:
        printed.drop(int(payload) if payload.isdigit() and len(payload) < _DIGITS else 0)
