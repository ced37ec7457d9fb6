"""The error of the settings."""


class SettingsError(ValueError):
    """The settings can't be used as they are.

    The message has one line for each thing that is wrong: the file with its line, the variable or the keyword that says
    it, what is wrong, and the nearest right name.
    """
