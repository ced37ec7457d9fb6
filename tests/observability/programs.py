"""Programs of their own that write a trace store, and what is in it then."""

import sqlite3
import subprocess
import sys
import textwrap


def rows(path, query="SELECT name, status FROM span ORDER BY start_ns"):
    connection = sqlite3.connect(path)
    try:
        return connection.execute(query).fetchall()
    finally:
        connection.close()


def run_script(body, path, *, wait=True):
    """Run a program of its own that writes the store; `store` and `telemetry` are there for it."""
    script = textwrap.dedent("""
        import os, signal, sys, threading, time
        from pathlib import Path
        from observability import Kind, Telemetry, TraceSettings, inherited, span
        telemetry = Telemetry(TraceSettings(path=Path(sys.argv[1])), service="child")
        tracer = telemetry.tracer
    """) + textwrap.dedent(body)
    command = [sys.executable, "-c", script, str(path)]
    if wait:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
