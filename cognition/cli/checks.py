"""What `dionysus doctor` looks at: each part is really opened, used once and closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from cognition.cli.check import Check, State
from cognition.cli.output import one_line
from observability import Secrets

if TYPE_CHECKING:
    from cognition.settings import Settings
    from dionysus_mcp.records import ConsciousnessState

_MiB = 1024 * 1024
_STARTS_WITHIN = 30.0  # seconds for the memory server, its embedder included


def examine(settings: Settings) -> list[Check]:
    """Look at every part and return what was found, in the order in which thinking needs them."""
    found: list[Check] = []
    hide = Secrets(settings.secrets()).hide
    parts: tuple[tuple[str, Callable[[Settings], Iterator[Check]]], ...] = (
        ("settings", _settings),
        ("data", _data),
        ("memory", _memory),
        ("sandbox", _sandbox),
        ("trace", _trace),
        ("tiers", _tiers),
        ("layers", _layers),
    )
    for part, look in parts:
        try:
            found.extend(look(settings))
        except Exception as error:  # noqa: BLE001 - promise: one broken part never hides what the others are like
            finding = f"{type(error).__name__}: {one_line(str(error), 400)}"
            found.append(Check(part, "fail", finding))
    return [replace(check, finding=hide(check.finding), advice=hide(check.advice)) for check in found]


def _settings(settings: Settings) -> Iterator[Check]:
    if settings.file is None:
        yield Check("settings", "ok", "no dionysus.toml here or above; defaults and environment hold")
    else:
        yield Check("settings", "ok", f"{settings.file.absolute()}")


def _data(settings: Settings) -> Iterator[Check]:
    from observability.settings import home

    folder = home()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if os.access(nearest, os.W_OK):
        yield Check("data", "ok", f"{folder}{'' if nearest == folder else ' (made when first needed)'}")
    else:
        advice = "Set DIONYSUS_HOME to a folder that you may write."
        yield Check("data", "fail", f"{folder} can't be written: {nearest} is not yours to write", advice)


def _memory(settings: Settings) -> Iterator[Check]:
    import asyncio

    from dionysus_mcp.admin import shown

    url = shown(settings.memory.url)
    try:
        state = asyncio.run(_ask_memory(settings))
    except Exception as error:  # noqa: BLE001 - promise: as in `examine`, with advice of its own
        finding = f"{url}: {one_line(str(error), 400)}"
        yield Check(
            "memory", "fail", finding, "Set [memory] url (or DIONYSUS_MEMORY__URL) to a store that can be used."
        )
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(state.memories.items()))
    empty = "" if state.total_memories else "It is empty; fill it with: dionysus remember PATH"
    rows = f"{state.total_memories} memories{f' ({kinds})' if kinds else ''}, {len(state.models)} mental models"
    yield Check("memory", "warn" if empty else "ok", f"{url}: {rows}", empty)
    yield _embedder(state)


async def _ask_memory(settings: Settings) -> ConsciousnessState:
    from dionysus_mcp.client import MEMORY_TOOLS, McpClient, MemoryClient, memory_server

    client = McpClient("memory", memory_server(settings.memory, settings.trace))
    try:
        await client.connect(MEMORY_TOOLS)
        memory = MemoryClient(client)
        await memory.ready(_STARTS_WITHIN)
        return await memory.state()
    finally:
        await client.close()


def _embedder(state: ConsciousnessState) -> Check:
    health = state.health
    if health.embedder == "ready":
        waiting = f", {health.pending} memories wait for their vectors" if health.pending else ""
        return Check("embedder", "ok", f"{health.model or 'ready'}{waiting}")
    if health.embedder == "off":
        advice = 'Set [memory] embedder = "minilm" to recall by meaning too.'
        return Check("embedder", "warn", "off by the settings: recall works by words alone", advice)
    advice = "Recall works by words alone until it is there; reinstalling dionysus-mind brings its files back."
    return Check("embedder", "warn", f"{health.embedder}: {health.detail or 'no detail'}", advice)


def _sandbox(settings: Settings) -> Iterator[Check]:
    from cognition.cli.containers import container_checks
    from sandbox import select

    limits = settings.sandbox
    yield from container_checks(limits)
    backend = select(limits)
    try:
        with backend.open() as box:
            output = box("print(6 * 7)").logs
    finally:
        backend.close()
    kept = f"{limits.step_timeout:g} s a step, {limits.memory // _MiB} MiB, {limits.output_limit // 1024} KiB of output"
    if "42" not in output:
        yield Check("sandbox", "fail", f"{backend.name} ran code but lost what it printed", "Choose another backend.")
    elif backend.notice:
        yield Check("sandbox", "warn", f"{backend.name}: {kept}", backend.notice)
    else:
        yield Check("sandbox", "ok", f"{backend.name}: {kept}")


def _trace(settings: Settings) -> Iterator[Check]:
    from observability import TraceStore

    trace = settings.trace
    if not trace.enabled:
        yield Check("trace", "warn", "off by the settings", "Set [trace] enabled = true to see what happens in a run.")
    elif not trace.path.exists():
        yield Check("trace", "ok", f"{trace.path}: made with the first run")
    else:
        with TraceStore(trace.path) as store:
            newest = store.runs(limit=1)
        last = f"last run {newest[0].run_id[:12]}" if newest else "no runs yet"
        yield Check("trace", "ok", f"{trace.path}: {last}, {trace.path.stat().st_size / _MiB:.1f} MiB")
    if trace.otlp_endpoint:
        sent = "with content" if trace.otlp_content else "without content"
        yield Check("OTLP", "ok", f"{_without_password(trace.otlp_endpoint)}, {sent}")


def _tiers(settings: Settings) -> Iterator[Check]:
    from cognition.cli.layers import tier_rows

    rows, note = tier_rows(settings)
    for row in rows:
        missing = [each.key_setting for each in row.deployments if each.key == "missing"]
        unpriced = [each.model for each in row.deployments if not each.price_known]
        models = ", ".join(f"{each.model} (key {each.key})" for each in row.deployments) or row.note
        whole = missing and len(missing) == len(row.deployments)
        advice = [f"Set {', '.join(missing)}."] if missing else []
        if unpriced:
            advice.append(
                f"A budget in USD needs a price: set input_usd_per_million and output_usd_per_million of {row.tier}."
            )
        state: State = "fail" if whole else "warn" if advice else "ok"
        yield Check(f"tier {row.tier}", state, models, " ".join(advice))
    if note:
        yield Check("models", "warn", note)


def _layers(settings: Settings) -> Iterator[Check]:
    from layers.spec import resolve_layers

    specs = resolve_layers(settings.layers)
    yield Check(
        "layers", "ok", ", ".join(f"{name} ({spec.tier}, {spec.max_steps} steps)" for name, spec in specs.items())
    )


def _without_password(url: str) -> str:
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    if parts.password is None:
        return url
    return url.replace(f":{parts.password}@", ":***@")
