"""Part of Dionysus."""
