"""A scripted OpenAI-compatible server over real sockets: the model of every test that wants one.

A script sees each request and says what happens to it: an answer, tool calls, an error, silence, rubbish. The server
speaks HTTP/1.1 on 127.0.0.1, streams when asked to (`"stream": true`), records what it was asked, and counts the
sockets that are open, so that a test can prove that a cancelled call let go of its own.

    with OpenAIServer([Fail(429, retry_after=0.1), Say("42")]) as server:
        ask(api_base=server.url)
        assert len(server.requests) == 2

Characters that play a whole agent are in `tests.support.openai_characters`.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as a provider bills them; `cached` of the prompt's are read from its cache."""

    prompt: int = 11
    completion: int = 7
    cached: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool that the model asks for."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Say:
    """Answer with text, tool calls, or both.

    Attributes:
        text: the content; `None` as providers send with tool calls.
        calls: native tool calls.
        usage: token counts; `None` for an endpoint that sends none.
        after: seconds of silence before the answer.
        chunk_pause: seconds between two pieces (lines) of a streamed answer, or a function that says them each time.
        reasoning: reasoning content beside the answer, as LM Studio and vLLM send it.
        finish: the finish reason; by default `tool_calls` or `stop`.
        model: the model's name in the answer; the requested one by default.
        streams: whether it is streamed when asked for; else it comes in one piece all the same.
        reasoning_key: under which the reasoning content stands.
        breaks_off: a streamed answer ends with the connection, before its finish reason.
    """

    text: str | None = None
    calls: Sequence[ToolCall] = ()
    usage: Usage | None = Usage()
    after: float = 0.0
    chunk_pause: float | Callable[[], float] = 0.0
    reasoning: str | None = None
    finish: str | None = None
    model: str | None = None
    streams: bool = True
    reasoning_key: str = "reasoning_content"
    breaks_off: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer with an error status, as OpenAI words errors.

    Attributes:
        status: HTTP status, 401, 404, 429, 500 ...
        message: the error's text; a plain one by default.
        retry_after: the Retry-After header, in seconds or as it stands.
        code: OpenAI's error code, `model_not_found`.
        flat: word it as older vLLM does, without the object `error` around it.
    """

    status: int
    message: str = ""
    retry_after: float | str | None = None
    code: str | None = None
    flat: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing for so many seconds, then hang up; ends at once when the client lets go."""

    seconds: float = 60.0


@dataclass(frozen=True, slots=True)
class Rubbish:
    """Answer 200 with a body that is no completion."""

    body: str = "<html>not what you asked for</html>"


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the connection; after `sent` bytes of a valid answer, if that is not 0."""

    sent: int = 0


@dataclass(frozen=True, slots=True)
class Trickle:
    """Answer 200 at once, and then a sign of life every `pause` seconds without ever saying anything.

    A stream gets the comments that gateways send to keep it open, a plain answer gets blanks. A long pause is a server
    that goes silent after its headers.
    """

    pause: float = 0.05


@dataclass(frozen=True, slots=True)
class Raw:
    """Answer with these very bytes: redirects, packed bodies, anything that no provider should send."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Flood:
    """Stream one and the same piece of an answer, as fast as it is read, without end.

    Attributes:
        delta: what each piece adds, `{"reasoning_content": "hm "}`.
    """

    delta: Mapping[str, Any]


Action = Raw | Flood | Say | Fail | Hang | Rubbish | Drop | Trickle


@dataclass(frozen=True, slots=True)
class Request:
    """One request as the server saw it.

    Attributes:
        number: 1 for the first one the server got.
        path: `/v1/chat/completions`.
        headers: names in lower case.
        body: the parsed JSON.
        at: seconds of `time.monotonic`.
    """

    number: int
    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]
    at: float

    @property
    def model(self) -> str:
        """The model that was asked for, as the wire names it."""
        return str(self.body.get("model", ""))

    @property
    def key(self) -> str:
        """The API key that came along, empty without one."""
        return self.headers.get("authorization", "").removeprefix("Bearer ")

    @property
    def tools(self) -> tuple[str, ...]:
        """Names of the tools the model may call."""
        return tuple(tool["function"]["name"] for tool in self.body.get("tools") or ())

    @property
    def texts(self) -> tuple[str, ...]:
        """The text of each message, in order."""
        return tuple(_text(message.get("content")) for message in self.body.get("messages", ()))

    @property
    def text(self) -> str:
        """The whole prompt as one text."""
        return "\n".join(self.texts)


Script = Callable[[Request], Action] | Sequence[Action]


