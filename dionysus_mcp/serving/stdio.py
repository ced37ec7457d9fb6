"""The server over standard streams, which answers also what it can't parse: a client that waits must hear why."""

import re
from typing import Any, cast

import anyio
from mcp.server import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]:,]|[^\s{}\[\]:,"]+')
_LONGEST_ID = 200
_LOOKED_AT = 16_000_000
"""Characters of a message in which its id is looked for."""


class StdioServer(MCPServer[Any]):
    """An SDK server whose standard input may hold anything."""

    async def run_stdio_async(self) -> None:
        """Serve until the input ends."""
        async with stdio_server() as (read_stream, write_stream):
            sent, received = anyio.create_memory_object_stream[SessionMessage | Exception](0)

            async def forward() -> None:
                async with sent:
                    async for message in read_stream:
                        answer = refusal(message) if isinstance(message, ValidationError) else None
                        if answer is not None:
                            await write_stream.send(SessionMessage(answer))
                        elif not isinstance(message, Exception):
                            await sent.send(message)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(forward)
                await self._lowlevel_server.run(
                    received, write_stream, self._lowlevel_server.create_initialization_options()
                )
                tasks.cancel_scope.cancel()


def refusal(error: ValidationError) -> JSONRPCError | None:
    """The answer to a line that is no message; None where nobody waits for one, as it has no id."""
    found = error.errors(include_url=False)
    first = found[0]
    key = next((key for one in found if (key := _id_in(one["input"])) is not None), None)
    if key is None:
        return None
    why = "its JSON is nested too deep" if "recursion" in first["msg"] else first["msg"]
    text = (
        f"The message can't be read: {why}. Metadata may be 50 levels deep, and halves of surrogate pairs are no text."
    )
    return JSONRPCError(jsonrpc="2.0", id=key, error=ErrorData(code=PARSE_ERROR, message=text))


def _id_in(given: Any) -> str | int | None:
    """The id in what was refused: a line that is no JSON, or an object that is no message."""
    if isinstance(given, str):
        return request_id(given)
    key: Any = cast("dict[str, Any]", given).get("id") if isinstance(given, dict) else None
    return key if isinstance(key, str | int) and not isinstance(key, bool) else None


def request_id(line: str) -> str | int | None:
    """The id of a request that may be no JSON, or nested too deep to be parsed; None where there is none.

    Looked for token by token, as recursion is what such a message is refused for.
    """
    depth, before = 0, ""
    tokens = (match[0] for match in _TOKEN.finditer(line, 0, _LOOKED_AT))
    for part in tokens:
        if part in "{[":
            depth += 1
        elif part in "}]":
            depth -= 1
        elif depth == 1 and (before, part) == ('"id"', ":"):
            return _value(next(tokens, ""))
        before = part
    return None


def _value(value: str) -> str | int | None:
    if len(value) > _LONGEST_ID:
        return None
    if re.fullmatch(r"-?\d{1,15}", value, re.ASCII):
        return int(value)
    return value[1:-1] if re.fullmatch(r'"[ -!#-\[\]-~]*"', value) else None
