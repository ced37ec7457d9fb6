"""The dashboard behind a real server, for the tests of its pages, of a browser, and of how quick it is."""

import contextlib
import socket
import threading

import uvicorn

from observability import TraceStore
from observability.dashboard import create_app

RUN = "5f0c2a9e7d31"
TOKEN = "the-token"


@contextlib.contextmanager
def served(store_path):
    """The real app behind a real server, on a free port."""
    listening = socket.create_server(("127.0.0.1", 0))
    with TraceStore(store_path) as store:
        app = create_app(store, TOKEN)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
            listening.close()