class OpenAIServer:
    """A server that plays a script; a context manager.

    Args:
        script: a function of the request, or a list that is played once in order (its last action repeats).

    Attributes:
        requests: every completion request so far, oldest first.
    """

    def __init__(self, script: Script) -> None:
        self._script = script if callable(script) else _in_order(script)
        self.requests: list[Request] = []
        self.errors: list[BaseException] = []
        self._numbers = itertools.count(1)
        self._writers: set[asyncio.StreamWriter] = set()
        self._under_way = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="openai-server", daemon=True)
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        """The `api_base`: `http://127.0.0.1:PORT/v1`."""
        assert self._server is not None, "the server runs inside its with-block only"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    @property
    def open_sockets(self) -> int:
        """Connections that the client has not closed yet."""
        return len(self._writers)

    @property
    def under_way(self) -> int:
        """Requests that are not answered yet, and whose client has not let go."""
        return self._under_way

    def wait_for_sockets(self, count: int, timeout: float = 3.0) -> bool:
        """Wait until exactly `count` sockets are open; whether that came true within `timeout` seconds."""
        return _eventually(lambda: self.open_sockets == count, timeout)

    def wait_for_requests(self, count: int, timeout: float = 10.0) -> bool:
        """Wait until at least `count` requests have come; whether that came true within `timeout` seconds."""
        return _eventually(lambda: len(self.requests) >= count, timeout)

    def __enter__(self) -> OpenAIServer:
        self._thread.start()
        starting = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result(10)
        return self

    def __exit__(self, *exc_info: object) -> None:
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()
        if self.errors and exc_info[0] is None:
            raise self.errors[0]

    async def _shut(self) -> None:
        assert self._server is not None
        self._server.close()
        serving = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            while request := await self._read(reader):
                self._under_way += 1
                try:
                    if not await self._answer(request, reader, writer):
                        break
                finally:
                    self._under_way -= 1
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away in mid-request, which is what many tests are about; or the server shuts
        except Exception as error:
            self.errors.append(error)  # a script that fails must fail its test, not look like an outage
        finally:
            self._writers.discard(writer)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _read(self, reader: asyncio.StreamReader) -> Request | None:
        line = (await reader.readline()).decode()
        if not line.strip():
            return None
        headers: dict[str, str] = {}
        while header := (await reader.readline()).decode().strip():
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        parsed = json.loads(body) if body else {}
        return Request(next(self._numbers), line.split()[1], headers, parsed, time.monotonic())

    async def _answer(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Play the script's action for a request; whether the connection stays open."""
        if not request.body:
            return await _send(writer, 404, _no_such_path(request))
        self.requests.append(request)
        match self._script(request):
            case Say() if not request.path.endswith("/chat/completions"):
                return await _send(writer, 404, _no_such_path(request))
            case Say() as say:
                await _silence(reader, say.after)
                return await _say(reader, writer, request, say)
            case Fail() as fail:
                after = {} if fail.retry_after is None else {"Retry-After": str(fail.retry_after)}
                message = fail.message or f"scripted error {fail.status}"
                error = {"message": message, "type": "error", "code": fail.code, "param": None}
                return await _send(writer, fail.status, json.dumps(error if fail.flat else {"error": error}), after)
            case Rubbish(body):
                return await _send(writer, 200, body)
            case Hang(seconds):
                await _silence(reader, seconds)
                return False
            case Trickle(pause):
                return await _trickle(reader, writer, request, pause)
            case Raw(status, body, headers):
                writer.write(_head(status, len(body), headers) + body)
                await writer.drain()
                return True
            case Flood(delta):
                return await _flood(writer, request, delta)
            case Drop(sent):
                writer.write(_head(200, 1_000) + b" " * sent if sent else b"")
                await writer.drain()
                return False


def _no_such_path(request: Request) -> str:
    """Return the error body for what only other kinds of provider answer; failures are played on any path."""
    return json.dumps({"error": {"message": f"no such path {request.path}"}})


def _in_order(actions: Sequence[Action]) -> Callable[[Request], Action]:
    left = list(actions)
    return lambda _request: left.pop(0) if len(left) > 1 else left[0]


def _eventually(holds: Callable[[], bool], timeout: float) -> bool:
    end = time.monotonic() + timeout
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


def _text(content: Any) -> str:
    if isinstance(content, str) or content is None:
        return content or ""
    return "\n".join(part["text"] for part in content if part.get("type") == "text")


async def _silence(reader: asyncio.StreamReader, seconds: float) -> None:
    """Wait, but not longer than the client does: nothing more is due from it, so a read ends only at its hang-up."""
    if seconds <= 0:
        return
    with suppress(TimeoutError):
        if not await asyncio.wait_for(reader.read(1), seconds):
            raise ConnectionResetError("the client hung up")


def _head(status: int, length: int | None, headers: Mapping[str, str] | None = None) -> bytes:
    kind = "application/json" if length is not None else "text/event-stream"
    size = f"Content-Length: {length}" if length is not None else "Transfer-Encoding: chunked"
    extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status} Scripted\r\nContent-Type: {kind}\r\n{size}\r\n{extra}\r\n".encode()


