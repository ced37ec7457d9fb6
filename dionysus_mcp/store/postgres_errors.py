"""What goes wrong with a server, in words: whether it may pass, and what is to be done about it."""

from sqlalchemy import exc

SCHEMA = "dionysus"
"""In which all of a store lies."""

# The server's own answers; a lost connection often has none.
_MAY_PASS = {
    "40001": "serialization failure",
    "40P01": "deadlock",
    "55P03": "lock not available",
    "53300": "too many connections",
    "57P01": "shut down by an administrator",
    "57P02": "crashed",
    "57P03": "starting up",
}
_TURNED_AWAY = (
    "Check the user, the password (special characters percent-encoded) and the database in [memory] url or "
    "DATABASE_URL, and that the server lets this user in from here (pg_hba.conf). If it is only starting, or has too "
    "many connections, try again."
)
_OUT_OF_REACH = "Check the address, and that the server runs and accepts connections from here, and try again."
_ADVICE = {
    "42501": f"Have the server's administrator grant this user the rights on the schema {SCHEMA} and its tables.",
    "25006": "It only reads, as a standby does; give the address of the one that writes.",
    "53": "Make space on the server, or give it more memory.",
}
"""By the server's code for an error, or the first two letters of it."""
_OTHERWISE = "Check the address, and what the server's log says about it."


def may_pass(error: exc.DBAPIError) -> bool:
    """Whether the connection was lost, the server is coming or going, or another writer was in the way."""
    state = getattr(error.orig, "sqlstate", None)
    lost = error.connection_invalidated or (state is None and isinstance(error, exc.OperationalError))
    return lost or state in _MAY_PASS or (state or "").startswith("08")


def reason(error: exc.DBAPIError) -> str:
    """The server's own words in one line, or the driver's."""
    # Its question whether the server runs stands in a line of its own, and is asked again in what we advise.
    lines = [line for line in str(error.orig).splitlines() if not line.strip().endswith("?")]
    return " ".join(" ".join(lines).split()).rstrip(".")


def told(error: exc.DBAPIError) -> tuple[str, str]:
    """What the store did, and what is to be done."""
    if _is_turned_away(error):
        return "lets nobody in by this address", _TURNED_AWAY
    if may_pass(error):
        return "can't be reached, or was kept busy too long", _OUT_OF_REACH
    state = str(getattr(error.orig, "sqlstate", None))
    return "refused", _ADVICE.get(state, _ADVICE.get(state[:2], _OTHERWISE))


def _is_turned_away(error: exc.DBAPIError) -> bool:
    """Whether a server answered and gave no connection; there is no code for that, so its words must do."""
    if error.statement is not None or error.connection_invalidated:
        return False
    connection = getattr(error.orig, "pgconn", None)
    asked = connection is not None and (connection.needs_password or connection.used_password)
    return asked or "FATAL" in str(error.orig)
