"""What the memory server promises in seconds: its end comes within its grace and two seconds, whoever listens."""

import asyncio
import time

import pytest

from dionysus_mcp.client import McpClient, McpToolError, McpUnavailable, MemoryClient
from dionysus_mcp.targets import HttpServer
from tests.dionysus_mcp.serving.conftest import Running
from tests.promises import SLACK


@pytest.fixture
def anyio_backend():
    """Asynchronous tests run on asyncio, as the client does."""
    return "asyncio"


@pytest.mark.anyio
async def test_a_client_that_listens_does_not_hold_up_its_end(tmp_path):
    with Running(tmp_path, grace=1) as server:
        async with McpClient("memory", HttpServer(url=server.url)) as client:
            memory = MemoryClient(client)
            await memory.create("Tea is at four.")
            start = time.monotonic()
            code, _ = await asyncio.to_thread(server.stop)
            assert time.monotonic() - start < SLACK * (1 + 2)
            assert code == 0
            with pytest.raises((McpUnavailable, McpToolError)):
                await memory.recall("tea")
