"""What happened in a run, what it cost and why: spans, a local trace store, a dashboard.

Everybody may import this package; it imports none of the others. Importing it costs the OpenTelemetry API alone: the
SDK, SQLite, pydantic-settings and Starlette are loaded by the names that need them, on first use.

    with Telemetry(TraceSettings(), service="my-agent") as telemetry:
        with span(telemetry.tracer, Kind.RUN, "invoke_workflow demo"):
            ...
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from observability.conventions import Kind
from observability.errors import TelemetryError
from observability.secrets import Secrets
from observability.tracing import inherited, span

if TYPE_CHECKING:
    from observability.records import Status
    from observability.runs import RunSummary, RunTrace, SpanNode, Text
    from observability.settings import TraceSettings, environment_secrets, home
    from observability.store import TraceStore
    from observability.telemetry import Telemetry

__all__ = [
    "Kind",
    "RunSummary",
    "RunTrace",
    "Secrets",
    "SpanNode",
    "Status",
    "Telemetry",
    "TelemetryError",
    "Text",
    "TraceSettings",
    "TraceStore",
    "environment_secrets",
    "home",
    "inherited",
    "span",
]

_LATE = {
    "RunSummary": "observability.runs",
    "RunTrace": "observability.runs",
    "SpanNode": "observability.runs",
    "Status": "observability.records",
    "Telemetry": "observability.telemetry",
    "Text": "observability.runs",
    "TraceSettings": "observability.settings",
    "TraceStore": "observability.store",
    "environment_secrets": "observability.settings",
    "home": "observability.settings",
}


def __getattr__(name: str) -> Any:
    """Load a public name's module when the name is first used, which keeps `import observability` cheap."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_LATE[name]), name)
