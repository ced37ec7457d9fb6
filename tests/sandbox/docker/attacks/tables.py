"""All tables of attacks, in the order in which the threat model's page lists them."""

from collections.abc import Mapping

from tests.sandbox.docker.attacks import (
    bombs,
    escapes,
    files,
    frames,
    kernel,
    network,
    poison,
    process_one,
    values,
)
from tests.sandbox.docker.attacks.attack import Attack

TABLES: Mapping[str, list[Attack]] = {
    "Process 1, /proc and descriptors": process_one.ATTACKS,
    "Network": network.ATTACKS,
    "Escapes": escapes.ATTACKS,
    "The kernel's machinery": kernel.ATTACKS,
    "Bombs and loops": bombs.ATTACKS,
    "The wire": frames.ATTACKS,
    "Values and errors": values.ATTACKS,
    "Later steps, and the worker's life": poison.ATTACKS,
    "Files": files.ATTACKS,
}
