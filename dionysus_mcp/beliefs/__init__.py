"""Which beliefs hold: mental `models` that make `predictions`, and the `scoring` that judges both."""
