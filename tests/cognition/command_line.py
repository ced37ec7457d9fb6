"""Run the `dionysus` command as a user does: in this process by default, or as one of its own, or in a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 120.0  # seconds; a stuck command fails its test, a slow machine doesn't
ARGV = (sys.executable, "-m", "cognition.cli")


def environment(home: Path, **more: str) -> dict[str, str]:
    """An environment without this machine's own settings and keys, whose data is below `home`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("DIONYSUS_") and name != "DATABASE_URL" and "API_KEY" not in name
    }
    return kept | {"DIONYSUS_HOME": str(home), "PYTHONPATH": str(ROOT), "HOME": str(home), **more}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Command:
    """The command with a data folder and a working directory of its own."""

    home: Path
    folder: Path

    def __call__(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Outcome:
        """Run it in this process: no second of it goes to starting Python and to importing what is here already."""
        outcome = _inside(arguments, self.folder, environment(self.home, **(env or {})), stdin)
        return _without_traceback(outcome, arguments)

    def apart(self, *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None) -> Outcome:
        """Run it as a process of its own, where that is the point: its start, its streams, its end."""
        done = subprocess.run(
            [*ARGV, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            cwd=self.folder,
            env=environment(self.home, **(env or {})),
            timeout=PATIENCE,
            check=False,
        )
        return _without_traceback(Outcome(done.returncode, done.stdout, done.stderr), arguments)

    def settings(self, text: str) -> Path:
        path = self.folder / "dionysus.toml"
        path.write_text(text)
        return path

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*ARGV, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=environment(self.home, **(env or {})),
        )

    def processes(self) -> list[str]:
        """Command lines of living processes that work on this data folder."""
        marker = f"DIONYSUS_HOME={self.home}\0".encode()
        found: list[str] = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                try:
                    if marker in (entry / "environ").read_bytes() + b"\0":
                        found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                except OSError:
                    continue  # it has ended meanwhile, or is not ours
        return found

    def left_behind(self, within: float = 10.0) -> list[str]:
        """Processes that are still there after the time that the last ones may take to notice our end."""
        until = time.monotonic() + within
        while self.processes() and time.monotonic() < until:
            time.sleep(0.05)
        return self.processes()


def _without_traceback(outcome: Outcome, arguments: Sequence[str]) -> Outcome:
    assert "Traceback" not in outcome.err or "--debug" in arguments, outcome.err
    return outcome


def _inside(arguments: Sequence[str], folder: Path, env: Mapping[str, str], stdin: str) -> Outcome:
    from cognition.cli.__main__ import main

    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        _as_if_alone(folder, env) as patch,
    ):
        given.write(stdin.encode())
        given.seek(0)
        patch.setattr(sys, "argv", ["dionysus", *arguments])
        # Real files as a shell would give: with a descriptor, and with the encodings that Python gives such streams.
        streams = {
            "stdin": TextIOWrapper(given, encoding="utf-8"),
            "stdout": TextIOWrapper(out, encoding="utf-8"),
            "stderr": TextIOWrapper(err, encoding="utf-8", errors="backslashreplace", write_through=True),
        }
        for name, stream in streams.items():
            patch.setattr(sys, name, stream)
        with pytest.raises(SystemExit) as ended:
            main()
        for stream in streams.values():
            stream.flush()
        code = ended.value.code
        outcome = Outcome(code if isinstance(code, int) else int(code is not None), _text(out), _text(err))
        for stream in streams.values():
            stream.detach()
        return outcome


@contextmanager
def _as_if_alone(folder: Path, env: Mapping[str, str]) -> Generator[pytest.MonkeyPatch]:
    """Give the block an environment and a working directory, and take back what a command sets for its process."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.getsignal(number) for number in signals}
    before = dict(os.environ)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        try:
            os.environ.clear()
            os.environ.update(env)
            yield patch
        finally:
            os.environ.clear()
            os.environ.update(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode().replace("\r\n", "\n")


@dataclass(frozen=True)
class Thought:
    """A command that has thought once, and what `think --json` said."""

    command: Command
    outcome: Outcome


class Terminal:
    """The command in a pseudo-terminal of 120 by 40; reads the screen as raw text."""

    def __init__(self, command: Command, *arguments: str) -> None:
        pid, self._fd = pty.fork()
        if pid == 0:
            os.chdir(command.folder)
            env = environment(command.home, TERM="xterm-256color", COLUMNS="120", LINES="40")
            os.execve(sys.executable, [*ARGV, *arguments], env)
        self.pid = pid
        self.screen = ""
        self._code: int | None = None

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self._code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self._fd)

    def wait_for(self, text: str, after: int = 0) -> int:
        """Read until the text shows beyond a position; return the position behind it."""
        until = time.monotonic() + PATIENCE
        while text not in self.screen[after:]:
            assert time.monotonic() < until, f"{text!r} never showed in:\n{self.screen}"
            assert self._read(), f"the command ended before {text!r} showed:\n{self.screen}"
        return self.screen.index(text, after) + len(text)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def ended(self, *, answering: tuple[str, str] | None = None) -> int:
        """Read to the end and return the exit code; each time a question shows, its answer is typed."""
        question, answer = answering or ("\0", "")
        answered = 0
        while answering and self._read():
            if self.screen.count(question) > answered:
                answered += 1
                self.type(answer)
        while self._read():
            pass
        _, status = os.waitpid(self.pid, 0)
        self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def _read(self) -> bool:
        ready, _, _ = select.select([self._fd], [], [], PATIENCE)
        assert ready, f"nothing happened for {PATIENCE} s after:\n{self.screen}"
        try:
            read = os.read(self._fd, 65536)
        except OSError:  # Linux: the other side of the terminal is closed
            return False
        self.screen += read.decode(errors="replace")
        return bool(read)
