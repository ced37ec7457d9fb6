"""What is said about an error, and with which code the command leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cognition.cli.exits import ExitCode, of_reason


@dataclass(frozen=True, slots=True)
class Failure:
    """What is said about an error.

    Attributes:
        message: what happened and what to do.
        code: the exit code.
        kind: the error's class, for programs.
    """

    message: str
    code: ExitCode
    kind: str

    def document(self, error: BaseException) -> dict[str, Any]:
        """Return the JSON document that stands for a result that did not come, with the partial one if there is any."""
        partial = getattr(error, "partial", None)
        said = {"kind": self.kind, "message": self.message, "exit_code": int(self.code)}
        return {"error": said, "partial": None if partial is None else _shown(partial)}


def explain(error: Exception) -> Failure:
    """Return what to say about an error, and with which code to leave."""
    kind = type(error).__name__
    for known in (_of_thinking, _of_packages, _of_system):
        failure = known(error, kind)
        if failure is not None:
            return failure
    message = f"Something unexpected went wrong: {kind}: {error}\nAdd --debug for the traceback, and please report it."
    return Failure(message, ExitCode.FAILED, kind)


def _of_thinking(error: Exception, kind: str) -> Failure | None:
    from cognition.settings.errors import SettingsError
    from cognition.thought import ThinkingError

    if isinstance(error, SettingsError):
        return Failure(str(error), ExitCode.USAGE, kind)
    if isinstance(error, ThinkingError):
        code = of_reason(error.stop_reason)
        hint = "\nHere: --steps, --tokens, --budget-usd or --deadline." if code == ExitCode.BUDGET else ""
        return Failure(f"{error}{hint}", code, kind)
    return None


def _of_packages(error: Exception, kind: str) -> Failure | None:
    from dionysus_mcp.errors import DionysusMcpError
    from layers.errors import LayerError
    from observability.errors import TelemetryError
    from sandbox.errors import SandboxError

    codes = (
        (DionysusMcpError, ExitCode.PART),
        (LayerError, ExitCode.USAGE),
        (TelemetryError, ExitCode.FAILED),
        (SandboxError, ExitCode.PART),
    )
    return next((Failure(_sentence(str(error)), code, kind) for of, code in codes if isinstance(error, of)), None)


def _of_system(error: Exception, kind: str) -> Failure | None:
    if not isinstance(error, OSError):
        return None
    where = f": {error.filename}" if error.filename else ""
    return Failure(f"{error.strerror or error}{where}", ExitCode.FAILED, kind)


def _sentence(text: str) -> str:
    """Begin with a capital, unless the first word is a name such as a file's, which must stay as it is."""
    return text[:1].upper() + text[1:] if text.partition(" ")[0].isalpha() else text


def _shown(partial: Any) -> dict[str, Any]:
    from cognition.cli.answer import as_document

    return as_document(partial)
