"""The list of parts, by the name that pytest's markers and `ALLOW_MISSING` use."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

from provision import chromium, docker_engine, gvisor, neo4j_server, postgres_server, typescript_client


@dataclass(frozen=True, slots=True)
class Part:
    """One real part.

    Attributes:
        provide: Makes the part available on this machine, from the cache where it can; raises PartUnavailableError.
        serve: Starts it; the block's value is the environment that tests find it by.
    """

    name: str
    provide: Callable[[], None]
    serve: Callable[[], AbstractContextManager[Mapping[str, str]]]


PARTS = (
    Part("docker", docker_engine.provide, docker_engine.serve),
    Part("gvisor", gvisor.provide, gvisor.serve),
    Part("neo4j", neo4j_server.provide, neo4j_server.serve),
    Part("postgres", postgres_server.provide, postgres_server.serve),
    Part("browser", chromium.provide, chromium.serve),
    Part("typescript", typescript_client.provide, typescript_client.serve),
)
