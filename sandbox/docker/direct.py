"""A way from a box to its host past the engine: a Unix socket in a folder that the box can look into.

The engine carries a box's stdio through two more processes, which takes as long as a step. Where its containers run on
this machine's own kernel, a box connects to the socket before anything else, and then frames take that way. The socket
takes this one connection, and its name is gone before any code of the user runs. Where the box can't reach it, as of an
engine in a virtual machine, all stays with the engine's stream.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sandbox.docker.channel import TICK, Channel, ChannelClosedError
from sandbox.docker.forks import known_to_forks, no_fork

if TYPE_CHECKING:
    from collections.abc import Callable

PLACE: Final = "/run/host"
"""Folder in the box."""
_PREFIX: Final = "dionysus-wire-"
_OLD: Final = 3600.0  # seconds after which a folder was left behind; each is needed for less than a minute


class Way:
    """A socket that one box may connect to.

    Raises:
        OSError: there can be none, such as on a full disk, or where names of temporary files are too long.
    """

    NAME: Final = "wire"

    def __init__(self) -> None:
        self._pid = os.getpid()
        self.listener = socket.socket(socket.AF_UNIX)
        try:
            self._home = Path(tempfile.mkdtemp(prefix=_PREFIX))  # its mode keeps every other user of this machine out
        except BaseException:
            self.listener.close()
            raise
        try:
            self.folder = self._home / "box"
            self.folder.mkdir()
            self.folder.chmod(0o755)
            self.listener.bind(str(self.folder / self.NAME))
            (self.folder / self.NAME).chmod(0o666)  # whoever the box's user is
            self.listener.listen(1)
            self.listener.setblocking(False)
        except BaseException:
            self.close()
            raise

    @property
    def mount(self) -> dict[str, Any]:
        """The folder, as the engine's `HostConfig` takes it: a source that isn't there is refused, and not made."""
        return {"Type": "bind", "Source": str(self.folder), "Target": PLACE, "ReadOnly": True}

    def close(self) -> None:
        """Take no connection any more, and remove the folder. May be called again."""
        self.listener.close()
        if os.getpid() == self._pid:
            shutil.rmtree(self._home, ignore_errors=True)


def offer() -> Way | None:
    """A way, or None where there can't be one."""
    try:
        return known_to_forks(Way)
    except OSError:
        return None


def tidy() -> None:
    """Remove the folders of owners that were killed while a box of theirs started."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < time.time() - _OLD:
                shutil.rmtree(left)


class DirectChannel(Channel):
    """A channel that offers a box the direct way, and goes on over the engine's stream with one that doesn't take it.

    The engine's stream says what a box complains of, and ends with the box and with the engine.

    Args:
        stream: what the Docker SDK gave for the attached stdio.
        limit: bytes of the largest frame that is taken.
        way: what the box is offered; ends with `settle` and with the channel.
        clock: the moment, in seconds.
    """

    def __init__(self, stream: Any, limit: int, way: Way, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream, limit, clock=clock)
        self._way = way
        self._connection: socket.socket | None = None
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(way.listener, select.POLLIN)
        self._offer: int | None = way.listener.fileno()

    def settle(self) -> bool:
        """Offer the way no longer; see `Channel.settle`."""
        if self._offer is not None:
            self._poll.unregister(self._offer)
            self._offer = None
        self._way.close()
        return self._connection is not None

    def heed(self) -> None:
        """See whether the engine is gone, which a box that is never silent would hide; see `Channel.heed`."""
        self._check()
        if any(descriptor == self._socket.fileno() for descriptor, _ in self._poll.poll(0)):
            self._heed_engine()

    def peek(self) -> bool:
        """Whether the other side is there; see `Channel.peek`."""
        self._check()
        return not self._poll.poll(0)

    def _fill(self) -> None:
        events = self._poll.poll(TICK * 1000)
        self._check()  # another thread may have closed it meanwhile
        engine = self._socket.fileno()
        ready = [descriptor for descriptor, _ in events]
        # The engine waits until the box has nothing to say: its end comes with the box's, whose last frame counts.
        for descriptor in [each for each in ready if each != engine] or ready:
            if descriptor == engine:
                self._heed_engine()
            elif descriptor == self._offer:
                self._connect()
            else:
                self._read()

    def _heed_engine(self) -> None:
        try:
            super()._fill()
        except ChannelClosedError:
            if self._connection is not None:
                self._cut(self._connection)  # without its engine a box is out of control, and ends with its connection
            raise

    def _connect(self) -> None:
        with no_fork():
            try:
                self._connection, _ = self._way.listener.accept()
            except BlockingIOError:  # it hung up already
                return
            except OSError as error:
                raise ChannelClosedError(str(error)) from None
        self._connection.setblocking(False)  # with a time-out each call would poll once more
        self._outward = self._connection
        self._poll.register(self._connection, select.POLLIN)
        self.settle()

    def _read(self) -> None:
        assert self._connection is not None  # noqa: S101 - only a connection is polled for this
        try:
            size = self._connection.recv_into(self._buffer)
        except BlockingIOError:
            return
        except OSError as error:
            raise ChannelClosedError(str(error)) from None
        if size:
            self._frames.feed(self._buffer[:size])
        else:
            self._poll.unregister(self._connection)  # the engine's stream tells why, and ends as well

    def _let_go(self) -> None:
        self._way.close()
        if self._connection is not None:
            self._cut(self._connection)
            self._connection.close()
        super()._let_go()
