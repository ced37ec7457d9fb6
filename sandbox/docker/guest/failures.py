"""An error of the user's code as text for the agent that wrote it: the lines of its own steps, type and message."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_MESSAGE_LIMIT = 6_000
_NAME_LIMIT = 200  # of a file, function or class; code may call them what it likes
_FRAMES = 20
_name_of = type.__dict__["__name__"].__get__  # a class of classes may have another `__name__`, which raises


def described(error: BaseException, filename: str, sources: dict[str, str]) -> dict[str, Any]:
    """What the host is told of an error.

    Args:
        error: what the step raised.
        filename: of the step.
        sources: text of each step by its filename.

    Returns:
        `text`, which ends with type and message, and `line` in this step, counted from 1, or None.
    """
    message = _message(error)
    if isinstance(error, SyntaxError) and type(error.filename) is str and error.filename == filename:
        return {"text": _syntax(error), "line": _line(error)}
    places = _places(error)
    lines = [line for name, line, _ in places if name == filename]
    shown = places if len(places) <= _FRAMES else places[: _FRAMES // 2] + places[-_FRAMES // 2 :]
    text = "".join(_place(*place, filename, sources) for place in shown)
    return {"text": f"Traceback (most recent call last):\n{text}{message}", "line": lines[-1] if lines else None}


def from_the_step(error: BaseException, filename: str) -> bool:
    """Whether any line of the step had run when the error was raised."""
    return any(name == filename for name, _, _ in _places(error))


def _places(error: BaseException) -> list[tuple[str, int, str]]:
    """File, line and function of each frame, without those of the worker itself."""
    places: list[tuple[str, int, str]] = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if not code.co_filename.startswith("<sandbox."):
            places.append((code.co_filename, trace.tb_lineno, code.co_name[:_NAME_LIMIT]))
        trace = trace.tb_next
    return places


def _place(name: str, line: int, function: str, filename: str, sources: dict[str, str]) -> str:
    source = sources.get(name)
    file = "this step" if name == filename else "an earlier step" if source is not None else name[:_NAME_LIMIT]
    inside = "" if function == "<module>" else f", in {function}"
    lines = source.splitlines() if source is not None else []
    quoted = f"    {lines[line - 1].strip()[:200]}\n" if 0 < line <= len(lines) else ""
    return f'  File "{file}", line {line}{inside}\n{quoted}'


def _syntax(error: SyntaxError) -> str:
    """Code may raise one of its own, with any object for a part."""
    quoted = f"    {error.text.strip()[:200]}\n" if type(error.text) is str else ""
    return f'  File "this step", line {_line(error)}\n{quoted}{_message(error, error.msg)}'


def _line(error: SyntaxError) -> int | None:
    line = error.lineno
    return line if type(line) is int and 0 <= line < 1 << 31 else None


def _message(error: BaseException, said: object = None) -> str:
    name = _name_of(type(error))[:_NAME_LIMIT]
    try:
        text = str(error if said is None else said)
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001 - an error that fights back is still an error of the code
        text = "(the error's message can't be printed)"
    text = text if len(text) <= _MESSAGE_LIMIT else f"{text[:_MESSAGE_LIMIT]}… ({len(text) - _MESSAGE_LIMIT:,} more)"
    return (f"{name}: {text}" if text else name).encode("utf-8", "replace").decode()
