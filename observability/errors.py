"""The one error of this package. It reaches readers of traces only; a run never sees it."""


class TelemetryError(Exception):
    """A trace can't be read: no such run, or a file that is not a trace store or is a newer one.

    The message says what was found and what to do. Writing never raises it: there tracing goes off, with a warning.
    """
