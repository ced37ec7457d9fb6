"""The dashboard's routes. Reads a trace store and nothing else; every page is whole without JavaScript."""

import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from observability.dashboard import pages, wording
from observability.dashboard.access import LOCAL_HOSTS, Guard
from observability.dashboard.swimlane import AXES, colours, swimlane
from observability.errors import TelemetryError
from observability.records import Status
from observability.store import TraceStore

_HERE = Path(__file__).parent
_PAGE = 50
_MOST = 2000


def create_app(store: TraceStore, token: str, hosts: Collection[str] = LOCAL_HOSTS) -> ASGIApp:
    """Return the dashboard as an ASGI app.

    Args:
        store: an open trace store; it stays the caller's to close.
        token: what a browser must show once, as `?token=`.
        hosts: names that requests may be addressed to, without port.
    """
    views = _Views(store)
    routes = [
        Route("/", views.runs),
        Route("/run/{run}", views.run),
        Route("/run/{run}/span/{span}", views.span),
        Mount("/static", StaticFiles(directory=_HERE / "static")),
    ]
    return Guard(Starlette(routes=routes, exception_handlers={TelemetryError: views.missing}), token, hosts)


class _Views:
    """The pages. Reading and rendering run on a worker thread, so that one large run doesn't hold up another page."""

    def __init__(self, store: TraceStore) -> None:
        self._store = store
        self._templates = Environment(
            loader=PackageLoader("observability.dashboard", "templates"), autoescape=True, trim_blocks=True
        )
        self._templates.filters |= {
            "duration": wording.duration,
            "usd": wording.usd,
            "count": wording.count,
            "moment": wording.moment,
        }

    async def runs(self, request: Request) -> Response:
        """The list of runs, newest first; `?status=` selects, `?limit=` shows more."""
        status = request.query_params.get("status", "")
        limit = _number(request.query_params.get("limit"), _PAGE)
        return await run_in_threadpool(self._runs, status if status in set(Status) else "", limit)

    async def run(self, request: Request) -> Response:
        """One run; `?by=` chooses what the swimlane's widths stand for."""
        axis = request.query_params.get("by", "time")
        return await run_in_threadpool(self._run, request.path_params["run"], axis if axis in AXES else "time")

    async def span(self, request: Request) -> Response:
        """What was said in one span: a fragment that the run's page loads on demand, or a page of its own."""
        return await run_in_threadpool(self._span, request.path_params["run"], request.path_params["span"])

    async def missing(self, _request: Request, error: Exception) -> Response:
        """A run that isn't there, or a store that can't be read: say so."""
        return self._page("missing.html", 404, message=str(error))

    def _runs(self, status: str, limit: int) -> Response:
        now = time.time_ns()
        runs = self._store.runs(limit + 1, status=Status(status) if status else None)
        return self._page(
            "runs.html",
            runs=runs[:limit],
            more=min(2 * limit, _MOST) if len(runs) > limit and limit < _MOST else None,
            status=status,
            statuses=list(Status),
            palette=colours(layer for run in runs for layer in run.layers),
            now=now,
            ago=lambda ns: wording.ago(ns, now),  # pyright: ignore[reportUnknownLambdaType] - called by the template
            live=any(run.status is Status.RUNNING for run in runs[:limit]),
        )

    def _run(self, run: str, axis: str) -> Response:
        trace = self._store.run(run)
        now = time.time_ns()
        return self._page(
            "run.html",
            run=trace.summary,
            task=self._text(trace, "input.value"),
            answer=self._text(trace, "output.value"),
            lanes=swimlane(trace, axis, now),
            axes=AXES,
            budgets=pages.budgets(trace, now),
            recalls=pages.recalls(trace, self._store),
            lines=pages.lines(trace, now),
            palette=colours(trace.summary.layers),
            now=now,
            live=trace.summary.status is Status.RUNNING,
            doing=pages.doing(trace),
            left=pages.left(trace),
        )

    def _span(self, run: str, span: str) -> Response:
        trace_id = self._store.trace_id(run)
        node = self._store.span(trace_id, span)
        if node is None:
            raise TelemetryError(f"run {run} has no span {span}; it may have been dropped")
        return self._page("span.html", span=node, facts=pages.facts(node), said=pages.said(node, self._store), run=run)

    def _text(self, trace: Any, name: str) -> str:
        return next((text for key, text in pages.said(trace.root, self._store) if key == name), "")

    def _page(self, template: str, code: int = 200, **values: Any) -> Response:
        return HTMLResponse(self._templates.get_template(template).render(values), code)


def _number(given: str | None, default: int) -> int:
    return min(int(given), _MOST) if given and given.isdecimal() and len(given) < 9 and int(given) > 0 else default