async def _send(writer: asyncio.StreamWriter, status: int, body: str, headers: Mapping[str, str] | None = None) -> bool:
    payload = body.encode()
    writer.write(_head(status, len(payload), headers) + payload)
    await writer.drain()
    return True


async def _say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, say: Say) -> bool:
    if not request.body.get("stream") or not say.streams:
        return await _send(writer, 200, json.dumps(_completion(request, say)))
    writer.write(_head(200, None))
    for number, event in enumerate(_events(request, say)):
        line = f"data: {event}\n\n".encode()
        writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
        await writer.drain()
        if number:  # the first piece only says whose turn it is
            await _silence(reader, say.chunk_pause() if callable(say.chunk_pause) else say.chunk_pause)
    writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _flood(writer: asyncio.StreamWriter, request: Request, delta: Mapping[str, Any]) -> bool:
    frame = _envelope(request, Say(), "chat.completion.chunk")
    piece = f"data: {json.dumps(frame | {'choices': [{'index': 0, 'delta': delta, 'finish_reason': None}]})}\n\n"
    writer.write(_head(200, None))
    while True:
        writer.write(f"{len(piece):x}\r\n{piece}\r\n".encode())
        await writer.drain()


async def _trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: Request, pause: float) -> bool:
    stream = bool(request.body.get("stream"))
    writer.write(_head(200, None if stream else 1_000_000))
    while True:
        await writer.drain()
        await _silence(reader, pause)
        writer.write(b"4\r\n:\n\n\n\r\n" if stream else b" ")


def _completion(request: Request, say: Say) -> dict[str, Any]:
    message = {"role": "assistant", **_said(say), "content": say.text}
    answer = _envelope(request, say, "chat.completion")
    answer["choices"] = [{"index": 0, "finish_reason": _finish(say), "message": message}]
    return answer | ({"usage": _usage(say.usage)} if say.usage else {})


def _events(request: Request, say: Say) -> Iterator[str]:
    """Yield the SSE events of a streamed answer: its words, its tool calls, the end, usage if asked for."""
    frame = _envelope(request, say, "chat.completion.chunk")
    pieces: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    pieces += [{"content": word} for word in (say.text or "").splitlines(keepends=True)]
    pieces += [_said(say)] if _said(say) else []
    for piece in pieces:
        yield json.dumps(frame | {"choices": [{"index": 0, "delta": piece, "finish_reason": None}]})
    if say.breaks_off:
        raise ConnectionAbortedError("as scripted")
    yield json.dumps(frame | {"choices": [{"index": 0, "delta": {}, "finish_reason": _finish(say)}]})
    if say.usage and (request.body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps(frame | {"choices": [], "usage": _usage(say.usage)})
    yield "[DONE]"


def _said(say: Say) -> dict[str, Any]:
    said: dict[str, Any] = {}
    if say.calls:
        said["tool_calls"] = [
            {
                "index": index,
                "id": f"call_{index}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(call.arguments)},
            }
            for index, call in enumerate(say.calls)
        ]
    if say.reasoning:
        said[say.reasoning_key] = say.reasoning
    return said


def _envelope(request: Request, say: Say, kind: str) -> dict[str, Any]:
    model = say.model or request.model
    return {"id": f"chatcmpl-{request.number}", "object": kind, "created": int(time.time()), "model": model}


def _finish(say: Say) -> str:
    return say.finish or ("tool_calls" if say.calls else "stop")


def _usage(usage: Usage) -> dict[str, Any]:
    total = usage.prompt + usage.completion
    counts = {"prompt_tokens": usage.prompt, "completion_tokens": usage.completion, "total_tokens": total}
    return counts | ({"prompt_tokens_details": {"cached_tokens": usage.cached}} if usage.cached else {})


@contextmanager
def refusing_port() -> Iterator[str]:
    """Yield the `api_base` of a port on which nobody listens: connections are refused."""
    import socket

    with socket.socket() as taken:  # bound but not listening, so nobody else gets the port meanwhile
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
