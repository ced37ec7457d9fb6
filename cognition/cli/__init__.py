"""The `dionysus` command. Its modules import late what they use, so that `--help` costs no more than typer."""
