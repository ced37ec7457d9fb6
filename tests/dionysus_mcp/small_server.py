"""A small MCP server for tests of the client: `python small_server.py stdio|http PORT|silent|crash|garbage`."""

import os
import sys
import time
from pathlib import Path

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

server = MCPServer("small", log_level="ERROR")


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def echo(text: str) -> str:
    return text


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def process_id() -> dict[str, int]:
    return {"pid": os.getpid()}


@server.tool()
def fail() -> str:
    raise ToolError("the moon is in the wrong phase")


@server.tool()
def crash() -> str:
    raise ZeroDivisionError


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def slow(seconds: float) -> str:
    time.sleep(seconds)
    return "done"


@server.tool()
def die_after_noting(path: str) -> str:
    with Path(path).open("a") as file:
        file.write("x")
    os._exit(3)


@server.tool(annotations=ToolAnnotations(idempotent_hint=True))
def die_once(path: str) -> str:
    if not Path(path).exists():
        Path(path).write_text("x")
        os._exit(3)
    return "second life"


@server.tool(annotations=ToolAnnotations(read_only_hint=True))
def die_always() -> str:
    os._exit(4)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["stdio"]:
            server.run("stdio")
        case ["http", port]:
            server.run("streamable-http", host="127.0.0.1", port=int(port))
        case ["silent"]:
            time.sleep(60)
        case ["crash"]:
            sys.stderr.write("noise " * 2000 + "\nno licence found in /etc/small\n")
            sys.exit(7)
        case ["garbage"]:
            sys.stdout.write("this is not the protocol\n" * 3)
            sys.stdout.flush()
            time.sleep(60)
