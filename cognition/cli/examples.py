"""Examples in `--help`; a test runs them."""


def examples(*commands: str) -> str:
    """Return an epilog that shows commands, one a line; the backspace keeps typer from joining the lines."""
    return "\b\nExamples:\n" + "".join(f"  {command}\n" for command in commands)
