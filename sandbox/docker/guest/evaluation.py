"""The user's Python session: one namespace, one step after another.

Each step starts from machinery as it was at the first: what a step did to builtins, the standard streams, signal
handlers or tracing ends with it. What it did to its own variables and modules stays, that is what a session is for.
"""

from __future__ import annotations

import _ast
import builtins
import gc
import sys
import types

from sandbox.docker.guest.calls import HostCalls, StepEnded
from sandbox.docker.guest.codecs import CodecError, Codecs
from sandbox.docker.guest.failures import described, from_the_step
from sandbox.docker.guest.interrupts import Interrupts
from sandbox.docker.guest.values import shown, unpacked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from sandbox.docker.guest.channel import Channel

_ONLY_AST = 0x400
_ROOM = 4 << 20  # bytes that must be left after a MemoryError


class BrokenError(BaseException):
    """The worker's own machinery was broken by code that ran in it."""


class Session:
    """Evaluates steps and keeps what they define.

    Args:
        channel: the worker's end, for host calls.
        settings: what the host sent at boot.
    """

    def __init__(self, channel: Channel, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._interrupts = Interrupts()
        self._codecs = Codecs(settings["packages"], _loader(settings["late"]), "the sandbox's image")
        self._calls = HostCalls(channel, settings, self._interrupts, self._codecs)
        self._main = types.ModuleType("__main__")
        self._tools: dict[str, Any] = {}
        self._sources: dict[str, str] = {}
        self._live_builtins = builtins.__dict__
        self._builtins = dict(self._live_builtins)
        self._streams = _open_streams()
        self._compile, self._exec, self._eval = compile, exec, eval
        gc.freeze()

    def run(self, step: dict[str, Any]) -> dict[str, Any]:
        """Run one step.

        Args:
            step: its `id` and `code`, and where they changed `variables` and the names of `tools`.

        Returns:
            The message that answers it: its `id`, and `value` or `error`.
        """
        self._restore()
        refused = self._bind(step)
        if refused:
            return {"id": step["id"], "error": {"text": f"TypeError: {refused}", "line": None}}
        self._calls.begin(step["id"])
        filename = f"<step {len(self._sources) + 1}>"
        self._sources[filename] = step["code"]
        try:
            outcome = self._outcome(step["code"], filename)
        except KeyboardInterrupt:  # in between two lines of our own
            outcome = {"error": {"text": "KeyboardInterrupt", "line": None}}
        self._interrupts.end()
        self._calls.end()
        for stream in self._streams:
            stream.flush()
        return {"id": step["id"], **outcome}

    def _restore(self) -> None:
        self._live_builtins.update(self._builtins)
        sys.modules["__main__"] = self._main
        sys.modules["builtins"], sys.modules["sys"] = builtins, sys
        sys.stdout, sys.stderr = self._streams
        sys.settrace(None)
        sys.setprofile(None)
        sys.setrecursionlimit(self._settings["recursion_limit"])
        self._interrupts.install()

    def _bind(self, step: dict[str, Any]) -> str:
        """Set what the host sends along; returns what is to be said about variables that can't be made here."""
        names = vars(self._main)
        if "tools" in step:
            for name, tool in self._tools.items():
                if names.get(name) is tool:
                    del names[name]
            self._tools = {name: self._calls.named(name) for name in step["tools"]}
            names.update(self._tools)
        refused = []
        for name, value in step.get("variables", {}).items():
            try:
                names[name] = unpacked(value, self._codecs, self._settings)
            except CodecError as error:
                refused.append(f"the variable {name!r} can't be set: {error}")
        return "; ".join(refused)

    def _outcome(self, code: str, filename: str) -> dict[str, Any]:
        self._interrupts.begin()
        try:
            return {"value": shown(self._evaluated(code, filename), self._settings, self._codecs)}
        except StepEnded:
            return {"value": None}
        except BrokenError:
            raise
        except MemoryError as error:
            failure = described(error, filename, self._sources)
            error.__traceback__ = None
            del error
            _check_room()
            return {"error": failure}
        except BaseException as error:  # noqa: BLE001 - whatever the code raises is its step's end, not the worker's
            return {"error": described(error, filename, self._sources)}

    def _evaluated(self, code: str, filename: str) -> Any:
        """The value of the last expression, if the last statement is one."""
        body, last = self._parsed(code, filename)
        names = vars(self._main)
        try:
            if body is not None:
                self._exec(body, names)
            return self._eval(last, names) if last is not None else None
        except BaseException as error:
            if not from_the_step(error, filename):
                raise BrokenError from None
            raise
        finally:
            self._live_builtins.update(self._builtins)  # what follows is our own code, and needs them

    def _parsed(self, code: str, filename: str) -> tuple[Any, Any]:
        """What is to be executed, and then evaluated. One expression and nothing else is the commonest step."""
        try:
            if "\n" not in code and not code[:1].isspace():
                try:
                    return None, self._compile(code, filename, "eval", dont_inherit=True)
                except SyntaxError:
                    pass  # a statement, or what is wrong is said below
            tree: Any = self._compile(code, filename, "exec", _ONLY_AST, dont_inherit=True)
            last = None
            if tree.body and type(tree.body[-1]) is _ast.Expr:
                expression = _ast.Expression(tree.body.pop().value)
                last = self._compile(expression, filename, "eval", dont_inherit=True)
            whole = tree.body or last is None
            return self._compile(tree, filename, "exec", dont_inherit=True) if whole else None, last
        except (SyntaxError, ValueError, OverflowError, RecursionError, MemoryError, KeyboardInterrupt):
            raise
        except BaseException:  # noqa: BLE001 - see below
            # An audit hook of an earlier step, most likely: no later step could ever run.
            raise BrokenError from None


def _check_room() -> None:
    """Raise MemoryError, which ends the worker, if what is left would not do for another step."""
    gc.collect()
    bytearray(_ROOM)


def _loader(sources: dict[str, str]) -> Any:
    """What gives a codec's module, made of its source when it is needed first: most sessions need none."""
    loaded: dict[str, Any] = {}

    def load(name: str) -> Any:
        if name not in loaded:
            module = types.ModuleType(f"sandbox.docker.guest.{name}")
            exec(compile(sources[name], f"<{module.__name__}>", "exec", dont_inherit=True), module.__dict__)  # noqa: S102
            loaded[name] = module
        return loaded[name]

    return load


def _open_streams() -> tuple[Any, Any]:
    return tuple(open(number, "w", encoding="utf-8", errors="replace", buffering=1, closefd=False) for number in (1, 2))  # type: ignore[return-value]
