"""The settings of a mind: each package's own models, composed; read from keywords, environment and `dionysus.toml`."""

from cognition.settings.errors import SettingsError
from cognition.settings.load import find_file, load_settings
from cognition.settings.model import Settings

__all__ = ["Settings", "SettingsError", "find_file", "load_settings"]
