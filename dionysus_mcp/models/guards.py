"""What an endpoint can't do to us: send us elsewhere, or answer without end.

LiteLLM's HTTP clients follow a redirect to any host and hand it the prompt, and the key too where it stands in a header
other than `Authorization`; they read an answer of any size, and unpack whatever is packed. LiteLLM has no setting for
it, so the clients that it makes for calls of ours get hooks of httpx. Clients for anybody else's calls in this process
stay as they are; where a program has LiteLLM use a client of its own for all calls, the hooks heed ours alone.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

_MOST_BYTES: ContextVar[int | None] = ContextVar("most_bytes", default=None)

# A streamed token comes in some 400 bytes of JSON. What doesn't count as tokens (thinking, at some endpoints; blanks to
# keep a line open) has room beside them.
_PER_TOKEN = 1000
_BESIDES = 4_000_000
_MOST_OF_AN_ERROR = 200_000
_AT_ONCE = 65_536
_OPENAI_CLIENT = "_get_async_http_client"  # the only place where LiteLLM makes the client for OpenAI's SDK
_MARK = "_installs_guards"
# After these a POST is followed by a GET without the prompt, which any endpoint refuses, but not by its reason.
_LOSING = (301, 302)
_PACKED = ("gzip", "x-gzip", "deflate")


class Untrusted(Exception):
    """An endpoint did what none may do; its other answers are no better a moment later."""


class SentElsewhere(Untrusted):
    """It sent the request on to another host, which the settings don't name; `str()` is that host's URL."""

    def __str__(self) -> str:
        return (
            f"it sends requests on to {super().__str__()}, which gets neither the prompt nor the key; if that is "
            "right, set it as api_base"
        )


class EndlessAnswer(Untrusted):
    """Its answer goes on far beyond the tokens that were asked for; `str()` says how far it was read."""

    def __str__(self) -> str:
        return f"its answer goes on without end ({super().__str__()})"


class UnreadableAnswer(Untrusted):
    """Its answer is packed in a way that can't be undone."""

    def __str__(self) -> str:
        return f"its answer can't be unpacked ({super().__str__()})"


@contextmanager
def guarded(max_tokens: int) -> Generator[None]:
    """Guard the clients that LiteLLM makes in the block, and let an answer be no longer than its tokens allow."""
    before = _MOST_BYTES.set(_BESIDES + _PER_TOKEN * max_tokens)
    try:
        yield
    finally:
        _MOST_BYTES.reset(before)


def in_guarded_call() -> bool:
    """Whether this thread or task is at work on a call of ours."""
    return _MOST_BYTES.get() is not None


def most_pieces(max_tokens: int) -> int:
    """Return how many pieces a streamed answer may have: a few for each token, some for none."""
    return 2000 + 4 * max_tokens


def install_guards() -> None:
    """Have LiteLLM's clients guarded from now on, where they are made for calls of ours. Idempotent."""
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler
    from litellm.llms.openai.common_utils import BaseOpenAILLM

    if not hasattr(AsyncHTTPHandler.create_client, _MARK):
        made = _hooking(getattr(BaseOpenAILLM, _OPENAI_CLIENT))
        setattr(BaseOpenAILLM, _OPENAI_CLIENT, staticmethod(made))
        # Last, since it is looked at first: another thread that sees it must find both.
        AsyncHTTPHandler.create_client = _hooking(AsyncHTTPHandler.create_client)


def is_guarded(client: Any) -> bool:
    """Whether a client of LiteLLM's cache, OpenAI's or its own, has the hooks; one without was made for others."""
    inner = getattr(client, "_client", None)
    return _look_at in getattr(inner, "event_hooks", {}).get("response", ())


def _hooking(make: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(make)
    def made(*arguments: Any, **options: Any) -> Any:
        client = make(*arguments, **options)
        if client is not None and _MOST_BYTES.get() is not None:
            hooks = client.event_hooks
            if _look_at not in hooks["response"]:  # a program's own client comes again and again
                hooks["request"].append(_ask_for_plain)
                hooks["response"].append(_look_at)
                client.event_hooks = hooks
        return client

    setattr(made, _MARK, True)
    return made


async def _ask_for_plain(request: httpx.Request) -> None:
    if _MOST_BYTES.get() is not None:
        request.headers["accept-encoding"] = "identity"


async def _look_at(response: httpx.Response) -> None:
    """Refuse a way to elsewhere, and bound what is read; called for every response, before a redirect is followed."""
    most = _MOST_BYTES.get()
    if most is None:
        return
    if response.has_redirect_location:
        target = response.request.url.join(response.headers["location"])
        if not _same_place(response.request.url, target):
            await response.aclose()
            raise SentElsewhere(_place(target))
        if response.status_code in _LOSING and response.request.method == "POST":
            await response.aclose()
            raise SentElsewhere(_place(target) + target.path)
    packing = response.headers.pop("content-encoding", "identity").strip().lower() or "identity"
    if packing not in ("identity", *_PACKED):
        await response.aclose()
        raise UnreadableAnswer(f"it is packed as {packing[:40]!r}, though it was asked not to be")
    bound = _MOST_OF_AN_ERROR if response.is_error else most
    response.stream = _bounded(response.stream, bound, packed=packing in _PACKED)


def _place(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace')}"


def _same_place(asked: httpx.URL, target: httpx.URL) -> bool:
    """Whether a redirect stays with the host that the settings name; to https it may go, from https it may not."""
    if asked.host != target.host:
        return False
    upgraded = (asked.scheme, target.scheme) == ("http", "https") and asked.port is None and target.port is None
    return upgraded or (asked.scheme, asked.port) == (target.scheme, target.port)


def _bounded(stream: Any, most: int, *, packed: bool) -> Any:
    import httpx

    class Bounded(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            read = 0
            unpack = _Unpacking() if packed else None
            async for raw in stream:
                for piece in unpack.pieces(raw) if unpack else (raw,):
                    read += len(piece)
                    if read > most:
                        raise EndlessAnswer(f"more than {most:,} bytes")
                    yield piece
            if unpack:
                yield unpack.rest()

        async def aclose(self) -> None:
            await stream.aclose()

    return Bounded()


class _Unpacking:
    """Unpacks gzip or zlib a little at a time: a few kilobytes may stand for gigabytes."""

    def __init__(self) -> None:
        self._unpack = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def pieces(self, packed: bytes) -> Generator[bytes]:
        while packed:
            try:
                piece = self._unpack.decompress(packed, _AT_ONCE)
            except zlib.error as error:
                raise UnreadableAnswer(str(error)) from error
            if not piece and not self._unpack.unconsumed_tail:
                return
            yield piece
            packed = self._unpack.unconsumed_tail

    def rest(self) -> bytes:
        """Return what was still to come of the last piece, a few hundred bytes at most."""
        return self._unpack.flush()
