"""Who thinks: the layers, their models, tools and limits; and what a run may still spend."""

from layers.errors import LayerError, UnknownTier, UnknownTool
from layers.spec import DEFAULTS, LayerSpec, resolve_layers

__all__ = ["DEFAULTS", "LayerError", "LayerSpec", "UnknownTier", "UnknownTool", "resolve_layers"]
