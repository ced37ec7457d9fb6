"""The entry point of the `dionysus` command, and of `python -m cognition.cli`."""

import sys


def main() -> None:
    """Run the command line of this process and exit with its code."""
    try:
        from cognition.cli.app import app
        from cognition.cli.boundary import run
    except KeyboardInterrupt:  # Ctrl-C while typer is being loaded
        sys.exit(130)
    sys.exit(run(app, sys.argv[1:]))


if __name__ == "__main__":
    main()
