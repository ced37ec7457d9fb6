"""The errors of this package."""

from __future__ import annotations


class LayerError(Exception):
    """A layer, tier or tool can't be used as it is configured; the message says what to change."""


class UnknownTool(LayerError):
    """A layer names a tool that is neither built in, nor an MCP server's, nor the user's own."""


class UnknownTier(LayerError):
    """A layer names a tier that is not configured."""
