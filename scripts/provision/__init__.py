"""The real parts that tests run against: how each is had on a bare machine, and how it is started and stopped.

`scripts/run_tests.py` uses this package; nothing of Dionysus imports it. Every part is a pair: `provide` installs and
caches (idempotent, outside the checkout), `serve` starts one for as long as a `with` block lasts.
"""
