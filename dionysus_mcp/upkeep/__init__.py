"""Looking after a store: purge, export, import, verify, backup, re-embed. Reached through `admin` only."""
