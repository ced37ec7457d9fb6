"""The dashboard: runs, and one run with its layers over time and its tree of steps. Server-rendered, offline, local.

Starlette and Jinja2 are loaded when `create_app` or `serve` is called first.
"""

from observability.dashboard.app import create_app
from observability.dashboard.serve import new_token, serve

__all__ = ["create_app", "new_token", "serve"]
