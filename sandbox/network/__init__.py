"""The way out of a box that asked for one: an HTTP proxy on the host, which knows a list of names and ports."""

from sandbox.network.proxy import Connection, NetworkLimits, Proxy
from sandbox.network.rules import AllowList, parse_rule

__all__ = ["AllowList", "Connection", "NetworkLimits", "Proxy", "parse_rule"]
